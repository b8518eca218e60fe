-- What a dead container, a lost answer or a lost webhook leaves behind, for the minutely reconciliation.

-- Predictions that should have ended. At most p_most of them, the longest overdue first.
create function public.overdue_predictions(p_most integer default 100) returns setof public.predictions
language sql stable security definer set search_path = '' as $$
    select * from public.predictions
    where status in ('starting', 'processing') and deadline < now()
    order by deadline limit p_most;
$$;

-- Files of the last day that nothing refers to and that are too old to be still on their way.
create function public.orphaned_files(p_minutes integer default 10) returns setof text
language sql stable security definer set search_path = '' as $$
    select o.name from storage.objects o
    where o.bucket_id = 'personaforge'
      and o.created_at between now() - interval '1 day' and now() - make_interval(mins => p_minutes)
      and not exists (select 1 from public.predictions p where p.output = o.name or p.captions = o.name)
      and not exists (select 1 from public.personas p where p.portrait = o.name)
    limit 1000;
$$;
create index predictions_by_output on public.predictions (output) where output is not null;
create index predictions_by_captions on public.predictions (captions) where captions is not null;
create index personas_by_portrait on public.personas (portrait) where portrait is not null;

revoke execute on function public.overdue_predictions, public.orphaned_files from public, anon, authenticated;
grant execute on function public.overdue_predictions, public.orphaned_files to service_role;
