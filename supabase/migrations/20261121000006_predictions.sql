-- Predictions: every job, from its creation to its settlement. Once, whoever comes first; and then never again.

create type public.prediction_status as enum
    ('starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted');

create table public.predictions (
    id uuid primary key,
    owner uuid not null,
    model text not null references public.models (name),
    model_code smallint not null,
    persona_id uuid references public.personas (id) on delete cascade,
    status public.prediction_status not null default 'starting',
    input jsonb not null check (jsonb_typeof(input) = 'object' and octet_length(input::text) < 100000),
    stream boolean not null default false,
    system boolean not null default false,  -- begun by the backend itself: not listed, not counted against limits
    provider_id text,
    cancel_after boolean not null default false,  -- its owner chose the deadline: reaching it is a cancellation
    cancel_requested boolean not null default false,  -- a running one is asked to end itself: it knows what it has used
    output text,
    captions text,
    poster text,  -- the first frame of a video, as a picture
    published boolean not null default false,  -- shown to everybody
    text text,
    error text,
    degraded jsonb,
    receipt jsonb,
    reserved numeric(14, 3) not null default 0,
    bought numeric(14, 3) not null default 0,  -- credits that a provider's job costs, once it has been started
    idempotency_key text check (char_length(idempotency_key) between 1 and 200),
    body_hash text check (char_length(body_hash) <= 64),
    webhook text check (char_length(webhook) between 1 and 2000),
    webhook_events text[] not null default '{}' check (
        webhook_events <@ '{start,output,logs,completed}' and array_position(webhook_events, null) is null
    ),
    deadline timestamptz not null,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz,
    logs text not null default '' check (octet_length(logs) <= 10000)  -- the latest that its webhook was told
);
create index predictions_by_owner on public.predictions (owner, created_at desc, id desc);
create index predictions_by_persona on public.predictions (persona_id, created_at desc, id desc);
create index videos_by_owner on public.predictions (owner, created_at desc, id desc)
    where status = 'succeeded' and not system and output is not null;
create index videos_published on public.predictions (created_at desc, id desc) where published;
create index predictions_by_key on public.predictions (owner, idempotency_key) where idempotency_key is not null;
create index predictions_unsigned on public.predictions (completed_at) where receipt ->> 'provenance' = 'failed';
create index predictions_unfinished on public.predictions (deadline) where status in ('starting', 'processing');
create trigger predictions_release_files before delete on public.predictions
    for each row execute function public.release_files();

create table public.messages (
    id bigint generated always as identity primary key,
    owner uuid not null,
    persona_id uuid not null references public.personas (id) on delete cascade,
    prediction_id uuid references public.predictions (id) on delete set null,
    role text not null check (role in ('user', 'assistant')),
    content text not null,
    created_at timestamptz not null default now()
);
create index messages_by_persona on public.messages (persona_id, id desc);
create index messages_by_prediction on public.messages (prediction_id) where prediction_id is not null;

alter table public.predictions enable row level security;
alter table public.messages enable row level security;
create policy "own predictions are read" on public.predictions for select to authenticated using (owner = auth.uid());
create policy "own messages are read" on public.messages for select to authenticated using (owner = auth.uid());

create function public.predictions_stay_finished() returns trigger
language plpgsql set search_path = '' as $$
begin
    if old.status in ('succeeded', 'failed', 'canceled', 'aborted')
        and (to_jsonb(new) - 'published') #- '{receipt,provenance}'
            is distinct from (to_jsonb(old) - 'published') #- '{receipt,provenance}'
    then
        raise exception 'prediction % is finished and cannot change', old.id using errcode = 'PT409';
    end if;
    return new;
end $$;
create trigger predictions_stay_finished before update on public.predictions
    for each row execute function public.predictions_stay_finished();

