-- What the other files build on: the buckets for files, and how JSON arguments arrive.
--
-- Nothing is granted by default in a Supabase project: every file grants what its tables and functions need, and
-- revokes first what an older project or Supabase Lite grants by itself. Row-level security is on everywhere.
-- Errors carry SQLSTATE PTxyz, which PostgREST answers as HTTP xyz.

grant usage on schema public to anon, authenticated, service_role;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on sequences from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;

insert into storage.buckets (id, name, public)
values
    ('personaforge', 'personaforge', false),
    ('personaforge-public', 'personaforge-public', true)  -- copies of what was published
on conflict (id) do nothing;

-- JSON as an object. Some servers in front of Postgres pass a JSON argument on as a JSON string that holds it.
create function public.as_object(p jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select case jsonb_typeof(p) when 'string' then (p #>> '{}')::jsonb else p end
$$;
revoke execute on function public.as_object from public, anon, authenticated, service_role;
