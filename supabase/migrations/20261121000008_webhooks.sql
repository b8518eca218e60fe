-- Outgoing webhooks: what is to be delivered is written in the transaction that made it so, and tried until it arrives.

create table public.webhook_deliveries (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null,
    prediction_id uuid references public.predictions (id) on delete cascade,
    project_id uuid references public.projects (id) on delete cascade,
    event text not null check (event in ('start', 'output', 'logs', 'completed', 'waiting', 'reminder')),
    attempts integer not null default 0,
    next_at timestamptz default now(),  -- when to try next; null when it has arrived or was given up
    delivered_at timestamptz,
    status integer,
    error text,
    created_at timestamptz not null default now(),
    check (num_nonnulls(prediction_id, project_id) = 1)
);
create index webhook_deliveries_due on public.webhook_deliveries (next_at) where next_at is not null;
create index webhook_deliveries_by_prediction on public.webhook_deliveries (prediction_id);
create index webhook_deliveries_by_project on public.webhook_deliveries (project_id) where project_id is not null;
alter table public.webhook_deliveries enable row level security;
create policy "own deliveries are read" on public.webhook_deliveries
    for select to authenticated using (owner = auth.uid());

-- Have a prediction's webhook called with this event. False when its owner does not want to know.
create function public.enqueue_delivery(p_prediction public.predictions, p_event text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    if p_prediction.webhook is null or p_event <> all (p_prediction.webhook_events) then
        return false;
    end if;
    insert into public.webhook_deliveries (owner, prediction_id, event)
    values (p_prediction.owner, p_prediction.id, p_event);
    return true;
end $$;

-- The same of a project: of a gate that has opened, a day before it closes, and of the end.
create function public.enqueue_project_delivery(p_project public.projects, p_event text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    if p_project.input ->> 'webhook' is null then
        return false;
    end if;
    insert into public.webhook_deliveries (owner, project_id, event) values (p_project.owner, p_project.id, p_event);
    return true;
end $$;

create function public.tell_of_project() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform public.enqueue_project_delivery(new, case when new.status = 'waiting' then 'waiting' else 'completed' end);
    return null;
end $$;
create trigger tell_of_project after update on public.projects for each row
    when (old.status is distinct from new.status and new.status in ('waiting', 'succeeded', 'failed', 'canceled'))
    execute function public.tell_of_project();

-- Take deliveries that are due, at most p_limit, each together with its prediction or project. Whoever takes one has it for
-- this attempt; the next one is already set, should the taker die. Eight attempts in 28 hours.
create function public.due_deliveries(p_about uuid default null, p_limit integer default 50) returns setof jsonb
language sql security definer set search_path = '' as $$
    with lined_up as (
        select id, row_number() over (partition by owner order by next_at, event desc) as turn
        from public.webhook_deliveries
        where next_at <= now() and (p_about is null or p_about in (prediction_id, project_id))
    ), due as (  -- each owner in turn: nobody's dead receiver keeps the others waiting
        select d.id from public.webhook_deliveries d join lined_up on lined_up.id = d.id
        where d.next_at <= now() order by lined_up.turn, d.next_at limit p_limit for update of d skip locked
    )
    update public.webhook_deliveries d set
        attempts = d.attempts + 1,
        next_at = now() + ('{1 min,5 min,30 min,2 h,5 h,10 h,10 h}'::interval[])[d.attempts + 1]
    from due
    where d.id = due.id
    returning jsonb_build_object(
        'id', d.id, 'event', d.event,
        'prediction', (select to_jsonb(p) from public.predictions p where p.id = d.prediction_id),
        'project', (select to_jsonb(p) from public.projects p where p.id = d.project_id)
    );
$$;

revoke all on public.webhook_deliveries from anon, authenticated, service_role;
grant select on public.webhook_deliveries to authenticated;
grant select, insert, update, delete on public.webhook_deliveries to service_role;
revoke execute on function
    public.enqueue_delivery, public.enqueue_project_delivery, public.tell_of_project, public.due_deliveries
    from public, anon, authenticated, service_role;
grant execute on function public.due_deliveries to service_role;
