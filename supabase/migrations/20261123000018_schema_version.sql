-- The newest migration that was applied: `forge doctor` compares it with the newest that there is. Each migration from
-- here on replaces it.
create function public.schema_version() returns text
language sql immutable set search_path = '' as $$ select '20261123000018' $$;
revoke execute on function public.schema_version from public, anon, authenticated;
grant execute on function public.schema_version to service_role;
