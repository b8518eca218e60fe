-- Outgoing webhooks: what is to be told is written in the transaction that made it so, and told until it arrives.

alter table public.predictions
    add column webhook text check (char_length(webhook) between 1 and 2000),
    add column webhook_events text[] not null default '{}';

-- The delivery log. `next_at` is when to try next; null when it has arrived or was given up.
create table public.webhook_deliveries (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null,
    prediction_id uuid not null references public.predictions (id) on delete cascade,
    event text not null check (event in ('start', 'completed')),
    attempts integer not null default 0,
    next_at timestamptz default now(),
    delivered_at timestamptz,
    status integer,
    error text,
    created_at timestamptz not null default now()
);
create index webhook_deliveries_due on public.webhook_deliveries (next_at) where next_at is not null;
create index webhook_deliveries_by_prediction on public.webhook_deliveries (prediction_id);
alter table public.webhook_deliveries enable row level security;
create policy "one's own deliveries are read" on public.webhook_deliveries
    for select to authenticated using (owner = auth.uid());

create function public.predictions_are_told() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.webhook_deliveries (owner, prediction_id, event)
    select new.owner, new.id, event
    from (values ('start', old.started_at is null and new.started_at is not null),
                 ('completed', old.completed_at is null and new.completed_at is not null)) as happened (event, now)
    where now and event = any (new.webhook_events);
    return null;
end $$;
create trigger predictions_are_told after update on public.predictions
    for each row when (new.webhook is not null) execute function public.predictions_are_told();

-- create_prediction for a caller who wants to be told.
create function public.create_prediction_told(
    p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer,
    p_key text, p_hash text, p_webhook text, p_events text[]
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    answer jsonb := public.create_prediction(p_id, p_model, p_persona, p_input, p_stream, p_seconds, p_key, p_hash);
    made public.predictions;
begin
    if (answer ->> 'made')::boolean then
        update public.predictions set webhook = p_webhook, webhook_events = p_events where id = p_id returning * into made;
        answer := jsonb_build_object('prediction', to_jsonb(made), 'made', true);
    end if;
    return answer;
end $$;

-- Take deliveries that are due, at most p_most, each together with its prediction. Whoever takes one has it for
-- this attempt; the next one is already set, should the taker die. Eight attempts in 28 hours.
create function public.due_deliveries(p_prediction uuid default null, p_most integer default 50) returns setof jsonb
language sql security definer set search_path = '' as $$
    with lined_up as (
        select id, row_number() over (partition by owner order by next_at, event desc) as turn
        from public.webhook_deliveries
        where next_at <= now() and (p_prediction is null or prediction_id = p_prediction)
    ), due as (  -- each owner in turn: nobody's dead receiver keeps the others waiting
        select d.id from public.webhook_deliveries d join lined_up on lined_up.id = d.id
        where d.next_at <= now() order by lined_up.turn, d.next_at limit p_most for update of d skip locked
    )
    update public.webhook_deliveries d set
        attempts = d.attempts + 1,
        next_at = now() + ('{1 min,5 min,30 min,2 h,5 h,10 h,10 h}'::interval[])[d.attempts + 1]
    from due, public.predictions p
    where d.id = due.id and p.id = d.prediction_id
    returning jsonb_build_object('id', d.id, 'event', d.event, 'prediction', to_jsonb(p));
$$;

-- Settling now also says whether somebody is to be told: {"settled": ..., "told": ...}.
alter function public.settle_prediction rename to settle_once;
create function public.settle_prediction(
    p_id uuid, p_status public.prediction_status, p_result jsonb, p_effects jsonb default '{}'
) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    if not public.settle_once(p_id, p_status, p_result, p_effects) then
        return '{"settled": false, "told": false}';
    end if;
    return jsonb_build_object('settled', true, 'told', exists (
        select 1 from public.webhook_deliveries where prediction_id = p_id and next_at <= now()
    ));
end $$;

revoke execute on function public.create_prediction_told from public, anon;
grant execute on function public.create_prediction_told to authenticated;
revoke execute on function
    public.due_deliveries, public.settle_prediction, public.settle_once, public.predictions_are_told
    from public, anon, authenticated;
grant execute on function public.due_deliveries, public.settle_prediction to service_role;
