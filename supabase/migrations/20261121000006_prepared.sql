-- What an engine has made ready of a portrait lies beside it, under its name and an ending; it is no orphan.
create or replace function public.orphaned_files(p_minutes integer default 10) returns setof text
language sql stable security definer set search_path = '' as $$
    select o.name from storage.objects o
    where o.bucket_id = 'personaforge'
      and o.created_at between now() - interval '1 day' and now() - make_interval(mins => p_minutes)
      and not exists (select 1 from public.predictions p where p.output = o.name or p.captions = o.name)
      and not exists (select 1 from public.personas p where p.portrait = regexp_replace(o.name, '\.png\..*$', '.png'))
    limit 1000;
$$;
