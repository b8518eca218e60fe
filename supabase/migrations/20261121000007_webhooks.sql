-- Outgoing webhooks: what is to be delivered is written in the transaction that made it so, and tried until it arrives.

create table public.webhook_deliveries (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null,
    prediction_id uuid not null references public.predictions (id) on delete cascade,
    event text not null check (event in ('start', 'output', 'logs', 'completed')),
    attempts integer not null default 0,
    next_at timestamptz default now(),  -- when to try next; null when it has arrived or was given up
    delivered_at timestamptz,
    status integer,
    error text,
    created_at timestamptz not null default now()
);
create index webhook_deliveries_due on public.webhook_deliveries (next_at) where next_at is not null;
create index webhook_deliveries_by_prediction on public.webhook_deliveries (prediction_id);
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

-- Take deliveries that are due, at most p_limit, each together with its prediction. Whoever takes one has it for
-- this attempt; the next one is already set, should the taker die. Eight attempts in 28 hours.
create function public.due_deliveries(p_prediction uuid default null, p_limit integer default 50) returns setof jsonb
language sql security definer set search_path = '' as $$
    with lined_up as (
        select id, row_number() over (partition by owner order by next_at, event desc) as turn
        from public.webhook_deliveries
        where next_at <= now() and (p_prediction is null or prediction_id = p_prediction)
    ), due as (  -- each owner in turn: nobody's dead receiver keeps the others waiting
        select d.id from public.webhook_deliveries d join lined_up on lined_up.id = d.id
        where d.next_at <= now() order by lined_up.turn, d.next_at limit p_limit for update of d skip locked
    )
    update public.webhook_deliveries d set
        attempts = d.attempts + 1,
        next_at = now() + ('{1 min,5 min,30 min,2 h,5 h,10 h,10 h}'::interval[])[d.attempts + 1]
    from due, public.predictions p
    where d.id = due.id and p.id = d.prediction_id
    returning jsonb_build_object('id', d.id, 'event', d.event, 'prediction', to_jsonb(p));
$$;

revoke all on public.webhook_deliveries from anon, authenticated, service_role;
grant select on public.webhook_deliveries to authenticated;
grant select, insert, update, delete on public.webhook_deliveries to service_role;
revoke execute on function public.enqueue_delivery, public.due_deliveries from public, anon, authenticated, service_role;
grant execute on function public.due_deliveries to service_role;
