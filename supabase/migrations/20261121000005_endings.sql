-- Endings that used to leave something behind.

-- However a prediction is made, it has some time and not for ever.
create function public.predictions_have_time() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.deadline := greatest(new.deadline, now() + interval '5 seconds');
    return new;
end $$;
create trigger predictions_have_time before insert on public.predictions
    for each row execute function public.predictions_have_time();

-- A running talk is asked to end itself, as only it knows what it has used.
alter table public.predictions add column cancel_requested boolean not null default false;

-- Note under which id the provider runs it. False when it no longer waits for one: then the job there is unwanted.
drop function public.attach_provider(uuid, text);
create function public.attach_provider(p_id uuid, p_provider_id text) returns boolean
language sql security definer set search_path = '' as $$
    with taken as (
        update public.predictions set provider_id = p_provider_id, status = 'processing', started_at = now()
        where id = p_id and status = 'starting' returning id
    )
    select exists (select 1 from taken);
$$;

-- What still runs of a persona ends before the persona does, so that its credits come back.
create function public.personas_end_what_runs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform public.settle_once(id, 'canceled', '{"error": "Its persona was removed."}', '{}')
    from public.predictions where persona_id = old.id and status in ('starting', 'processing');
    return old;
end $$;
create trigger personas_end_what_runs before delete on public.personas
    for each row execute function public.personas_end_what_runs();

revoke execute on function public.attach_provider, public.predictions_have_time, public.personas_end_what_runs
    from public, anon, authenticated;
grant execute on function public.attach_provider to service_role;
