-- Name: order_status; Type: TYPE; Schema: public; Owner: -

CREATE TYPE public.order_status AS ENUM (
    'open',
    'pending',
    'paid',
    'failed',
    'expired',
    'mismatch'
);

-- Name: prediction_status; Type: TYPE; Schema: public; Owner: -

CREATE TYPE public.prediction_status AS ENUM (
    'starting',
    'processing',
    'succeeded',
    'failed',
    'canceled',
    'aborted'
);

-- Name: project_status; Type: TYPE; Schema: public; Owner: -

CREATE TYPE public.project_status AS ENUM (
    'ready',
    'working',
    'waiting',
    'succeeded',
    'failed',
    'canceled'
);

-- Name: address_digest(text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.address_digest(p_address text) RETURNS bytea
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
    select sha256(convert_to(regexp_replace(lower(trim(p_address)), '\+[^@]*@', '@'), 'UTF8'));
$$;

-- Name: as_object(jsonb); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.as_object(p jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$
    select case jsonb_typeof(p) when 'string' then (p #>> '{}')::jsonb else p end
$$;

-- Name: predictions; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.predictions (
    id uuid NOT NULL,
    owner uuid NOT NULL,
    model text NOT NULL,
    model_code smallint NOT NULL,
    persona_id uuid,
    status public.prediction_status DEFAULT 'starting'::public.prediction_status NOT NULL,
    input jsonb NOT NULL,
    stream boolean DEFAULT false NOT NULL,
    system boolean DEFAULT false NOT NULL,
    provider_id text,
    cancel_after boolean DEFAULT false NOT NULL,
    cancel_requested boolean DEFAULT false NOT NULL,
    output text,
    captions text,
    poster text,
    published boolean DEFAULT false NOT NULL,
    text text,
    error text,
    degraded jsonb,
    receipt jsonb,
    reserved numeric(14,3) DEFAULT 0 NOT NULL,
    bought numeric(14,3) DEFAULT 0 NOT NULL,
    idempotency_key text,
    body_hash text,
    webhook text,
    webhook_events text[] DEFAULT '{}'::text[] NOT NULL,
    deadline timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    logs text DEFAULT ''::text NOT NULL,
    CONSTRAINT predictions_body_hash_check CHECK ((char_length(body_hash) <= 64)),
    CONSTRAINT predictions_idempotency_key_check CHECK (((char_length(idempotency_key) >= 1) AND (char_length(idempotency_key) <= 200))),
    CONSTRAINT predictions_input_check CHECK (((jsonb_typeof(input) = 'object'::text) AND (octet_length((input)::text) < 100000))),
    CONSTRAINT predictions_logs_check CHECK ((octet_length(logs) <= 10000)),
    CONSTRAINT predictions_webhook_check CHECK (((char_length(webhook) >= 1) AND (char_length(webhook) <= 2000))),
    CONSTRAINT predictions_webhook_events_check CHECK (((webhook_events <@ '{start,output,logs,completed}'::text[]) AND (array_position(webhook_events, NULL::text) IS NULL)))
);

-- Name: attach_provider(uuid, text, numeric); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.attach_provider(p_id uuid, p_provider_id text, p_bought numeric DEFAULT 0) RETURNS SETOF public.predictions
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: audience(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.audience() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with shown as (
        select project_id, state, views from public.publications where owner = auth.uid() and video_id is not null
    ), costs as (
        select sum(s.cost_usd) * 1000 as credits from shown join public.steps s on s.project_id = shown.project_id
        group by shown.project_id
    )
    select jsonb_build_object(
        'published', (select count(*) from shown where state = 'public'),
        'views', (select coalesce(sum(views), 0) from shown),
        'minutes', (select coalesce(sum(minutes), 0) from public.video_days where owner = auth.uid()),
        'revenue', (select sum(revenue) from public.video_days where owner = auth.uid()),
        'credits_a_film', (select round(avg(credits), 1) from costs)
    );
$$;

-- Name: begin_idle(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.begin_idle(p_persona uuid, p_id uuid) RETURNS SETOF public.predictions
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: begin_step(uuid, uuid, text, text, numeric); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.begin_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_credits numeric) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    held public.projects := public.held_project(p_id, p_by);
    step public.steps;
    lacking numeric;
begin
    insert into public.steps (project_id, owner, stage, key) values (p_id, held.owner, p_stage, p_key)
    on conflict (project_id, stage, key) do update
        set attempt = steps.attempt + 1 where steps.result is null
    returning * into step;
    if not found then
        select * into step from public.steps where project_id = p_id and stage = p_stage and key = p_key;
        return jsonb_build_object('done', true, 'result', step.result);
    end if;
    lacking := p_credits - step.reserved;  -- an attempt that died has left its reservation
    if lacking > 0 then
        if (select balance from public.accounts where owner = held.owner) < lacking then
            return jsonb_build_object('done', false, 'paid', false);
        end if;
        perform public.book(held.owner, 'reserve', -lacking, p_id);
        update public.steps set reserved = p_credits where project_id = p_id and stage = p_stage and key = p_key;
    end if;
    update public.projects set lease_until = now() + interval '60 seconds' where id = p_id;
    return jsonb_build_object('done', false, 'paid', true);
end $$;

-- Name: billing(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.billing() RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller uuid := auth.uid();
    account public.accounts := public.ensure_account(caller);
begin
    return jsonb_build_object(
        'balance', account.balance,
        'held', (
            select coalesce(sum(reserved), 0) from public.predictions
            where owner = caller and status in ('starting', 'processing')
        ) + (
            select coalesce(sum(s.reserved), 0) from public.steps s join public.projects f on f.id = s.project_id
            where f.owner = caller and s.result is null
        ),
        'month', (
            select coalesce(jsonb_object_agg(model, credits), '{}') from (
                select coalesce(p.model, case when f.id is not null then 'film' else 'other' end) as model,
                    -sum(u.credits) as credits
                from public.usage u left join public.predictions p on p.id = u.prediction_id
                    left join public.projects f on f.id = u.prediction_id
                where u.owner = caller and u.kind = 'charge' and u.created_at >= date_trunc('month', now()) group by 1
            ) months
        ),
        'limits', jsonb_build_array(
            jsonb_build_object('name', 'running', 'limit', account.running_limit, 'used', (
                select count(*) from public.predictions
                where owner = caller and not system and status in ('starting', 'processing')
            )),
            jsonb_build_object('name', 'minute', 'limit', account.minute_limit, 'used', (
                select count(*) from public.recent_requests
                where owner = caller and kind = 'predictions' and created_at > now() - interval '1 minute'
            ))
        )
    );
end $$;

-- Name: book(uuid, text, numeric, uuid, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.book(p_owner uuid, p_kind text, p_credits numeric, p_prediction uuid DEFAULT NULL::uuid, p_external_id text DEFAULT NULL::text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    -- The account first, also to refuse: a line without an account would be money that nobody has.
    perform 1 from public.accounts where owner = p_owner for update;
    if not found then
        raise exception 'owner % has no account', p_owner using errcode = 'PT500';
    end if;
    if p_credits = 0 then
        return false;
    end if;
    insert into public.usage (owner, kind, credits, prediction_id, external_id)
    values (p_owner, p_kind, p_credits, p_prediction, p_external_id)
    on conflict (external_id) do nothing;
    if not found then
        return false;
    end if;
    update public.accounts set balance = balance + p_credits where owner = p_owner;
    return true;
end $$;

-- Name: projects; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.projects (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    owner uuid NOT NULL,
    persona_id uuid,
    pipeline smallint DEFAULT 1 NOT NULL,
    input jsonb NOT NULL,
    status public.project_status DEFAULT 'ready'::public.project_status NOT NULL,
    stage text DEFAULT 'scripts'::text NOT NULL,
    waiting_for text,
    gate_until timestamp with time zone,
    reminded_at timestamp with time zone,
    round smallint DEFAULT 1 NOT NULL,
    wake_at timestamp with time zone DEFAULT now() NOT NULL,
    lease_by uuid,
    lease_until timestamp with time zone,
    attempt smallint DEFAULT 0 NOT NULL,
    claims smallint DEFAULT 0 NOT NULL,
    cancel_requested boolean DEFAULT false NOT NULL,
    error jsonb,
    output jsonb,
    idempotency_key text,
    body_hash text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT projects_input_check CHECK (((jsonb_typeof(input) = 'object'::text) AND (octet_length((input)::text) < 20000)))
);

-- Name: cancel_project(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.cancel_project(p_id uuid, p_owner uuid) RETURNS SETOF public.projects
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    project public.projects;
begin
    perform public.ensure_account(p_owner);
    select * into project from public.projects where id = p_id and owner = p_owner for update;
    if not found then
        raise exception 'no such project' using errcode = 'PT404';
    end if;
    if project.status = 'working' and project.lease_until > now() then
        update public.projects set cancel_requested = true where id = p_id;
    elsif project.status in ('ready', 'working', 'waiting', 'failed') then
        update public.projects
        set status = 'canceled', waiting_for = null, gate_until = null, updated_at = now() where id = p_id;
        perform public.release_steps(p_id, p_owner);
    end if;
    return query select * from public.projects where id = p_id;
end $$;

-- Name: change_look(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.change_look() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if (new.portrait, new.face, new.liveliness, new.gaze)
        is distinct from (old.portrait, old.face, old.liveliness, old.gaze)
    then
        update public.files set referrer = null
        where owner = old.owner and path in (old.idle, old.thinking, old.poster);
        new.idle := null;
        new.thinking := null;
        new.poster := null;
        new.hue := null;
        new.look_since := clock_timestamp();
    end if;
    return new;
end $$;

-- Name: change_persona(uuid, jsonb); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.change_persona(p_persona uuid, p_changes jsonb) RETURNS boolean
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with argument as (
        select public.as_object(p_changes) as change
    ), changed as (
        update public.personas set
            name = coalesce(change ->> 'name', name),
            description = coalesce(change ->> 'description', description),
            appearance = coalesce(change ->> 'appearance', appearance),
            language = coalesce(change ->> 'language', language),
            voice_speed = coalesce((change ->> 'voice_speed')::double precision, voice_speed),
            voice_stability = coalesce((change ->> 'voice_stability')::double precision, voice_stability),
            liveliness = coalesce((change ->> 'liveliness')::double precision, liveliness),
            gaze = coalesce(change ->> 'gaze', gaze)
        from argument
        where id = p_persona and owner = auth.uid()
        returning id
    )
    select exists (select 1 from changed);
$$;

-- Name: claim_prediction(uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.claim_prediction(p_id uuid) RETURNS SETOF public.predictions
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: claim_project(uuid, uuid, interval); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.claim_project(p_by uuid, p_id uuid DEFAULT NULL::uuid, p_lease interval DEFAULT '00:01:00'::interval) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    claimed public.projects;
begin
    -- One that is stopped below gives back what is reserved: its account is locked first, see limit_rate.
    perform public.ensure_account(owner) from public.projects where id = p_id and (claims >= 5 or cancel_requested);
    select * into claimed from public.projects
    where (p_id is null or id = p_id) and wake_at <= now()
      and (status = 'ready' or (status = 'working' and lease_until < now()))
    order by wake_at limit 1 for update skip locked;
    if not found then
        return null;
    end if;
    if claimed.claims >= 5 then
        update public.projects set
            status = 'failed', updated_at = now(), lease_by = null, lease_until = null,
            error = '{"code": "worker_died", "detail": "Five workers died of this step. It can be retried."}'
        where id = claimed.id;
        perform public.release_steps(claimed.id, claimed.owner);
        return null;
    end if;
    if claimed.cancel_requested then  -- its worker died before it heard of it
        update public.projects set
            status = 'canceled', updated_at = now(), lease_by = null, lease_until = null where id = claimed.id;
        perform public.release_steps(claimed.id, claimed.owner);
        return null;
    end if;
    update public.projects set
        status = 'working', lease_by = p_by, lease_until = now() + p_lease, attempt = attempt + 1, claims = claims + 1,
        wake_at = now(), updated_at = now()
    where id = claimed.id returning * into claimed;
    return jsonb_build_object('project', to_jsonb(claimed), 'steps', coalesce((
        select jsonb_agg(to_jsonb(s) order by s.started_at) from public.steps s
        where s.project_id = claimed.id and s.result is not null
    ), '[]'), 'decisions', coalesce((
        select jsonb_agg(to_jsonb(e)) from public.project_events e where e.project_id = claimed.id
    ), '[]'));
end $$;

-- Name: correct_face(uuid, uuid, text, jsonb); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.correct_face(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    released text[];
begin
    update public.personas set face = public.as_object(p_face)
    where id = p_persona and owner = p_owner and portrait = p_path;
    if not found then
        return null;
    end if;
    with former as (
        update public.files set referrer = null
        where owner = p_owner and referrer = p_persona and path <> p_path returning path
    )
    select coalesce(array_agg(path), '{}') into released from former;
    return released;
end $$;

-- Name: count_month(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.count_month() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    this_month date := date_trunc('month', now() at time zone 'utc');
    own_limit numeric;
    total_limit numeric;
    spent numeric;
begin
    insert into public.month_usage (owner, month, credits) values (new.owner, this_month, -new.credits)
    on conflict (month, owner) do update set credits = public.month_usage.credits - new.credits
    returning credits into spent;
    if new.kind <> 'reserve' then
        return null;
    end if;
    select month_limit into own_limit from public.accounts where owner = new.owner;
    if spent > own_limit then
        raise exception 'this would go over your limit of % credits a month, which begins anew on %',
            trim_scale(own_limit), this_month + interval '1 month' using errcode = 'PT402';
    end if;
    select credits into total_limit from public.month_limits;
    if total_limit is not null then
        -- One after the other: each sees what those before it have spent.
        perform pg_advisory_xact_lock(hashtext('month_limits'));
        select sum(credits) into spent from public.month_usage where month = this_month;
        if spent > total_limit then
            raise exception 'this deployment has spent what its owner allows for this month; it begins anew on %',
                (this_month + interval '1 month')::date using errcode = 'PT402';
        end if;
    end if;
    return null;
end $$;

-- Name: orders; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.orders (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    owner uuid NOT NULL,
    pack text NOT NULL,
    credits numeric(14,3) NOT NULL,
    amount integer NOT NULL,
    currency text NOT NULL,
    live boolean NOT NULL,
    status public.order_status DEFAULT 'open'::public.order_status NOT NULL,
    session text,
    refunded integer DEFAULT 0 NOT NULL,
    disputed integer DEFAULT 0 NOT NULL,
    booked jsonb DEFAULT '{}'::jsonb NOT NULL,
    receipt_url text,
    invoice_url text,
    seen integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    paid_at timestamp with time zone,
    CONSTRAINT orders_amount_check CHECK ((amount > 0)),
    CONSTRAINT orders_check CHECK (((refunded >= 0) AND (refunded <= amount))),
    CONSTRAINT orders_check1 CHECK (((disputed >= 0) AND (disputed <= amount))),
    CONSTRAINT orders_credits_check CHECK ((credits > (0)::numeric)),
    CONSTRAINT orders_currency_check CHECK ((currency ~ '^[a-z]{3}$'::text))
);

-- Name: create_order(text, numeric, integer, text, boolean, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.create_order(p_pack text, p_credits numeric, p_amount integer, p_currency text, p_live boolean, p_owner uuid) RETURNS public.orders
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    created public.orders;
begin
    perform public.limit_rate(p_owner, 'orders');
    if (select count(*) from public.orders where owner = p_owner and status = 'open') >= 20 then
        raise exception 'twenty orders are not paid yet; pay one of them, or wait for a day' using errcode = 'PT429', hint = '3600';
    end if;
    insert into public.orders (owner, pack, credits, amount, currency, live)
    values (p_owner, p_pack, p_credits, p_amount, p_currency, p_live) returning * into created;
    return created;
end $$;

-- Name: create_prediction(uuid, text, uuid, jsonb, boolean, integer, text, text, text, text[]); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.create_prediction(p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer, p_key text DEFAULT NULL::text, p_hash text DEFAULT NULL::text, p_webhook text DEFAULT NULL::text, p_events text[] DEFAULT '{}'::text[]) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: create_project(uuid, jsonb, text, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.create_project(p_persona uuid, p_input jsonb, p_key text DEFAULT NULL::text, p_hash text DEFAULT NULL::text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    caller uuid := auth.uid();
    created public.projects;
    portrait text;
begin
    if caller is null then
        raise exception 'sign in first' using errcode = 'PT401';
    end if;
    perform public.ensure_account(caller);  -- from here on, one call of this owner at a time
    if p_key is not null then
        select * into created from public.projects where owner = caller and idempotency_key = p_key;
        if found and created.body_hash is distinct from p_hash then
            raise exception 'this Idempotency-Key was used with another body' using errcode = 'PT409';
        elsif found then
            return jsonb_build_object('project', to_jsonb(created), 'created', false);
        end if;
    end if;
    select p.portrait into portrait from public.personas p where id = p_persona and owner = caller;
    if not found then
        raise exception 'no such persona' using errcode = 'PT404';
    end if;
    if portrait is null then
        raise exception '%', 'this persona has no portrait yet; make one with the model personaforge/portrait, '
            'or upload a photo with PUT /v1/personas/{id}/portrait' using errcode = 'PT409';
    end if;
    perform public.limit_rate(caller, 'projects');
    if (select count(*) from public.projects where owner = caller and status in ('ready', 'working')) >= 5 then
        raise exception 'five projects are being worked on; wait until one of them waits for you' using errcode = 'PT429', hint = '30';
    end if;
    insert into public.projects (owner, persona_id, input, idempotency_key, body_hash)
    values (caller, p_persona, public.as_object(p_input), p_key, p_hash) returning * into created;
    return jsonb_build_object('project', to_jsonb(created), 'created', true);
end $$;

-- Name: decide_project(uuid, uuid, text, integer, text, jsonb, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.decide_project(p_id uuid, p_owner uuid, p_gate text, p_round integer, p_decision text, p_payload jsonb, p_by text) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    project public.projects;
    stands public.project_events;
begin
    select * into project from public.projects where id = p_id and owner = p_owner for update;
    if not found then
        raise exception 'no such project' using errcode = 'PT404';
    end if;
    select * into stands from public.project_events
    where project_id = p_id and gate = p_gate and round = p_round;
    if found then
        return jsonb_build_object('event', to_jsonb(stands), 'first', false);
    end if;
    if project.status <> 'waiting' or project.waiting_for is distinct from p_gate or project.round <> p_round
        or p_gate not in ('script', 'film')
    then
        raise exception 'this project does not wait for that; it is %', project.status using errcode = 'PT409';
    end if;
    if project.gate_until < now() then
        raise exception 'the time to decide was over at %; retry the project to decide anew', project.gate_until
        using errcode = 'PT409';
    end if;
    insert into public.project_events (project_id, owner, gate, round, decision, payload, by)
    values (p_id, project.owner, p_gate, p_round, p_decision, public.as_object(p_payload), p_by)
    returning * into stands;
    update public.projects set
        status = 'ready', waiting_for = null, gate_until = null, wake_at = now(), updated_at = now(), attempt = 0,
        round = round + case p_decision when 'reject' then 1 else 0 end
    where id = p_id;
    return jsonb_build_object('event', to_jsonb(stands), 'first', true);
end $$;

-- Name: due_deliveries(uuid, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.due_deliveries(p_about uuid DEFAULT NULL::uuid, p_limit integer DEFAULT 50) RETURNS SETOF jsonb
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: end_canceled(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.end_canceled(p_id uuid, p_by uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    payer uuid;
begin
    select owner into payer from public.projects where id = p_id and lease_by = p_by and cancel_requested;
    if found then
        perform public.ensure_account(payer);
        update public.projects set status = 'canceled', lease_by = null, lease_until = null, updated_at = now()
        where id = p_id and status = 'working';
        perform public.release_steps(p_id, payer);
        update public.files set referrer = null  -- of a persona that was deleted meanwhile
        where owner = payer and referrer = p_id
          and exists (select 1 from public.projects where id = p_id and persona_id is null);
    end if;
end $$;

-- Name: end_step(uuid, uuid, text, text, jsonb, jsonb, numeric, text[]); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.end_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_result jsonb, p_error jsonb, p_cost_usd numeric, p_files text[] DEFAULT '{}'::text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    held public.projects := public.held_project(p_id, p_by, false);  -- what was bought is charged, wanted or not
    step public.steps;
begin
    select * into step from public.steps where project_id = p_id and stage = p_stage and key = p_key for update;
    if step.result is not null then
        return;
    end if;
    perform public.book(held.owner, 'release', step.reserved, p_id);
    perform public.book(held.owner, 'charge', -least(step.reserved, round(p_cost_usd * 1000, 3)), p_id);
    update public.steps set
        result = nullif(public.as_object(p_result), 'null'), error = nullif(public.as_object(p_error), 'null'),
        cost_usd = steps.cost_usd + p_cost_usd, reserved = 0, ended_at = now()
    where project_id = p_id and stage = p_stage and key = p_key;
    update public.files set referrer = p_id where owner = held.owner and path = any (p_files);
    update public.projects set lease_until = now() + interval '60 seconds', claims = 0, updated_at = now() where id = p_id;
end $$;

-- Name: enqueue_delivery(public.predictions, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.enqueue_delivery(p_prediction public.predictions, p_event text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if p_prediction.webhook is null or p_event <> all (p_prediction.webhook_events) then
        return false;
    end if;
    insert into public.webhook_deliveries (owner, prediction_id, event)
    values (p_prediction.owner, p_prediction.id, p_event);
    return true;
end $$;

-- Name: enqueue_project_delivery(public.projects, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.enqueue_project_delivery(p_project public.projects, p_event text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if p_project.input ->> 'webhook' is null then
        return false;
    end if;
    insert into public.webhook_deliveries (owner, project_id, event) values (p_project.owner, p_project.id, p_event);
    return true;
end $$;

-- Name: accounts; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.accounts (
    owner uuid NOT NULL,
    balance numeric(14,3) DEFAULT 0 NOT NULL,
    running_limit integer DEFAULT 8 NOT NULL,
    minute_limit integer DEFAULT 60 NOT NULL,
    month_limit numeric(14,3),
    CONSTRAINT accounts_month_limit_check CHECK ((month_limit >= (0)::numeric))
);

-- Name: ensure_account(uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.ensure_account(p_owner uuid) RETURNS public.accounts
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    account public.accounts;
    welcome numeric := 5000;
begin
    insert into public.accounts (owner) values (p_owner) on conflict do nothing;
    if found then
        if exists (
            select 1 from public.erased_addresses e join auth.users u on e.digest = public.address_digest(u.email)
            where u.id = p_owner
        ) then
            welcome := 0;
        end if;
        perform public.book(p_owner, 'grant', welcome);
    end if;
    select * into account from public.accounts where owner = p_owner for update;
    return account;
end $$;

-- Name: erase_account(uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.erase_account(p_owner uuid) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    account public.accounts;
    released text[];
begin
    account := public.ensure_account(p_owner);
    if exists (select 1 from public.predictions where owner = p_owner and status in ('starting', 'processing'))
        or exists (select 1 from public.projects where owner = p_owner and status not in ('succeeded', 'failed', 'canceled'))
    then
        raise exception 'something of yours is still being made; it has been asked to stop, retry in a moment'
            using errcode = 'PT409';
    end if;
    if exists (
        select 1 from public.publications
        where owner = p_owner and state in ('uploading', 'processing', 'scheduled') and video_id is not null
    ) then
        raise exception 'YouTube would publish a film of yours all the same; make it private first' using errcode = 'PT409';
    end if;
    select coalesce(array_agg(path), '{}') into released from public.files where owner = p_owner;
    delete from public.projects where owner = p_owner;
    delete from public.personas where owner = p_owner;
    delete from public.predictions where owner = p_owner;
    delete from public.webhook_deliveries where owner = p_owner;
    delete from public.channels where owner = p_owner;
    delete from public.consents where owner = p_owner;
    delete from public.recent_requests where owner = p_owner;
    update public.usage set prediction_id = null where owner = p_owner;
    insert into public.erased_addresses (digest)
    select public.address_digest(email) from auth.users where id = p_owner and email <> '' on conflict do nothing;
    perform public.book(p_owner, 'erasure', -greatest(account.balance, 0));
    return released;
end $$;

-- Name: extend_lease(uuid, uuid, interval); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.extend_lease(p_id uuid, p_by uuid, p_lease interval DEFAULT '00:01:00'::interval) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform public.held_project(p_id, p_by);
    update public.projects set lease_until = now() + p_lease where id = p_id;
end $$;

-- Name: extend_reservation(uuid, numeric); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.extend_reservation(p_id uuid, p_credits numeric) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: follow_order(uuid, integer, text, text, integer, integer, text, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.follow_order(p_id uuid, p_seen integer, p_session text, p_status text, p_refunded integer, p_disputed integer, p_receipt_url text DEFAULT NULL::text, p_invoice_url text DEFAULT NULL::text) RETURNS SETOF public.orders
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    followed public.orders;
    wanted jsonb;
    line record;
begin
    perform public.ensure_account(owner) from public.orders where id = p_id;  -- locked first: see limit_rate
    select * into followed from public.orders where id = p_id for update;
    if not found then
        raise exception 'no such order' using errcode = 'PT404';
    end if;
    if followed.seen <> p_seen then
        return;
    end if;
    if followed.session is distinct from p_session and followed.session is not null then
        raise exception 'this order has another session' using errcode = 'PT409';
    end if;
    wanted := case p_status when 'paid' then jsonb_build_object(
        'purchase', followed.credits,
        'refund', -round(followed.credits * least(p_refunded, followed.amount) / followed.amount, 3),
        'dispute', -round(
            followed.credits * least(p_disputed, followed.amount - least(p_refunded, followed.amount)) / followed.amount, 3
        )
    ) else '{"purchase": 0, "refund": 0, "dispute": 0}' end;
    for line in select key, value::numeric - coalesce((followed.booked ->> key)::numeric, 0) as change
        from jsonb_each_text(wanted) order by 2 desc  -- what comes in first
    loop
        perform public.book(
            followed.owner, line.key, line.change, p_id, format('order %s %s %s', p_id, followed.seen + 1, line.key)
        );
    end loop;
    return query update public.orders set
        session = p_session, status = p_status::public.order_status, booked = wanted,
        refunded = least(p_refunded, amount), disputed = least(p_disputed, amount),
        receipt_url = coalesce(p_receipt_url, receipt_url), invoice_url = coalesce(p_invoice_url, invoice_url),
        paid_at = case when p_status = 'paid' then coalesce(paid_at, now()) end, seen = seen + 1
    where id = p_id returning *;
end $$;

-- Name: guard_voice(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.guard_voice() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if auth.uid() is not null and (new.voice_id, new.voice_consent_at) is distinct from
        (case when tg_op = 'UPDATE' then old.voice_id else '' end, case when tg_op = 'UPDATE' then old.voice_consent_at end)
    then
        raise exception 'a voice is chosen through /v1/personas, which asks for consent where it is somebody''s'
            using errcode = 'PT422';
    end if;
    return new;
end $$;

-- Name: held_project(uuid, uuid, boolean); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.held_project(p_id uuid, p_by uuid, p_wanted boolean DEFAULT true) RETURNS public.projects
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    held public.projects;
begin
    perform public.ensure_account(owner) from public.projects where id = p_id;  -- locked first: see limit_rate
    select * into held from public.projects where id = p_id for update;
    if not found or held.status <> 'working' or held.lease_by is distinct from p_by or held.lease_until < now() then
        raise exception 'another worker has this project' using errcode = 'PT409';
    end if;
    if p_wanted and held.cancel_requested then
        raise exception 'this project was canceled' using errcode = 'PT409';
    end if;
    return held;
end $$;

-- Name: kept_search(text, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.kept_search(p_query text, p_orientation text) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select answer from public.footage_searches
    where query = p_query and orientation = p_orientation and found_at > now() - interval '1 day';
$$;

-- Name: ledger(bigint, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.ledger(p_before bigint DEFAULT NULL::bigint, p_limit integer DEFAULT 50) RETURNS SETOF jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with raw as (
        select id, created_at, kind, credits, prediction_id from public.usage
        where owner = auth.uid() and kind not in ('reserve', 'release') and (p_before is null or id < p_before)
        order by id desc limit 2000
    ), settled as (
        select coalesce(sum(credits), 0) as balance from public.usage
        where owner = auth.uid() and kind not in ('reserve', 'release') and (p_before is null or id < p_before)
    ), after as (
        select *, (select balance from settled) - coalesce(sum(credits) over (
            order by id desc rows between unbounded preceding and 1 preceding
        ), 0) as balance from raw
    ), lines as (
        select max(id) as id, max(created_at) as at, kind, sum(credits) as credits, prediction_id as about,
            (array_agg(balance order by id desc))[1] as balance
        from after group by kind, prediction_id, case kind when 'charge' then null else id end
        order by max(id) desc limit p_limit
    )
    select jsonb_build_object(
        'id', s.id, 'at', s.at, 'kind', s.kind, 'credits', s.credits, 'balance', s.balance,
        'model', coalesce(p.model, case when f.id is not null then 'film' end), 'persona', one.name,
        'about', coalesce(f.input ->> 'idea', p.input ->> 'scene'), 'pack', o.pack
    )
    from lines s left join public.predictions p on p.id = s.about left join public.personas one on one.id = p.persona_id
        left join public.projects f on f.id = s.about left join public.orders o on o.id = s.about
    order by s.id desc;
$$;

-- Name: limit_personas(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.limit_personas() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    if auth.uid() is not null then
        perform public.limit_rate(new.owner, 'personas');
    end if;
    return new;
end $$;

-- Name: limit_rate(uuid, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.limit_rate(p_owner uuid, p_kind text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    account public.accounts := public.ensure_account(p_owner);
    recent integer;
    oldest timestamptz;
begin
    delete from public.recent_requests
    where owner = p_owner and kind = p_kind and created_at <= now() - interval '1 minute';
    select count(*), min(created_at) into recent, oldest from public.recent_requests
    where owner = p_owner and kind = p_kind;
    if recent >= account.minute_limit then
        raise exception '% % were made within a minute, and no more are allowed', recent, p_kind
        using errcode = 'PT429', hint = greatest(1, ceil(extract(epoch from oldest - now()) + 60))::text;
    end if;
    insert into public.recent_requests (owner, kind) values (p_owner, p_kind);
end $$;

-- Name: limit_running(uuid, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.limit_running(p_owner uuid, p_limit integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: limit_uploads(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.limit_uploads() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform public.ensure_account(new.owner);  -- one call of this owner at a time
    if 100 <= (select count(*) from public.files where owner = new.owner and expires_at > now()) then
        raise exception '100 uploaded files are kept already; remove some, or wait a day'
        using errcode = 'PT429', hint = '3600';
    end if;
    return new;
end $$;

-- Name: move_project(uuid, uuid, text, text, text, interval, interval, jsonb, jsonb, boolean); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.move_project(p_id uuid, p_by uuid, p_status text, p_stage text, p_waiting_for text DEFAULT NULL::text, p_gate interval DEFAULT NULL::interval, p_wake interval DEFAULT '00:00:00'::interval, p_error jsonb DEFAULT NULL::jsonb, p_output jsonb DEFAULT NULL::jsonb, p_patient boolean DEFAULT false) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    held public.projects := public.held_project(p_id, p_by);
begin
    update public.projects set
        status = p_status::public.project_status, stage = p_stage, waiting_for = p_waiting_for,
        gate_until = now() + p_gate, reminded_at = null, wake_at = now() + p_wake,
        error = nullif(public.as_object(p_error), 'null'),
        output = coalesce(nullif(public.as_object(p_output), 'null'), output),
        claims = 0,
        attempt = case when p_stage <> held.stage or p_status <> 'ready' or p_error is null or p_patient then 0
            else attempt end,
        lease_by = case when p_status = 'working' then lease_by end,
        lease_until = case when p_status = 'working' then lease_until end,
        updated_at = now()
    where id = p_id;
    if p_status in ('succeeded', 'failed', 'canceled') then
        perform public.release_steps(p_id, held.owner);
    end if;
end $$;

-- Name: note_logs(uuid, text); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.note_logs(p_id uuid, p_logs text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    running public.predictions;
begin
    update public.predictions set logs = p_logs
    where id = p_id and status = 'processing' and webhook is not null and 'logs' = any (webhook_events)
      and logs <> p_logs
    returning * into running;
    return found and public.enqueue_delivery(running, 'logs');
end $$;

-- Name: note_signed(uuid, bigint); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.note_signed(p_id uuid, p_bytes bigint) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    update public.predictions set receipt = jsonb_set(receipt, '{provenance}', '"signed"') where id = p_id;
    update public.files set bytes = p_bytes from public.predictions p where p.id = p_id and path = p.output;
$$;

-- Name: overdue_predictions(integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.overdue_predictions(p_limit integer DEFAULT 100) RETURNS SETOF public.predictions
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select * from public.predictions
    where status in ('starting', 'processing') and deadline < now() - interval '5 seconds'
    order by deadline limit p_limit;
$$;

-- Name: personas_without_idle(integer, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.personas_without_idle(p_seconds integer DEFAULT 20, p_limit integer DEFAULT 100) RETURNS SETOF uuid
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select id from public.personas p
    where portrait is not null and idle is null and look_since < now() - make_interval(secs => p_seconds)
      and 3 > (
        select count(*) from public.predictions
        where persona_id = p.id and model = 'idle' and created_at >= p.look_since
      )
    order by look_since limit p_limit;
$$;

-- Name: predictions_stay_finished(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.predictions_stay_finished() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
begin
    if old.status in ('succeeded', 'failed', 'canceled', 'aborted')
        and (to_jsonb(new) - 'published') #- '{receipt,provenance}'
            is distinct from (to_jsonb(old) - 'published') #- '{receipt,provenance}'
    then
        raise exception 'prediction % is finished and cannot change', old.id using errcode = 'PT409';
    end if;
    return new;
end $$;

-- Name: project_costs(uuid[]); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.project_costs(p_ids uuid[]) RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select coalesce(jsonb_object_agg(project_id, credits), '{}') from (
        select project_id, round(sum(cost_usd) * 1000, 3) as credits from public.steps
        where project_id = any (p_ids) and owner = auth.uid() group by project_id
    ) costs;
$$;

-- Name: project_stats(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.project_stats() RETURNS jsonb
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    with costs as (
        select p.id, sum(s.cost_usd) * 1000 as credits from public.projects p join public.steps s on s.project_id = p.id
        where p.owner = auth.uid() and p.status = 'succeeded' group by p.id
    )
    select jsonb_build_object(
        'all', count(*),
        'needs_you', count(*) filter (where status = 'waiting'),
        'in_work', count(*) filter (where status in ('ready', 'working')),
        'finished', count(*) filter (where status = 'succeeded'),
        'stopped', count(*) filter (where status in ('failed', 'canceled')),
        'credits_a_film', (select round(avg(credits), 1) from costs)
    ) from public.projects where owner = auth.uid();
$$;

-- Name: publish_prediction(uuid, uuid, boolean); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.publish_prediction(p_id uuid, p_owner uuid, p_published boolean) RETURNS SETOF public.predictions
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    return query update public.predictions set published = p_published
    where id = p_id and owner = p_owner and status = 'succeeded' and output is not null
    returning *;
    if not found then
        raise exception 'no such video' using errcode = 'PT404';
    end if;
end $$;

-- Name: release_files(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.release_files() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    update public.files set referrer = null where owner = old.owner and referrer = old.id;
    return old;
end $$;

-- Name: release_steps(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.release_steps(p_id uuid, p_owner uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform public.book(p_owner, 'release', coalesce(sum(reserved), 0), p_id) from public.steps
    where project_id = p_id and result is null;
    update public.steps set reserved = 0 where project_id = p_id and result is null;
end $$;

-- Name: remove_persona(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.remove_persona(p_persona uuid, p_owner uuid) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    released text[];
begin
    perform public.ensure_account(p_owner);
    perform 1 from public.personas where id = p_persona and owner = p_owner for update;
    if not found then
        raise exception 'no such persona' using errcode = 'PT404';
    end if;
    if exists (
        select 1 from public.predictions where persona_id = p_persona and status in ('starting', 'processing')
    ) then
        raise exception 'a prediction of this persona is still running; retry in a moment' using errcode = 'PT409';
    end if;
    select coalesce(array_agg(path), '{}') into released from public.files
    where owner = p_owner
      and (referrer = p_persona or referrer in (select id from public.predictions where persona_id = p_persona));
    delete from public.personas where id = p_persona;
    return released;
end $$;

-- Name: remove_prediction(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.remove_prediction(p_id uuid, p_owner uuid) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
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

-- Name: retry_project(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.retry_project(p_id uuid, p_owner uuid) RETURNS SETOF public.projects
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform public.limit_rate(p_owner, 'projects');
    return query update public.projects
    set status = 'ready', waiting_for = null, gate_until = null, error = null, wake_at = now(), attempt = 0, claims = 0, updated_at = now()
    where id = p_id and owner = p_owner
      and (status = 'failed' or waiting_for = 'credits' or (status = 'waiting' and gate_until < now()))
    returning *;
    if not found then
        raise exception 'there is nothing to retry: this project has not stopped' using errcode = 'PT409';
    end if;
end $$;

-- Name: schema_version(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.schema_version() RETURNS text
    LANGUAGE sql IMMUTABLE
    SET search_path TO ''
    AS $$ select '20261123000018' $$;

-- Name: set_portrait(uuid, uuid, text, jsonb); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.set_portrait(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    released text[];
begin
    update public.personas set portrait = p_path, face = public.as_object(p_face), consent_at = now()
    where id = p_persona and owner = p_owner;
    if not found then
        raise exception 'no such persona' using errcode = 'PT404';
    end if;
    with former as (
        update public.files set referrer = null
        where owner = p_owner and referrer = p_persona and path <> p_path returning path
    )
    select coalesce(array_agg(path), '{}') into released from former;
    update public.files set referrer = p_persona where owner = p_owner and path = p_path;
    return released;
end $$;

-- Name: settle_prediction(uuid, jsonb); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.settle_prediction(p_id uuid, p_outcome jsonb) RETURNS jsonb
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    outcome jsonb := public.as_object(p_outcome);
    settled public.predictions;
    notify boolean := false;
    loops text[];
    former text[];
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
        loops := array[outcome -> 'idle' ->> 'idle', outcome -> 'idle' ->> 'thinking', outcome -> 'idle' ->> 'poster'];
        select array[idle, thinking, poster] into former from public.personas
        where id = settled.persona_id and look_since = (outcome -> 'idle' ->> 'look_since')::timestamptz for update;
        if found then
            update public.files set referrer = null
            where owner = settled.owner and path = any (former) and referrer = settled.persona_id;
            update public.personas
            set idle = loops[1], thinking = loops[2], poster = loops[3], hue = (outcome -> 'idle' ->> 'hue')::smallint
            where id = settled.persona_id;
            update public.files set referrer = settled.persona_id
            where owner = settled.owner and referrer = settled.id and path = any (loops);
        else  -- it looks otherwise by now, or is gone: they are nobody's
            update public.files set referrer = null
            where owner = settled.owner and referrer = settled.id and path = any (loops);
        end if;
    end if;

    if settled.output is not null then
        notify := public.enqueue_delivery(settled, 'output');
    end if;
    notify := public.enqueue_delivery(settled, 'completed') or notify;
    return jsonb_build_object('settled', true, 'notify', notify);
end $$;

-- Name: stop_projects(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.stop_projects() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    project public.projects;
begin
    for project in
        select * from public.projects where persona_id = old.id and status <> 'succeeded' and stage <> 'publish'  -- what was approved stays
        order by id for update
    loop
        if project.status = 'working' and project.lease_until > now() then
            update public.projects set cancel_requested = true where id = project.id;
        elsif project.status <> 'canceled' then
            update public.projects
            set status = 'canceled', waiting_for = null, gate_until = null, updated_at = now() where id = project.id;
            perform public.release_steps(project.id, project.owner);
        end if;
        update public.files set referrer = null where owner = project.owner and referrer = project.id;
    end loop;
    return old;
end $$;

-- Name: sweep_projects(integer, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.sweep_projects(p_seconds integer DEFAULT 20, p_limit integer DEFAULT 100) RETURNS SETOF uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from public.footage_searches where found_at < now() - interval '1 day';
    return query with closed as (
        update public.projects set
            error = jsonb_build_object('code', 'gate_closed', 'detail', 'Nobody decided in time. Retry it to decide now.'),
            updated_at = now()
        where status = 'waiting' and gate_until < now() and error is null
    ), reminded as (
        update public.projects set reminded_at = now()
        where status = 'waiting' and gate_until between now() and now() + interval '1 day' and reminded_at is null
        returning *
    ), told as (
        select public.enqueue_project_delivery(reminded, 'reminder') from reminded
    )
    select id from public.projects
    where wake_at < now() - make_interval(secs => p_seconds)
      and status in ('ready', 'working') and (status = 'ready' or lease_until < now())
      and (select count(*) from told) >= 0  -- so that it is carried out
    order by wake_at limit p_limit;
end $$;

-- Name: take_consent(text, uuid); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.take_consent(p_state text, p_owner uuid) RETURNS text
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    delete from public.consents where created_at < now() - interval '1 day';
    delete from public.consents
    where state = p_state and owner = p_owner and created_at > now() - interval '1 hour' returning verifier;
$$;

-- Name: take_quota(text, integer, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.take_quota(p_bucket text, p_units integer, p_limit integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    there timestamp := now() at time zone 'America/Los_Angeles';
begin
    delete from public.youtube_quota where day < there::date - 7;
    insert into public.youtube_quota (bucket, day, used) values (p_bucket, there::date, p_units)
    on conflict (bucket, day) do update set used = youtube_quota.used + p_units
        where youtube_quota.used + p_units <= p_limit;
    if found then
        return 0;
    end if;
    return ceil(extract(epoch from there::date + interval '1 day' - there))::integer + 60;
end $$;

-- Name: tell_of_project(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.tell_of_project() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    perform public.enqueue_project_delivery(new, case when new.status = 'waiting' then 'waiting' else 'completed' end);
    return null;
end $$;

-- Name: unreferenced_files(integer, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.unreferenced_files(p_minutes integer DEFAULT 10, p_limit integer DEFAULT 1000) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select path from public.files
    where referrer is null and created_at < now() - make_interval(mins => p_minutes)
      and (expires_at is null or expires_at < now())
    order by created_at limit p_limit;
$$;

-- Name: unsigned_predictions(integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.unsigned_predictions(p_limit integer DEFAULT 10) RETURNS SETOF public.predictions
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select * from public.predictions
    where receipt ->> 'provenance' = 'failed' and status = 'succeeded' and output is not null
    order by random() limit p_limit;  -- one that can never be signed keeps no other waiting
$$;

-- Name: unwant_publication(); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.unwant_publication() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
begin
    delete from public.publications where project_id = new.project_id and video_id is null;
    return null;
end $$;

-- Name: waiting_predictions(text[], integer, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.waiting_predictions(p_models text[], p_seconds integer DEFAULT 20, p_limit integer DEFAULT 100) RETURNS SETOF public.predictions
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select * from public.predictions
    where status = 'starting' and not stream and model = any (p_models)
      and deadline > now() and created_at < now() - make_interval(secs => p_seconds)
    order by created_at limit p_limit;
$$;

-- Name: want_publication(uuid, uuid, text, jsonb, text, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.want_publication(p_id uuid, p_owner uuid, p_channel text, p_wanted jsonb, p_privacy text, p_publish_at timestamp with time zone) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
declare
    project public.projects;
begin
    select * into project from public.projects where id = p_id and owner = p_owner for update;
    if not found then
        raise exception 'no such project' using errcode = 'PT404';
    end if;
    if not (
        project.status = 'succeeded' or (project.status = 'waiting' and project.waiting_for = 'film')
        or (project.status in ('failed', 'canceled') and project.stage = 'publish')
    ) then
        raise exception 'there is no film to publish: this project is %', project.status using errcode = 'PT409';
    end if;
    insert into public.publications (project_id, owner, channel_id, wanted, privacy, publish_at)
    values (p_id, p_owner, p_channel, public.as_object(p_wanted), p_privacy, p_publish_at)
    on conflict (project_id) do update set
        channel_id = p_channel, wanted = public.as_object(p_wanted), privacy = p_privacy, publish_at = p_publish_at
        where publications.video_id is null and project.status <> 'succeeded';
    if not found then
        raise exception 'this film is published already' using errcode = 'PT409';
    end if;
    if project.status <> 'waiting' then
        -- An upload that was begun with other words is given up: before another one the channel is looked through for it.
        insert into public.steps (project_id, owner, stage, key, result, ended_at)
        select p_id, p_owner, 'publish', replace(key, 'session', 'lost'), '{"lost": 0}', now() from public.steps
        where project_id = p_id and stage = 'publish' and key like 'session-%'
        on conflict do nothing;
        update public.projects set
            status = 'ready', stage = 'publish', error = null, cancel_requested = false, wake_at = now(), attempt = 0, claims = 0, updated_at = now()
        where id = p_id;
    end if;
end $$;

-- Name: withdrawn_files(integer, integer); Type: FUNCTION; Schema: public; Owner: -

CREATE FUNCTION public.withdrawn_files(p_minutes integer DEFAULT 10, p_limit integer DEFAULT 1000) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    select path from public.files f
    where public_at < now() - make_interval(mins => p_minutes)
      and not exists (select 1 from public.predictions p where p.id = f.referrer and p.published)
    order by public_at limit p_limit;
$$;

-- Name: channels; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.channels (
    owner uuid NOT NULL,
    id text NOT NULL,
    title text NOT NULL,
    picture text DEFAULT ''::text NOT NULL,
    state text DEFAULT 'unconfirmed'::text NOT NULL,
    monetary boolean DEFAULT false NOT NULL,
    refresh_token text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT channels_state_check CHECK ((state = ANY (ARRAY['unconfirmed'::text, 'connected'::text, 'needs_reconnect'::text])))
);

-- Name: consents; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.consents (
    state text NOT NULL,
    owner uuid NOT NULL,
    verifier text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

-- Name: erased_addresses; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.erased_addresses (
    digest bytea NOT NULL
);

-- Name: files; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.files (
    path text NOT NULL,
    owner uuid NOT NULL,
    referrer uuid,
    content_type text NOT NULL,
    bytes bigint NOT NULL,
    expires_at timestamp with time zone,
    sha256 text,
    public_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT files_bytes_check CHECK ((bytes >= 0))
);

-- Name: footage_searches; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.footage_searches (
    query text NOT NULL,
    orientation text NOT NULL,
    answer jsonb NOT NULL,
    found_at timestamp with time zone DEFAULT now() NOT NULL
);

-- Name: messages; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.messages (
    id bigint NOT NULL,
    owner uuid NOT NULL,
    persona_id uuid NOT NULL,
    prediction_id uuid,
    role text NOT NULL,
    content text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT messages_role_check CHECK ((role = ANY (ARRAY['user'::text, 'assistant'::text])))
);

-- Name: messages_id_seq; Type: SEQUENCE; Schema: public; Owner: -

ALTER TABLE public.messages ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.messages_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: models; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.models (
    name text NOT NULL,
    code smallint NOT NULL,
    reserve numeric(14,3) NOT NULL,
    needs text[] DEFAULT '{}'::text[] NOT NULL,
    seconds smallint DEFAULT 120 NOT NULL,
    CONSTRAINT models_code_check CHECK (((code >= 0) AND (code <= 255))),
    CONSTRAINT models_needs_check CHECK ((needs <@ '{persona,portrait}'::text[])),
    CONSTRAINT models_reserve_check CHECK ((reserve >= (0)::numeric)),
    CONSTRAINT models_seconds_check CHECK (((seconds >= 5) AND (seconds <= 3600)))
);

-- Name: month_limits; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.month_limits (
    name text NOT NULL,
    credits numeric(14,3) NOT NULL,
    CONSTRAINT month_limits_credits_check CHECK ((credits >= (0)::numeric)),
    CONSTRAINT month_limits_name_check CHECK ((name = 'everybody'::text))
);

-- Name: month_usage; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.month_usage (
    owner uuid NOT NULL,
    month date NOT NULL,
    credits numeric(14,3) DEFAULT 0 NOT NULL
);

-- Name: personas; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.personas (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    owner uuid DEFAULT auth.uid() NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    appearance text DEFAULT ''::text NOT NULL,
    voice_id text DEFAULT ''::text NOT NULL,
    liveliness double precision DEFAULT 0.5 NOT NULL,
    gaze text DEFAULT 'natural'::text NOT NULL,
    portrait text,
    face jsonb,
    consent_at timestamp with time zone,
    idle text,
    thinking text,
    poster text,
    hue smallint,
    look_since timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    voice_speed double precision DEFAULT 1 NOT NULL,
    voice_stability double precision DEFAULT 0.5 NOT NULL,
    voice_consent_at timestamp with time zone,
    language text DEFAULT ''::text NOT NULL,
    CONSTRAINT personas_appearance_check CHECK ((char_length(appearance) <= 1000)),
    CONSTRAINT personas_created_at_check CHECK (((created_at >= '2020-01-01 00:00:00+00'::timestamp with time zone) AND (created_at <= '2200-01-01 00:00:00+00'::timestamp with time zone))),
    CONSTRAINT personas_description_check CHECK ((char_length(description) <= 4000)),
    CONSTRAINT personas_gaze_check CHECK ((gaze = ANY (ARRAY['viewer'::text, 'natural'::text, 'wandering'::text]))),
    CONSTRAINT personas_hue_check CHECK (((hue >= 0) AND (hue <= 359))),
    CONSTRAINT personas_language_check CHECK ((language ~ '^([a-z]{2})?$'::text)),
    CONSTRAINT personas_liveliness_check CHECK (((liveliness >= (0)::double precision) AND (liveliness <= (1)::double precision))),
    CONSTRAINT personas_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 80))),
    CONSTRAINT personas_voice_id_check CHECK ((voice_id ~ '^[A-Za-z0-9]{0,40}$'::text)),
    CONSTRAINT personas_voice_speed_check CHECK (((voice_speed >= (0.7)::double precision) AND (voice_speed <= (1.2)::double precision))),
    CONSTRAINT personas_voice_stability_check CHECK (((voice_stability >= (0)::double precision) AND (voice_stability <= (1)::double precision)))
);

-- Name: project_events; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.project_events (
    project_id uuid NOT NULL,
    owner uuid NOT NULL,
    gate text NOT NULL,
    round smallint NOT NULL,
    decision text NOT NULL,
    payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT project_events_decision_check CHECK ((decision = ANY (ARRAY['approve'::text, 'reject'::text]))),
    CONSTRAINT project_events_gate_check CHECK ((gate = ANY (ARRAY['script'::text, 'film'::text])))
);

-- Name: publications; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.publications (
    project_id uuid NOT NULL,
    owner uuid NOT NULL,
    channel_id text NOT NULL,
    wanted jsonb NOT NULL,
    privacy text NOT NULL,
    publish_at timestamp with time zone,
    video_id text,
    state text DEFAULT 'uploading'::text NOT NULL,
    problem text,
    published_at timestamp with time zone,
    looked_at timestamp with time zone,
    retention jsonb,
    watched numeric(6,4),
    views integer DEFAULT 0 NOT NULL,
    features jsonb,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT publications_privacy_check CHECK ((privacy = ANY (ARRAY['private'::text, 'unlisted'::text, 'public'::text]))),
    CONSTRAINT publications_state_check CHECK ((state = ANY (ARRAY['uploading'::text, 'processing'::text, 'scheduled'::text, 'public'::text, 'unlisted'::text, 'private'::text, 'rejected'::text, 'removed'::text])))
);

-- Name: recent_requests; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.recent_requests (
    id bigint NOT NULL,
    owner uuid NOT NULL,
    kind text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

-- Name: recent_requests_id_seq; Type: SEQUENCE; Schema: public; Owner: -

ALTER TABLE public.recent_requests ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.recent_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: steps; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.steps (
    project_id uuid NOT NULL,
    owner uuid NOT NULL,
    stage text NOT NULL,
    key text DEFAULT ''::text NOT NULL,
    attempt smallint DEFAULT 1 NOT NULL,
    result jsonb,
    reserved numeric(14,3) DEFAULT 0 NOT NULL,
    cost_usd numeric(14,6) DEFAULT 0 NOT NULL,
    error jsonb,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone
);

-- Name: usage; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.usage (
    id bigint NOT NULL,
    owner uuid NOT NULL,
    prediction_id uuid,
    kind text NOT NULL,
    credits numeric(14,3) NOT NULL,
    external_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT usage_kind_check CHECK ((kind = ANY (ARRAY['grant'::text, 'reserve'::text, 'release'::text, 'charge'::text, 'purchase'::text, 'refund'::text, 'dispute'::text, 'erasure'::text])))
);

-- Name: usage_id_seq; Type: SEQUENCE; Schema: public; Owner: -

ALTER TABLE public.usage ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.usage_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

-- Name: video_days; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.video_days (
    project_id uuid NOT NULL,
    owner uuid NOT NULL,
    day date NOT NULL,
    views integer DEFAULT 0 NOT NULL,
    engaged_views integer DEFAULT 0 NOT NULL,
    minutes numeric(14,2) DEFAULT 0 NOT NULL,
    revenue numeric(14,4)
);

-- Name: webhook_deliveries; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.webhook_deliveries (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    owner uuid NOT NULL,
    prediction_id uuid,
    project_id uuid,
    event text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    next_at timestamp with time zone DEFAULT now(),
    delivered_at timestamp with time zone,
    status integer,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhook_deliveries_check CHECK ((num_nonnulls(prediction_id, project_id) = 1)),
    CONSTRAINT webhook_deliveries_event_check CHECK ((event = ANY (ARRAY['start'::text, 'output'::text, 'logs'::text, 'completed'::text, 'waiting'::text, 'reminder'::text])))
);

-- Name: youtube_quota; Type: TABLE; Schema: public; Owner: -

CREATE TABLE public.youtube_quota (
    bucket text NOT NULL,
    day date NOT NULL,
    used integer NOT NULL
);

-- Name: accounts accounts_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (owner);

-- Name: channels channels_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (owner, id);

-- Name: consents consents_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.consents
    ADD CONSTRAINT consents_pkey PRIMARY KEY (state);

-- Name: erased_addresses erased_addresses_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.erased_addresses
    ADD CONSTRAINT erased_addresses_pkey PRIMARY KEY (digest);

-- Name: files files_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (path);

-- Name: footage_searches footage_searches_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.footage_searches
    ADD CONSTRAINT footage_searches_pkey PRIMARY KEY (query, orientation);

-- Name: messages messages_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_pkey PRIMARY KEY (id);

-- Name: models models_code_key; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_code_key UNIQUE (code);

-- Name: models models_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.models
    ADD CONSTRAINT models_pkey PRIMARY KEY (name);

-- Name: month_limits month_limits_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.month_limits
    ADD CONSTRAINT month_limits_pkey PRIMARY KEY (name);

-- Name: month_usage month_usage_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.month_usage
    ADD CONSTRAINT month_usage_pkey PRIMARY KEY (month, owner);

-- Name: orders orders_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);

-- Name: orders orders_session_key; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_session_key UNIQUE (session);

-- Name: personas personas_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.personas
    ADD CONSTRAINT personas_pkey PRIMARY KEY (id);

-- Name: predictions predictions_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.predictions
    ADD CONSTRAINT predictions_pkey PRIMARY KEY (id);

-- Name: project_events project_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.project_events
    ADD CONSTRAINT project_events_pkey PRIMARY KEY (project_id, gate, round);

-- Name: projects projects_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (id);

-- Name: publications publications_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.publications
    ADD CONSTRAINT publications_pkey PRIMARY KEY (project_id);

-- Name: recent_requests recent_requests_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.recent_requests
    ADD CONSTRAINT recent_requests_pkey PRIMARY KEY (id);

-- Name: steps steps_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_pkey PRIMARY KEY (project_id, stage, key);

-- Name: usage usage_external_id_key; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.usage
    ADD CONSTRAINT usage_external_id_key UNIQUE (external_id);

-- Name: usage usage_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.usage
    ADD CONSTRAINT usage_pkey PRIMARY KEY (id);

-- Name: video_days video_days_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.video_days
    ADD CONSTRAINT video_days_pkey PRIMARY KEY (project_id, day);

-- Name: webhook_deliveries webhook_deliveries_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id);

-- Name: youtube_quota youtube_quota_pkey; Type: CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.youtube_quota
    ADD CONSTRAINT youtube_quota_pkey PRIMARY KEY (bucket, day);

-- Name: files_by_referrer; Type: INDEX; Schema: public; Owner: -

CREATE INDEX files_by_referrer ON public.files USING btree (referrer) WHERE (referrer IS NOT NULL);

-- Name: files_public; Type: INDEX; Schema: public; Owner: -

CREATE INDEX files_public ON public.files USING btree (public_at) WHERE (public_at IS NOT NULL);

-- Name: files_unreferenced; Type: INDEX; Schema: public; Owner: -

CREATE INDEX files_unreferenced ON public.files USING btree (created_at) WHERE (referrer IS NULL);

-- Name: files_uploaded; Type: INDEX; Schema: public; Owner: -

CREATE INDEX files_uploaded ON public.files USING btree (owner, created_at DESC) WHERE (expires_at IS NOT NULL);

-- Name: messages_by_persona; Type: INDEX; Schema: public; Owner: -

CREATE INDEX messages_by_persona ON public.messages USING btree (persona_id, id DESC);

-- Name: messages_by_prediction; Type: INDEX; Schema: public; Owner: -

CREATE INDEX messages_by_prediction ON public.messages USING btree (prediction_id) WHERE (prediction_id IS NOT NULL);

-- Name: orders_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX orders_by_owner ON public.orders USING btree (owner, created_at DESC, id DESC);

-- Name: orders_open; Type: INDEX; Schema: public; Owner: -

CREATE INDEX orders_open ON public.orders USING btree (created_at) WHERE (status = ANY (ARRAY['open'::public.order_status, 'pending'::public.order_status]));

-- Name: personas_by_idle; Type: INDEX; Schema: public; Owner: -

CREATE INDEX personas_by_idle ON public.personas USING btree (idle) WHERE (idle IS NOT NULL);

-- Name: personas_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX personas_by_owner ON public.personas USING btree (owner, created_at DESC, id DESC);

-- Name: personas_by_portrait; Type: INDEX; Schema: public; Owner: -

CREATE INDEX personas_by_portrait ON public.personas USING btree (portrait) WHERE (portrait IS NOT NULL);

-- Name: personas_by_poster; Type: INDEX; Schema: public; Owner: -

CREATE INDEX personas_by_poster ON public.personas USING btree (poster) WHERE (poster IS NOT NULL);

-- Name: personas_by_thinking; Type: INDEX; Schema: public; Owner: -

CREATE INDEX personas_by_thinking ON public.personas USING btree (thinking) WHERE (thinking IS NOT NULL);

-- Name: personas_without_idle; Type: INDEX; Schema: public; Owner: -

CREATE INDEX personas_without_idle ON public.personas USING btree (look_since) WHERE ((portrait IS NOT NULL) AND (idle IS NULL));

-- Name: predictions_by_key; Type: INDEX; Schema: public; Owner: -

CREATE INDEX predictions_by_key ON public.predictions USING btree (owner, idempotency_key) WHERE (idempotency_key IS NOT NULL);

-- Name: predictions_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX predictions_by_owner ON public.predictions USING btree (owner, created_at DESC, id DESC);

-- Name: predictions_by_persona; Type: INDEX; Schema: public; Owner: -

CREATE INDEX predictions_by_persona ON public.predictions USING btree (persona_id, created_at DESC, id DESC);

-- Name: predictions_unfinished; Type: INDEX; Schema: public; Owner: -

CREATE INDEX predictions_unfinished ON public.predictions USING btree (deadline) WHERE (status = ANY (ARRAY['starting'::public.prediction_status, 'processing'::public.prediction_status]));

-- Name: predictions_unsigned; Type: INDEX; Schema: public; Owner: -

CREATE INDEX predictions_unsigned ON public.predictions USING btree (completed_at) WHERE ((receipt ->> 'provenance'::text) = 'failed'::text);

-- Name: projects_by_key; Type: INDEX; Schema: public; Owner: -

CREATE UNIQUE INDEX projects_by_key ON public.projects USING btree (owner, idempotency_key) WHERE (idempotency_key IS NOT NULL);

-- Name: projects_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX projects_by_owner ON public.projects USING btree (owner, created_at DESC, id DESC);

-- Name: projects_due; Type: INDEX; Schema: public; Owner: -

CREATE INDEX projects_due ON public.projects USING btree (wake_at) WHERE (status = ANY (ARRAY['ready'::public.project_status, 'working'::public.project_status]));

-- Name: projects_gates; Type: INDEX; Schema: public; Owner: -

CREATE INDEX projects_gates ON public.projects USING btree (gate_until) WHERE (status = 'waiting'::public.project_status);

-- Name: publications_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX publications_by_owner ON public.publications USING btree (owner, created_at DESC);

-- Name: publications_to_look_at; Type: INDEX; Schema: public; Owner: -

CREATE INDEX publications_to_look_at ON public.publications USING btree (looked_at NULLS FIRST) WHERE (video_id IS NOT NULL);

-- Name: recent_requests_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX recent_requests_by_owner ON public.recent_requests USING btree (owner, kind, created_at);

-- Name: usage_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX usage_by_owner ON public.usage USING btree (owner, id DESC);

-- Name: video_days_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX video_days_by_owner ON public.video_days USING btree (owner);

-- Name: videos_by_owner; Type: INDEX; Schema: public; Owner: -

CREATE INDEX videos_by_owner ON public.predictions USING btree (owner, created_at DESC, id DESC) WHERE ((status = 'succeeded'::public.prediction_status) AND (NOT system) AND (output IS NOT NULL));

-- Name: videos_published; Type: INDEX; Schema: public; Owner: -

CREATE INDEX videos_published ON public.predictions USING btree (created_at DESC, id DESC) WHERE published;

-- Name: webhook_deliveries_by_prediction; Type: INDEX; Schema: public; Owner: -

CREATE INDEX webhook_deliveries_by_prediction ON public.webhook_deliveries USING btree (prediction_id);

-- Name: webhook_deliveries_by_project; Type: INDEX; Schema: public; Owner: -

CREATE INDEX webhook_deliveries_by_project ON public.webhook_deliveries USING btree (project_id) WHERE (project_id IS NOT NULL);

-- Name: webhook_deliveries_due; Type: INDEX; Schema: public; Owner: -

CREATE INDEX webhook_deliveries_due ON public.webhook_deliveries USING btree (next_at) WHERE (next_at IS NOT NULL);

-- Name: files files_limit_uploads; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER files_limit_uploads BEFORE INSERT ON public.files FOR EACH ROW WHEN ((new.expires_at IS NOT NULL)) EXECUTE FUNCTION public.limit_uploads();

-- Name: personas personas_change_look; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER personas_change_look BEFORE UPDATE OF portrait, face, liveliness, gaze ON public.personas FOR EACH ROW EXECUTE FUNCTION public.change_look();

-- Name: personas personas_guard_voice; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER personas_guard_voice BEFORE INSERT OR UPDATE ON public.personas FOR EACH ROW EXECUTE FUNCTION public.guard_voice();

-- Name: personas personas_limit; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER personas_limit BEFORE INSERT ON public.personas FOR EACH ROW EXECUTE FUNCTION public.limit_personas();

-- Name: personas personas_release_files; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER personas_release_files BEFORE DELETE ON public.personas FOR EACH ROW EXECUTE FUNCTION public.release_files();

-- Name: personas personas_stop_projects; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER personas_stop_projects BEFORE DELETE ON public.personas FOR EACH ROW EXECUTE FUNCTION public.stop_projects();

-- Name: predictions predictions_release_files; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER predictions_release_files BEFORE DELETE ON public.predictions FOR EACH ROW EXECUTE FUNCTION public.release_files();

-- Name: predictions predictions_stay_finished; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER predictions_stay_finished BEFORE UPDATE ON public.predictions FOR EACH ROW EXECUTE FUNCTION public.predictions_stay_finished();

-- Name: project_events reject_unwants_publication; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER reject_unwants_publication AFTER INSERT ON public.project_events FOR EACH ROW WHEN ((new.decision = 'reject'::text)) EXECUTE FUNCTION public.unwant_publication();

-- Name: projects release_files; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER release_files BEFORE DELETE ON public.projects FOR EACH ROW EXECUTE FUNCTION public.release_files();

-- Name: projects tell_of_project; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER tell_of_project AFTER UPDATE ON public.projects FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) AND (new.status = ANY (ARRAY['waiting'::public.project_status, 'succeeded'::public.project_status, 'failed'::public.project_status, 'canceled'::public.project_status])))) EXECUTE FUNCTION public.tell_of_project();

-- Name: usage usage_counts_for_its_month; Type: TRIGGER; Schema: public; Owner: -

CREATE TRIGGER usage_counts_for_its_month AFTER INSERT ON public.usage FOR EACH ROW WHEN ((new.kind = ANY (ARRAY['reserve'::text, 'release'::text, 'charge'::text]))) EXECUTE FUNCTION public.count_month();

-- Name: messages messages_persona_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_persona_id_fkey FOREIGN KEY (persona_id) REFERENCES public.personas(id) ON DELETE CASCADE;

-- Name: messages messages_prediction_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.messages
    ADD CONSTRAINT messages_prediction_id_fkey FOREIGN KEY (prediction_id) REFERENCES public.predictions(id) ON DELETE SET NULL;

-- Name: personas personas_idle_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.personas
    ADD CONSTRAINT personas_idle_fkey FOREIGN KEY (idle) REFERENCES public.files(path) ON DELETE SET NULL;

-- Name: personas personas_portrait_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.personas
    ADD CONSTRAINT personas_portrait_fkey FOREIGN KEY (portrait) REFERENCES public.files(path) ON DELETE SET NULL;

-- Name: personas personas_poster_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.personas
    ADD CONSTRAINT personas_poster_fkey FOREIGN KEY (poster) REFERENCES public.files(path) ON DELETE SET NULL;

-- Name: personas personas_thinking_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.personas
    ADD CONSTRAINT personas_thinking_fkey FOREIGN KEY (thinking) REFERENCES public.files(path) ON DELETE SET NULL;

-- Name: predictions predictions_model_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.predictions
    ADD CONSTRAINT predictions_model_fkey FOREIGN KEY (model) REFERENCES public.models(name);

-- Name: predictions predictions_persona_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.predictions
    ADD CONSTRAINT predictions_persona_id_fkey FOREIGN KEY (persona_id) REFERENCES public.personas(id) ON DELETE CASCADE;

-- Name: project_events project_events_project_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.project_events
    ADD CONSTRAINT project_events_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

-- Name: projects projects_persona_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.projects
    ADD CONSTRAINT projects_persona_id_fkey FOREIGN KEY (persona_id) REFERENCES public.personas(id) ON DELETE SET NULL;

-- Name: publications publications_project_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.publications
    ADD CONSTRAINT publications_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

-- Name: steps steps_project_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.steps
    ADD CONSTRAINT steps_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

-- Name: video_days video_days_project_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.video_days
    ADD CONSTRAINT video_days_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.publications(project_id) ON DELETE CASCADE;

-- Name: webhook_deliveries webhook_deliveries_prediction_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_prediction_id_fkey FOREIGN KEY (prediction_id) REFERENCES public.predictions(id) ON DELETE CASCADE;

-- Name: webhook_deliveries webhook_deliveries_project_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -

ALTER TABLE ONLY public.webhook_deliveries
    ADD CONSTRAINT webhook_deliveries_project_id_fkey FOREIGN KEY (project_id) REFERENCES public.projects(id) ON DELETE CASCADE;

-- Name: accounts; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.accounts ENABLE ROW LEVEL SECURITY;

-- Name: channels; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.channels ENABLE ROW LEVEL SECURITY;

-- Name: consents; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.consents ENABLE ROW LEVEL SECURITY;

-- Name: erased_addresses; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.erased_addresses ENABLE ROW LEVEL SECURITY;

-- Name: files; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.files ENABLE ROW LEVEL SECURITY;

-- Name: footage_searches; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.footage_searches ENABLE ROW LEVEL SECURITY;

-- Name: messages; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;

-- Name: models; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.models ENABLE ROW LEVEL SECURITY;

-- Name: models models are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "models are read" ON public.models FOR SELECT TO anon, authenticated USING (true);

-- Name: month_limits; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.month_limits ENABLE ROW LEVEL SECURITY;

-- Name: month_usage; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.month_usage ENABLE ROW LEVEL SECURITY;

-- Name: orders; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;

-- Name: accounts own account is read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own account is read" ON public.accounts FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: project_events own decisions are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own decisions are read" ON public.project_events FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: webhook_deliveries own deliveries are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own deliveries are read" ON public.webhook_deliveries FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: files own files are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own files are read" ON public.files FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: messages own messages are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own messages are read" ON public.messages FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: orders own orders are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own orders are read" ON public.orders FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: personas own personas are created, without a picture; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own personas are created, without a picture" ON public.personas FOR INSERT TO authenticated WITH CHECK (((owner = auth.uid()) AND (portrait IS NULL) AND (face IS NULL) AND (consent_at IS NULL) AND (idle IS NULL) AND (thinking IS NULL) AND (poster IS NULL) AND (hue IS NULL)));

-- Name: personas own personas are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own personas are read" ON public.personas FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: predictions own predictions are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own predictions are read" ON public.predictions FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: projects own projects are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own projects are read" ON public.projects FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: publications own publications are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own publications are read" ON public.publications FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: steps own steps are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own steps are read" ON public.steps FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: usage own usage is read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own usage is read" ON public.usage FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: video_days own views are read; Type: POLICY; Schema: public; Owner: -

CREATE POLICY "own views are read" ON public.video_days FOR SELECT TO authenticated USING ((owner = auth.uid()));

-- Name: personas; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.personas ENABLE ROW LEVEL SECURITY;

-- Name: predictions; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.predictions ENABLE ROW LEVEL SECURITY;

-- Name: project_events; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.project_events ENABLE ROW LEVEL SECURITY;

-- Name: projects; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.projects ENABLE ROW LEVEL SECURITY;

-- Name: publications; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.publications ENABLE ROW LEVEL SECURITY;

-- Name: recent_requests; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.recent_requests ENABLE ROW LEVEL SECURITY;

-- Name: steps; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.steps ENABLE ROW LEVEL SECURITY;

-- Name: usage; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.usage ENABLE ROW LEVEL SECURITY;

-- Name: video_days; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.video_days ENABLE ROW LEVEL SECURITY;

-- Name: webhook_deliveries; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.webhook_deliveries ENABLE ROW LEVEL SECURITY;

-- Name: youtube_quota; Type: ROW SECURITY; Schema: public; Owner: -

ALTER TABLE public.youtube_quota ENABLE ROW LEVEL SECURITY;

-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -

GRANT USAGE ON SCHEMA public TO postgres;
GRANT USAGE ON SCHEMA public TO anon;
GRANT USAGE ON SCHEMA public TO authenticated;
GRANT USAGE ON SCHEMA public TO service_role;

-- Name: FUNCTION address_digest(p_address text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.address_digest(p_address text) FROM PUBLIC;

-- Name: FUNCTION as_object(p jsonb); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.as_object(p jsonb) FROM PUBLIC;

-- Name: TABLE predictions; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.predictions TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.predictions TO service_role;

-- Name: FUNCTION attach_provider(p_id uuid, p_provider_id text, p_bought numeric); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.attach_provider(p_id uuid, p_provider_id text, p_bought numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION public.attach_provider(p_id uuid, p_provider_id text, p_bought numeric) TO service_role;

-- Name: FUNCTION audience(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.audience() FROM PUBLIC;
GRANT ALL ON FUNCTION public.audience() TO authenticated;

-- Name: FUNCTION begin_idle(p_persona uuid, p_id uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.begin_idle(p_persona uuid, p_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_idle(p_persona uuid, p_id uuid) TO service_role;

-- Name: FUNCTION begin_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_credits numeric); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.begin_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_credits numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION public.begin_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_credits numeric) TO service_role;

-- Name: FUNCTION billing(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.billing() FROM PUBLIC;
GRANT ALL ON FUNCTION public.billing() TO authenticated;

-- Name: FUNCTION book(p_owner uuid, p_kind text, p_credits numeric, p_prediction uuid, p_external_id text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.book(p_owner uuid, p_kind text, p_credits numeric, p_prediction uuid, p_external_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.book(p_owner uuid, p_kind text, p_credits numeric, p_prediction uuid, p_external_id text) TO service_role;

-- Name: TABLE projects; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.projects TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.projects TO service_role;

-- Name: FUNCTION cancel_project(p_id uuid, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.cancel_project(p_id uuid, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cancel_project(p_id uuid, p_owner uuid) TO service_role;

-- Name: FUNCTION change_look(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.change_look() FROM PUBLIC;

-- Name: FUNCTION change_persona(p_persona uuid, p_changes jsonb); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.change_persona(p_persona uuid, p_changes jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.change_persona(p_persona uuid, p_changes jsonb) TO authenticated;

-- Name: FUNCTION claim_prediction(p_id uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.claim_prediction(p_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_prediction(p_id uuid) TO service_role;

-- Name: FUNCTION claim_project(p_by uuid, p_id uuid, p_lease interval); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.claim_project(p_by uuid, p_id uuid, p_lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.claim_project(p_by uuid, p_id uuid, p_lease interval) TO service_role;

-- Name: FUNCTION correct_face(p_persona uuid, p_owner uuid, p_path text, p_face jsonb); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.correct_face(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.correct_face(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) TO service_role;

-- Name: FUNCTION count_month(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.count_month() FROM PUBLIC;

-- Name: TABLE orders; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.orders TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.orders TO service_role;

-- Name: FUNCTION create_order(p_pack text, p_credits numeric, p_amount integer, p_currency text, p_live boolean, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.create_order(p_pack text, p_credits numeric, p_amount integer, p_currency text, p_live boolean, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_order(p_pack text, p_credits numeric, p_amount integer, p_currency text, p_live boolean, p_owner uuid) TO service_role;

-- Name: FUNCTION create_prediction(p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer, p_key text, p_hash text, p_webhook text, p_events text[]); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.create_prediction(p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer, p_key text, p_hash text, p_webhook text, p_events text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_prediction(p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer, p_key text, p_hash text, p_webhook text, p_events text[]) TO authenticated;

-- Name: FUNCTION create_project(p_persona uuid, p_input jsonb, p_key text, p_hash text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.create_project(p_persona uuid, p_input jsonb, p_key text, p_hash text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_project(p_persona uuid, p_input jsonb, p_key text, p_hash text) TO authenticated;

-- Name: FUNCTION decide_project(p_id uuid, p_owner uuid, p_gate text, p_round integer, p_decision text, p_payload jsonb, p_by text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.decide_project(p_id uuid, p_owner uuid, p_gate text, p_round integer, p_decision text, p_payload jsonb, p_by text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.decide_project(p_id uuid, p_owner uuid, p_gate text, p_round integer, p_decision text, p_payload jsonb, p_by text) TO service_role;

-- Name: FUNCTION due_deliveries(p_about uuid, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.due_deliveries(p_about uuid, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.due_deliveries(p_about uuid, p_limit integer) TO service_role;

-- Name: FUNCTION end_canceled(p_id uuid, p_by uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.end_canceled(p_id uuid, p_by uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_canceled(p_id uuid, p_by uuid) TO service_role;

-- Name: FUNCTION end_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_result jsonb, p_error jsonb, p_cost_usd numeric, p_files text[]); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.end_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_result jsonb, p_error jsonb, p_cost_usd numeric, p_files text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.end_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_result jsonb, p_error jsonb, p_cost_usd numeric, p_files text[]) TO service_role;

-- Name: FUNCTION enqueue_delivery(p_prediction public.predictions, p_event text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.enqueue_delivery(p_prediction public.predictions, p_event text) FROM PUBLIC;

-- Name: FUNCTION enqueue_project_delivery(p_project public.projects, p_event text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.enqueue_project_delivery(p_project public.projects, p_event text) FROM PUBLIC;

-- Name: TABLE accounts; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.accounts TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.accounts TO service_role;

-- Name: FUNCTION ensure_account(p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.ensure_account(p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ensure_account(p_owner uuid) TO service_role;

-- Name: FUNCTION erase_account(p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.erase_account(p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.erase_account(p_owner uuid) TO service_role;

-- Name: FUNCTION extend_lease(p_id uuid, p_by uuid, p_lease interval); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.extend_lease(p_id uuid, p_by uuid, p_lease interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extend_lease(p_id uuid, p_by uuid, p_lease interval) TO service_role;

-- Name: FUNCTION extend_reservation(p_id uuid, p_credits numeric); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.extend_reservation(p_id uuid, p_credits numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extend_reservation(p_id uuid, p_credits numeric) TO service_role;

-- Name: FUNCTION follow_order(p_id uuid, p_seen integer, p_session text, p_status text, p_refunded integer, p_disputed integer, p_receipt_url text, p_invoice_url text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.follow_order(p_id uuid, p_seen integer, p_session text, p_status text, p_refunded integer, p_disputed integer, p_receipt_url text, p_invoice_url text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.follow_order(p_id uuid, p_seen integer, p_session text, p_status text, p_refunded integer, p_disputed integer, p_receipt_url text, p_invoice_url text) TO service_role;

-- Name: FUNCTION guard_voice(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.guard_voice() FROM PUBLIC;

-- Name: FUNCTION held_project(p_id uuid, p_by uuid, p_wanted boolean); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.held_project(p_id uuid, p_by uuid, p_wanted boolean) FROM PUBLIC;

-- Name: FUNCTION kept_search(p_query text, p_orientation text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.kept_search(p_query text, p_orientation text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.kept_search(p_query text, p_orientation text) TO service_role;

-- Name: FUNCTION ledger(p_before bigint, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.ledger(p_before bigint, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.ledger(p_before bigint, p_limit integer) TO authenticated;

-- Name: FUNCTION limit_personas(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.limit_personas() FROM PUBLIC;

-- Name: FUNCTION limit_rate(p_owner uuid, p_kind text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.limit_rate(p_owner uuid, p_kind text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.limit_rate(p_owner uuid, p_kind text) TO service_role;

-- Name: FUNCTION limit_running(p_owner uuid, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.limit_running(p_owner uuid, p_limit integer) FROM PUBLIC;

-- Name: FUNCTION limit_uploads(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.limit_uploads() FROM PUBLIC;

-- Name: FUNCTION move_project(p_id uuid, p_by uuid, p_status text, p_stage text, p_waiting_for text, p_gate interval, p_wake interval, p_error jsonb, p_output jsonb, p_patient boolean); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.move_project(p_id uuid, p_by uuid, p_status text, p_stage text, p_waiting_for text, p_gate interval, p_wake interval, p_error jsonb, p_output jsonb, p_patient boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.move_project(p_id uuid, p_by uuid, p_status text, p_stage text, p_waiting_for text, p_gate interval, p_wake interval, p_error jsonb, p_output jsonb, p_patient boolean) TO service_role;

-- Name: FUNCTION note_logs(p_id uuid, p_logs text); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.note_logs(p_id uuid, p_logs text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_logs(p_id uuid, p_logs text) TO service_role;

-- Name: FUNCTION note_signed(p_id uuid, p_bytes bigint); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.note_signed(p_id uuid, p_bytes bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.note_signed(p_id uuid, p_bytes bigint) TO service_role;

-- Name: FUNCTION overdue_predictions(p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.overdue_predictions(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.overdue_predictions(p_limit integer) TO service_role;

-- Name: FUNCTION personas_without_idle(p_seconds integer, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.personas_without_idle(p_seconds integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.personas_without_idle(p_seconds integer, p_limit integer) TO service_role;

-- Name: FUNCTION predictions_stay_finished(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.predictions_stay_finished() FROM PUBLIC;

-- Name: FUNCTION project_costs(p_ids uuid[]); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.project_costs(p_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.project_costs(p_ids uuid[]) TO authenticated;

-- Name: FUNCTION project_stats(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.project_stats() FROM PUBLIC;
GRANT ALL ON FUNCTION public.project_stats() TO authenticated;

-- Name: FUNCTION publish_prediction(p_id uuid, p_owner uuid, p_published boolean); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.publish_prediction(p_id uuid, p_owner uuid, p_published boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION public.publish_prediction(p_id uuid, p_owner uuid, p_published boolean) TO service_role;

-- Name: FUNCTION release_files(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.release_files() FROM PUBLIC;

-- Name: FUNCTION release_steps(p_id uuid, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.release_steps(p_id uuid, p_owner uuid) FROM PUBLIC;

-- Name: FUNCTION remove_persona(p_persona uuid, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.remove_persona(p_persona uuid, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.remove_persona(p_persona uuid, p_owner uuid) TO service_role;

-- Name: FUNCTION remove_prediction(p_id uuid, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.remove_prediction(p_id uuid, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.remove_prediction(p_id uuid, p_owner uuid) TO service_role;

-- Name: FUNCTION retry_project(p_id uuid, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.retry_project(p_id uuid, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.retry_project(p_id uuid, p_owner uuid) TO service_role;

-- Name: FUNCTION schema_version(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.schema_version() FROM PUBLIC;
GRANT ALL ON FUNCTION public.schema_version() TO service_role;

-- Name: FUNCTION set_portrait(p_persona uuid, p_owner uuid, p_path text, p_face jsonb); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.set_portrait(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_portrait(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) TO service_role;

-- Name: FUNCTION settle_prediction(p_id uuid, p_outcome jsonb); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.settle_prediction(p_id uuid, p_outcome jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_prediction(p_id uuid, p_outcome jsonb) TO service_role;

-- Name: FUNCTION stop_projects(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.stop_projects() FROM PUBLIC;

-- Name: FUNCTION sweep_projects(p_seconds integer, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.sweep_projects(p_seconds integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.sweep_projects(p_seconds integer, p_limit integer) TO service_role;

-- Name: FUNCTION take_consent(p_state text, p_owner uuid); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.take_consent(p_state text, p_owner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_consent(p_state text, p_owner uuid) TO service_role;

-- Name: FUNCTION take_quota(p_bucket text, p_units integer, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.take_quota(p_bucket text, p_units integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.take_quota(p_bucket text, p_units integer, p_limit integer) TO service_role;

-- Name: FUNCTION tell_of_project(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.tell_of_project() FROM PUBLIC;

-- Name: FUNCTION unreferenced_files(p_minutes integer, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.unreferenced_files(p_minutes integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.unreferenced_files(p_minutes integer, p_limit integer) TO service_role;

-- Name: FUNCTION unsigned_predictions(p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.unsigned_predictions(p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.unsigned_predictions(p_limit integer) TO service_role;

-- Name: FUNCTION unwant_publication(); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.unwant_publication() FROM PUBLIC;

-- Name: FUNCTION waiting_predictions(p_models text[], p_seconds integer, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.waiting_predictions(p_models text[], p_seconds integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.waiting_predictions(p_models text[], p_seconds integer, p_limit integer) TO service_role;

-- Name: FUNCTION want_publication(p_id uuid, p_owner uuid, p_channel text, p_wanted jsonb, p_privacy text, p_publish_at timestamp with time zone); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.want_publication(p_id uuid, p_owner uuid, p_channel text, p_wanted jsonb, p_privacy text, p_publish_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.want_publication(p_id uuid, p_owner uuid, p_channel text, p_wanted jsonb, p_privacy text, p_publish_at timestamp with time zone) TO service_role;

-- Name: FUNCTION withdrawn_files(p_minutes integer, p_limit integer); Type: ACL; Schema: public; Owner: -

REVOKE ALL ON FUNCTION public.withdrawn_files(p_minutes integer, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.withdrawn_files(p_minutes integer, p_limit integer) TO service_role;

-- Name: TABLE channels; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.channels TO service_role;

-- Name: TABLE consents; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.consents TO service_role;

-- Name: TABLE erased_addresses; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.erased_addresses TO service_role;

-- Name: TABLE files; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.files TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.files TO service_role;

-- Name: TABLE footage_searches; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.footage_searches TO service_role;

-- Name: TABLE messages; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.messages TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.messages TO service_role;

-- Name: TABLE models; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.models TO anon;
GRANT SELECT ON TABLE public.models TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.models TO service_role;

-- Name: TABLE month_limits; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.month_limits TO service_role;

-- Name: TABLE month_usage; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.month_usage TO service_role;

-- Name: TABLE personas; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT ON TABLE public.personas TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.personas TO service_role;

-- Name: TABLE project_events; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.project_events TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.project_events TO service_role;

-- Name: TABLE publications; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.publications TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.publications TO service_role;

-- Name: TABLE recent_requests; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.recent_requests TO service_role;

-- Name: TABLE steps; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.steps TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.steps TO service_role;

-- Name: TABLE usage; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.usage TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.usage TO service_role;

-- Name: TABLE video_days; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.video_days TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.video_days TO service_role;

-- Name: TABLE webhook_deliveries; Type: ACL; Schema: public; Owner: -

GRANT SELECT ON TABLE public.webhook_deliveries TO authenticated;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.webhook_deliveries TO service_role;

-- Name: TABLE youtube_quota; Type: ACL; Schema: public; Owner: -

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.youtube_quota TO service_role;