-- Refuse what would run when as many run as the account may.
create function public.limit_running(p_owner uuid, p_limit integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    running integer;
    oldest timestamptz;
begin
    select count(*), min(deadline) into running, oldest from public.predictions
    where owner = p_owner and deadline > now() and not system
      and (status = 'processing' or (status = 'starting' and not stream));
    if running >= p_limit then
        raise exception '% predictions are running, and no more are allowed at once', running
        using errcode = 'PT429', hint = greatest(1, least(30, ceil(extract(epoch from oldest - now()))))::text;
    end if;
end $$;

-- Create a prediction for the caller, once per idempotency key and day, within limits and credits. p_seconds: until its
-- deadline, where its owner chose it; else null, for as long as the model has.
-- Returns {"prediction": row, "created": whether this call created it}.
create function public.create_prediction(
    p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer,
    p_key text default null, p_hash text default null, p_webhook text default null, p_events text[] default '{}'
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := auth.uid();
    account public.accounts;
    model public.models;
    created public.predictions;
    portrait text;
begin
    if caller is null then
        raise exception 'sign in first' using errcode = 'PT401';
    end if;
    select * into model from public.models where name = p_model;
    if not found then
        raise exception 'no such model' using errcode = 'PT404';
    end if;
    account := public.ensure_account(caller);  -- from here on, one call of this owner at a time

    if p_key is not null then
        select * into created from public.predictions
        where owner = caller and idempotency_key = p_key and created_at > now() - interval '24 hours'
        order by created_at desc limit 1;
        if found and created.body_hash is distinct from p_hash then
            raise exception 'this Idempotency-Key was used with another body' using errcode = 'PT409';
        elsif found then
            return jsonb_build_object('prediction', to_jsonb(created), 'created', false);
        end if;
    end if;

    if p_persona is not null or 'persona' = any (model.needs) then
        select p.portrait into portrait from public.personas p where id = p_persona and owner = caller;
        if not found then
            raise exception 'no such persona' using errcode = 'PT404';
        end if;
        if portrait is null and 'portrait' = any (model.needs) then
            raise exception '%', 'this persona has no portrait yet; make one with the model personaforge/portrait, '
                'or upload a photo with PUT /v1/personas/{id}/portrait' using errcode = 'PT409';
        end if;
    end if;
    -- A stream that nobody has opened does not run: it counts from its claim on.
    if not p_stream then
        perform public.limit_running(caller, account.running_limit);
    end if;
    perform public.limit_rate(caller, 'predictions');
    if account.balance < model.reserve then
        raise exception 'this takes up to % credits, and % are left', model.reserve, account.balance
        using errcode = 'PT402';
    end if;

    insert into public.predictions (
        id, owner, model, model_code, persona_id, input, stream, cancel_after, reserved, idempotency_key, body_hash,
        webhook, webhook_events, deadline
    ) values (
        p_id, caller, model.name, model.code, p_persona, public.as_object(p_input), p_stream, p_seconds is not null, model.reserve, p_key,
        p_hash, p_webhook, p_events, now() + make_interval(secs => greatest(5, least(coalesce(p_seconds, model.seconds), 3600)))
    ) returning * into created;
    perform public.book(caller, 'reserve', -model.reserve, created.id);
    return jsonb_build_object('prediction', to_jsonb(created), 'created', true);
end $$;

-- Have the loops made that show a persona while it does not speak. Returns no row where they are there, or being made, or
-- could not be made three times, or where ten were begun for this owner within a minute: the schedule does it later.
create function public.begin_idle(p_persona uuid, p_id uuid) returns setof public.predictions
language plpgsql security definer set search_path = '' as $$
declare
    persona public.personas;
begin
    perform public.ensure_account(owner) from public.personas where id = p_persona;  -- one call of this owner at a time
    select * into persona from public.personas
    where id = p_persona and portrait is not null and idle is null for update;
    if not found or exists (
        select 1 from public.predictions
        where persona_id = p_persona and model = 'idle' and status in ('starting', 'processing')
    ) or 10 <= (
        select count(*) from public.predictions
        where owner = persona.owner and system and created_at > now() - interval '1 minute'
    ) or 3 <= (
        select count(*) from public.predictions
        where persona_id = p_persona and model = 'idle' and created_at >= persona.look_since
    ) then
        return;
    end if;
    return query insert into public.predictions (id, owner, model, model_code, persona_id, input, system, deadline)
    select p_id, persona.owner, name, code, p_persona, jsonb_build_object('persona', p_persona), true,
        now() + interval '5 minutes'
    from public.models where name = 'idle'
    returning *;
end $$;

-- Personas whose loops are missing although they could have been made by now, the longest waiting first.
create function public.personas_without_idle(p_seconds integer default 20, p_limit integer default 100) returns setof uuid
language sql stable security definer set search_path = '' as $$
    select id from public.personas p
    where portrait is not null and idle is null and look_since < now() - make_interval(secs => p_seconds)
      and 3 > (
        select count(*) from public.predictions
        where persona_id = p.id and model = 'idle' and created_at >= p.look_since
      )
    order by look_since limit p_limit;
$$;

-- Take a waiting prediction to work on it; nobody else gets it then. Returns no row when another has it or it has ended.
create function public.claim_prediction(p_id uuid) returns setof public.predictions
language plpgsql security definer set search_path = '' as $$
declare
    claimed public.predictions;
    account public.accounts;
begin
    select * into claimed from public.predictions where id = p_id and status = 'starting' and deadline > now();
    if claimed.stream then
        account := public.ensure_account(claimed.owner);
        perform public.limit_running(account.owner, account.running_limit);
    end if;
    update public.predictions set status = 'processing', started_at = now()
    where id = p_id and status = 'starting' and not cancel_requested and deadline > now()
    returning * into claimed;
    if found then
        perform public.enqueue_delivery(claimed, 'start');
        return next claimed;
    end if;
end $$;

-- Reserve more for a running prediction, before more is bought for it. False when the balance does not suffice.
create function public.extend_reservation(p_id uuid, p_credits numeric) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    account public.accounts;
    payer uuid;
begin
    select owner into payer from public.predictions where id = p_id;
    if not found or p_credits <= 0 then
        return false;
    end if;
    account := public.ensure_account(payer);
    if account.balance < p_credits then
        return false;
    end if;
    update public.predictions set reserved = reserved + p_credits
    where id = p_id and status in ('starting', 'processing');
    if not found then
        return false;
    end if;
    return public.book(account.owner, 'reserve', -p_credits, p_id);
end $$;

-- Note under which id the provider runs it, and what that costs. Returns no row when it no longer waits for one: then the
-- job is unwanted.
create function public.attach_provider(p_id uuid, p_provider_id text, p_bought numeric default 0) returns setof public.predictions
language plpgsql security definer set search_path = '' as $$
declare
    attached public.predictions;
begin
    update public.predictions
    set provider_id = p_provider_id, bought = p_bought, status = 'processing', started_at = now()
    where id = p_id and status = 'starting' and not cancel_requested
    returning * into attached;
    if found then
        perform public.enqueue_delivery(attached, 'start');
    else  -- its webhook was faster
        update public.predictions set bought = p_bought
        where id = p_id and status = 'processing' and provider_id = p_provider_id
        returning * into attached;
    end if;
    if found then
        return next attached;
    end if;
end $$;

-- Finish a prediction: the first outcome wins, later ones change nothing and are told so.
-- p_outcome: {"status", "output", "captions", "poster", "text", "error", "degraded", "receipt"} as the columns, and what else comes
-- true with it: "charged", whether its owner pays what the receipt says, up to what is reserved; "messages" [{"role", "content"}] of the conversation, "files" [path] that the prediction keeps from now
-- on, "portrait" {"path", "face"} that its persona gets, "idle" {"idle", "thinking", "poster", "hue", "look_since"} that
-- show it while it does not speak, if it still looks as it did then.
-- Returns {"settled": whether this call did it, "notify": whether a webhook is due}.
create function public.settle_prediction(p_id uuid, p_outcome jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    outcome jsonb := public.as_object(p_outcome);
    settled public.predictions;
    notify boolean := false;
begin
    if outcome ->> 'status' is null or outcome ->> 'status' in ('starting', 'processing') then
        raise exception 'a prediction is settled with a final status' using errcode = 'PT422';
    end if;
    perform public.ensure_account(owner) from public.predictions where id = p_id;  -- locked first: see limit_rate
    update public.predictions set
        status = (outcome ->> 'status')::public.prediction_status,
        output = outcome ->> 'output',
        captions = outcome ->> 'captions',
        poster = outcome ->> 'poster',
        text = outcome ->> 'text',
        error = outcome ->> 'error',
        degraded = nullif(outcome -> 'degraded', 'null'),
        receipt = nullif(outcome -> 'receipt', 'null'),
        completed_at = now()
    where id = p_id and status in ('starting', 'processing')
    returning * into settled;
    if not found then
        return '{"settled": false, "notify": false}';
    end if;

    -- The reservation goes back; what was used by its owner's choice is charged.
    perform public.book(settled.owner, 'release', settled.reserved, settled.id);
    if (outcome ->> 'charged')::boolean then
        perform public.book(
            settled.owner, 'charge',
            -least(settled.reserved, round(coalesce((settled.receipt ->> 'cost_usd')::numeric, 0) * 1000, 3)),
            settled.id
        );
    end if;

    insert into public.messages (owner, persona_id, prediction_id, role, content)
    select settled.owner, settled.persona_id, settled.id, turn ->> 'role', turn ->> 'content'
    from jsonb_array_elements(coalesce(outcome -> 'messages', '[]')) with ordinality as turns (turn, place)
    order by place;

    update public.files set referrer = settled.id
    where owner = settled.owner and path in (select jsonb_array_elements_text(coalesce(outcome -> 'files', '[]')));

    if jsonb_typeof(outcome -> 'portrait') = 'object' then
        update public.personas
        set portrait = outcome -> 'portrait' ->> 'path', face = outcome -> 'portrait' -> 'face'
        where id = settled.persona_id;
        update public.files set referrer = null  -- of the picture before
        where owner = settled.owner and referrer = settled.persona_id;
    end if;

    if jsonb_typeof(outcome -> 'idle') = 'object' then
        update public.files set referrer = null  -- of the loops before
        where owner = settled.owner and path in (
            select unnest(array[idle, thinking, poster]) from public.personas where id = settled.persona_id
        ) and referrer = settled.persona_id;
        update public.personas
        set idle = outcome -> 'idle' ->> 'idle', thinking = outcome -> 'idle' ->> 'thinking',
            poster = outcome -> 'idle' ->> 'poster', hue = (outcome -> 'idle' ->> 'hue')::smallint
        where id = settled.persona_id and look_since = (outcome -> 'idle' ->> 'look_since')::timestamptz;
        -- They are the persona's; nobody's where it looks otherwise by now.
        update public.files set referrer = case when found then settled.persona_id end
        where owner = settled.owner and referrer = settled.id;
    end if;

    if settled.output is not null then
        notify := public.enqueue_delivery(settled, 'output');
    end if;
    notify := public.enqueue_delivery(settled, 'completed') or notify;
    return jsonb_build_object('settled', true, 'notify', notify);
end $$;

-- Show a finished video to everybody, or no longer.
create function public.publish_prediction(p_id uuid, p_owner uuid, p_published boolean) returns setof public.predictions
language plpgsql security definer set search_path = '' as $$
begin
    return query update public.predictions set published = p_published
    where id = p_id and owner = p_owner and status = 'succeeded' and output is not null
    returning *;
    if not found then
        raise exception 'no such video' using errcode = 'PT404';
    end if;
end $$;

-- Finished ones whose output was delivered without its manifest, as it could not be signed.
create function public.unsigned_predictions(p_limit integer default 10) returns setof public.predictions
language sql volatile security definer set search_path = '' as $$
    select * from public.predictions
    where receipt ->> 'provenance' = 'failed' and status = 'succeeded' and output is not null
    order by random() limit p_limit;  -- one that can never be signed keeps no other waiting
$$;

-- The output of a prediction was signed after all, and has so many bytes now.
create function public.note_signed(p_id uuid, p_bytes bigint) returns void
language sql security definer set search_path = '' as $$
    update public.predictions set receipt = jsonb_set(receipt, '{provenance}', '"signed"') where id = p_id;
    update public.files set bytes = p_bytes from public.predictions p where p.id = p_id and path = p.output;
$$;

-- Files whose public copies are left although nothing that refers to them is published: a withdrawal broke off.
create function public.withdrawn_files(p_minutes integer default 10, p_limit integer default 1000) returns setof text
language sql stable security definer set search_path = '' as $$
    select path from public.files f
    where public_at < now() - make_interval(mins => p_minutes)
      and not exists (select 1 from public.predictions p where p.id = f.referrer and p.published)
    order by public_at limit p_limit;
$$;

-- Remove a finished prediction with what was said in it; what it cost stays in the ledger. Returns the files that are no
-- longer needed.
create function public.remove_prediction(p_id uuid, p_owner uuid) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
    released text[];
begin
    perform 1 from public.predictions where id = p_id and owner = p_owner for update;
    if not found then
        raise exception 'no such prediction' using errcode = 'PT404';
    end if;
    if exists (select 1 from public.predictions where id = p_id and status in ('starting', 'processing')) then
        raise exception 'this prediction is still running; cancel it first' using errcode = 'PT409';
    end if;
    if exists (
        select 1 from public.personas join public.files on path = portrait where referrer = p_id
    ) then
        raise exception 'this picture is the portrait of a persona; give that another one first' using errcode = 'PT409';
    end if;
    select coalesce(array_agg(path), '{}') into released from public.files where owner = p_owner and referrer = p_id;
    delete from public.messages where prediction_id = p_id;
    delete from public.predictions where id = p_id;
    return released;
end $$;

-- Tell a running prediction's webhook what its logs say now. False when it does not want to know.
create function public.note_logs(p_id uuid, p_logs text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    running public.predictions;
begin
    update public.predictions set logs = p_logs
    where id = p_id and status = 'processing' and webhook is not null and 'logs' = any (webhook_events)
      and logs <> p_logs
    returning * into running;
    return found and public.enqueue_delivery(running, 'logs');
end $$;

-- For the minutely reconciliation: predictions that should have ended, the longest overdue first. Whoever works on one ends
-- it at its deadline and knows what it has used; 5 s later nobody does any more.
create function public.overdue_predictions(p_limit integer default 100) returns setof public.predictions
language sql stable security definer set search_path = '' as $$
    select * from public.predictions
    where status in ('starting', 'processing') and deadline < now() - interval '5 seconds'
    order by deadline limit p_limit;
$$;

-- Predictions of these models that wait for a worker although they were created p_seconds ago.
create function public.waiting_predictions(p_models text[], p_seconds integer default 20, p_limit integer default 100)
returns setof public.predictions
language sql stable security definer set search_path = '' as $$
    select * from public.predictions
    where status = 'starting' and not stream and model = any (p_models)
      and deadline > now() and created_at < now() - make_interval(secs => p_seconds)
    order by created_at limit p_limit;
$$;

revoke all on public.predictions, public.messages from anon, authenticated, service_role;
grant select on public.predictions, public.messages to authenticated;
grant select, insert, update, delete on public.predictions, public.messages to service_role;
revoke execute on function
    public.predictions_stay_finished, public.create_prediction, public.claim_prediction, public.attach_provider,
    public.settle_prediction, public.overdue_predictions, public.waiting_predictions, public.extend_reservation,
    public.limit_running, public.note_logs, public.begin_idle, public.personas_without_idle,
    public.publish_prediction, public.remove_prediction, public.withdrawn_files,
    public.unsigned_predictions, public.note_signed
    from public, anon, authenticated, service_role;
grant execute on function public.create_prediction to authenticated;
grant execute on function
    public.claim_prediction, public.attach_provider, public.settle_prediction, public.overdue_predictions,
    public.waiting_predictions, public.extend_reservation, public.note_logs, public.begin_idle,
    public.personas_without_idle, public.publish_prediction, public.remove_prediction, public.withdrawn_files,
    public.unsigned_predictions, public.note_signed
    to service_role;

-- supabase-js and its like are told of changes of one's own predictions, where Realtime is.
do $$ begin
    if exists (select 1 from pg_publication where pubname = 'supabase_realtime') then
        alter publication supabase_realtime add table public.predictions;
    end if;
end $$;
