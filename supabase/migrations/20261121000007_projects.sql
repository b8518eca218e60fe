-- Projects of the studio: a stage machine in rows. A worker takes a project for as long as its lease lasts, goes on from
-- the first step that has no result, and stops at gates where a person decides. No worker's memory is needed: a lease that
-- ends is taken up by another, and no step that has a result runs again. Only the database's clock counts.

create type public.project_status as enum ('ready', 'working', 'waiting', 'succeeded', 'failed', 'canceled');

create table public.projects (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null,
    persona_id uuid references public.personas (id) on delete set null,  -- what was made stays
    pipeline smallint not null default 1,  -- of the code that began it; a later one may know more stages
    input jsonb not null check (jsonb_typeof(input) = 'object' and octet_length(input::text) < 20000),
    status public.project_status not null default 'ready',
    stage text not null default 'scripts',
    waiting_for text,  -- a gate, or credits; only while waiting
    gate_until timestamptz,  -- when a gate closes
    reminded_at timestamptz,  -- when its owner was told that it will
    round smallint not null default 1,  -- of drafts: one more with each rejection
    wake_at timestamptz not null default now(),
    lease_by uuid,
    lease_until timestamptz,
    attempt smallint not null default 0,  -- of the stage, since it last got on
    claims smallint not null default 0,  -- since a step was last ended: what kills its worker each time is stopped
    cancel_requested boolean not null default false,
    error jsonb,  -- {"code", "detail"} of what stopped it
    output jsonb,  -- what it made, when it is done
    idempotency_key text,
    body_hash text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index projects_by_owner on public.projects (owner, created_at desc, id desc);
create unique index projects_by_key on public.projects (owner, idempotency_key) where idempotency_key is not null;
create index projects_due on public.projects (wake_at) where status in ('ready', 'working');
create index projects_gates on public.projects (gate_until) where status = 'waiting';

-- What was done, in units that are bought or made once: the third outline, the seventh shot.
create table public.steps (
    project_id uuid not null references public.projects (id) on delete cascade,
    owner uuid not null,
    stage text not null,
    key text not null default '',
    attempt smallint not null default 1,
    result jsonb,  -- null while it runs
    reserved numeric(14, 3) not null default 0,
    cost_usd numeric(14, 6) not null default 0,
    error jsonb,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    primary key (project_id, stage, key)
);

-- What people decided: the first decision at a gate stands.
create table public.project_events (
    project_id uuid not null references public.projects (id) on delete cascade,
    owner uuid not null,
    gate text not null check (gate in ('script', 'film')),
    round smallint not null,
    decision text not null check (decision in ('approve', 'reject')),
    payload jsonb not null default '{}',
    by text not null,
    created_at timestamptz not null default now(),
    primary key (project_id, gate, round)
);

-- Answers of the stock library, which asks to be asked once a day for the same words.
create table public.footage_searches (
    query text not null,
    orientation text not null,
    answer jsonb not null,
    found_at timestamptz not null default now(),
    primary key (query, orientation)
);

alter table public.footage_searches enable row level security;
alter table public.projects enable row level security;
alter table public.steps enable row level security;
alter table public.project_events enable row level security;
create policy "own projects are read" on public.projects for select to authenticated using (owner = auth.uid());
create policy "own steps are read" on public.steps for select to authenticated using (owner = auth.uid());
create policy "own decisions are read" on public.project_events for select to authenticated using (owner = auth.uid());
create trigger release_files before delete on public.projects for each row execute function public.release_files();

-- Create a project for the caller, once per idempotency key.
create function public.create_project(
    p_persona uuid, p_input jsonb, p_key text default null, p_hash text default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
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

-- Take a project to work on it, this one or the one that has waited longest; nobody else gets it while the lease lasts.
-- Returns {"project": row, "steps": [row], "decisions": [row]}, or null when there is none.
create function public.claim_project(p_by uuid, p_id uuid default null, p_lease interval default '60 seconds') returns jsonb
language plpgsql security definer set search_path = '' as $$
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

-- The project that this worker holds, locked; refuses one who lost it, or whose owner wants no more of it.
create function public.held_project(p_id uuid, p_by uuid, p_wanted boolean default true) returns public.projects
language plpgsql security definer set search_path = '' as $$
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

create function public.extend_lease(p_id uuid, p_by uuid, p_lease interval default '60 seconds') returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform public.held_project(p_id, p_by);
    update public.projects set lease_until = now() + p_lease where id = p_id;
end $$;

-- Begin a step, with so many credits reserved for what it may buy. Returns {"done": its result is there, "result",
-- "paid": whether the credits were there}.
create function public.begin_step(p_id uuid, p_by uuid, p_stage text, p_key text, p_credits numeric) returns jsonb
language plpgsql security definer set search_path = '' as $$
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

-- End a step: with its result, or with the error that ended this attempt. What it bought is charged either way.
-- p_files: paths that the project keeps from now on.
create function public.end_step(
    p_id uuid, p_by uuid, p_stage text, p_key text, p_result jsonb, p_error jsonb, p_cost_usd numeric,
    p_files text[] default '{}'
) returns void
language plpgsql security definer set search_path = '' as $$
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

-- Go on with a stage, or stop: p_status says how. p_wake: earliest time to be taken up again. p_gate: how long a gate is open.
create function public.move_project(
    p_id uuid, p_by uuid, p_status text, p_stage text, p_waiting_for text default null, p_gate interval default null,
    p_wake interval default '0 seconds', p_error jsonb default null, p_output jsonb default null,
    p_patient boolean default false  -- it waits for a time that is known, which is no failed attempt
) returns void
language plpgsql security definer set search_path = '' as $$
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

-- Give back what steps that were never ended have reserved.
create function public.release_steps(p_id uuid, p_owner uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform public.book(p_owner, 'release', coalesce(sum(reserved), 0), p_id) from public.steps
    where project_id = p_id and result is null;
    update public.steps set reserved = 0 where project_id = p_id and result is null;
end $$;

-- What a person decides at a gate. The first decision stands; the answer is the one that stands, with "first": whether it
-- is this one.
create function public.decide_project(
    p_id uuid, p_owner uuid, p_gate text, p_round integer, p_decision text, p_payload jsonb, p_by text
) returns jsonb
language plpgsql security definer set search_path = '' as $$
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

-- End a project that its owner wants no more. One that is being worked on ends when its worker hears of it.
create function public.cancel_project(p_id uuid, p_owner uuid) returns setof public.projects
language plpgsql security definer set search_path = '' as $$
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

-- Its worker heard that it is canceled.
create function public.end_canceled(p_id uuid, p_by uuid) returns void
language plpgsql security definer set search_path = '' as $$
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

-- With a persona goes the consent to show it: its films that are not finished stop, and what was made for them goes.
create function public.stop_projects() returns trigger
language plpgsql security definer set search_path = '' as $$
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
create trigger personas_stop_projects before delete on public.personas
    for each row execute function public.stop_projects();

-- What each of the caller's projects has cost so far, in credits.
create function public.project_costs(p_ids uuid[]) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_object_agg(project_id, credits), '{}') from (
        select project_id, round(sum(cost_usd) * 1000, 3) as credits from public.steps
        where project_id = any (p_ids) and owner = auth.uid() group by project_id
    ) costs;
$$;

-- Go on with one that failed, waits for credits, or whose gate has closed: at the step where it stopped.
create function public.retry_project(p_id uuid, p_owner uuid) returns setof public.projects
language plpgsql security definer set search_path = '' as $$
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

-- What the schedule does, in one query: projects that should be worked on and are not, as whoever was to be told was not or
-- has died; gates whose time is over are closed, and a day before that their owners are reminded.
create function public.sweep_projects(p_seconds integer default 20, p_limit integer default 100) returns setof uuid
language plpgsql security definer set search_path = '' as $$
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

-- Of the caller's projects: how many are where, and what a finished one has cost.
create function public.project_stats() returns jsonb
language sql stable security definer set search_path = '' as $$
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

create function public.kept_search(p_query text, p_orientation text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select answer from public.footage_searches
    where query = p_query and orientation = p_orientation and found_at > now() - interval '1 day';
$$;

revoke all on public.projects, public.steps, public.project_events, public.footage_searches
    from anon, authenticated, service_role;
grant select on public.projects, public.steps, public.project_events to authenticated;
grant select, insert, update, delete
    on public.projects, public.steps, public.project_events, public.footage_searches to service_role;
revoke execute on function
    public.create_project, public.claim_project, public.held_project, public.extend_lease, public.begin_step,
    public.end_step, public.move_project, public.release_steps, public.decide_project,
    public.cancel_project, public.end_canceled, public.retry_project, public.sweep_projects,
    public.kept_search, public.project_stats, public.project_costs, public.stop_projects
    from public, anon, authenticated, service_role;
grant execute on function public.create_project, public.project_stats, public.project_costs to authenticated;
grant execute on function
    public.claim_project, public.extend_lease, public.begin_step, public.end_step, public.move_project,
    public.decide_project, public.cancel_project, public.end_canceled, public.retry_project, public.sweep_projects,
    public.kept_search
    to service_role;
