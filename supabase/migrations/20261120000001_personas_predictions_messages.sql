-- Personas, predictions and messages. Everybody sees their own; only the backend changes what costs or counts.
-- Errors carry SQLSTATE PTxyz, which PostgREST answers as HTTP xyz.

grant usage on schema auth to anon, authenticated, service_role;

insert into storage.buckets (id, name, public)
values ('personaforge', 'personaforge', true)  -- names are unguessable: an address is shared by whoever was given it
on conflict (id) do nothing;

create table public.personas (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null default auth.uid(),
    name text not null check (char_length(name) between 1 and 80),
    description text not null default '' check (char_length(description) <= 4000),
    appearance text not null default '' check (char_length(appearance) <= 1000),
    voice_id text not null default '' check (voice_id ~ '^[A-Za-z0-9]{0,40}$'),
    portrait text,
    face jsonb,
    consent_at timestamptz,
    created_at timestamptz not null default now()
);
create index personas_by_owner on public.personas (owner, created_at desc, id desc);

create type public.prediction_status as enum
    ('starting', 'processing', 'succeeded', 'failed', 'canceled', 'aborted');

create table public.predictions (
    id uuid primary key,
    owner uuid not null,
    persona_id uuid references public.personas (id) on delete cascade,
    model text not null check (model in ('talk', 'portrait', 'lipsync')),
    status public.prediction_status not null default 'starting',
    input jsonb not null check (octet_length(input::text) < 100000),
    stream boolean not null default false,
    provider_id text,
    output text,
    captions text,
    text text,
    error text,
    degraded jsonb,
    receipt jsonb,
    deadline timestamptz not null,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    completed_at timestamptz
);
create index predictions_by_owner on public.predictions (owner, created_at desc, id desc);

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

alter table public.personas enable row level security;
alter table public.predictions enable row level security;
alter table public.messages enable row level security;

create policy "own personas are read" on public.personas
    for select to authenticated using (owner = auth.uid());
create policy "own personas are made, without a picture" on public.personas
    for insert to authenticated
    with check (owner = auth.uid() and portrait is null and face is null and consent_at is null);
create policy "own predictions are read" on public.predictions
    for select to authenticated using (owner = auth.uid());
create policy "own messages are read" on public.messages
    for select to authenticated using (owner = auth.uid());

-- JSON as an object. Some servers in front of Postgres pass a JSON argument on as a JSON string that holds it.
create function public.as_object(p jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select case jsonb_typeof(p) when 'string' then (p #>> '{}')::jsonb else p end
$$;

-- A finished prediction never changes, whoever asks.
create function public.predictions_stay_finished() returns trigger
language plpgsql as $$
begin
    if old.status in ('succeeded', 'failed', 'canceled', 'aborted') then
        raise exception 'prediction % is finished and cannot change', old.id using errcode = 'PT409';
    end if;
    return new;
end $$;
create trigger predictions_stay_finished before update on public.predictions
    for each row execute function public.predictions_stay_finished();

-- Take a waiting prediction to work on it; nobody else gets it then. Answers no row when it is not to be had.
create function public.claim_prediction(p_id uuid) returns setof public.predictions
language sql security definer set search_path = '' as $$
    update public.predictions set status = 'processing', started_at = now()
    where id = p_id and status = 'starting'
    returning *;
$$;

-- Note under which id the provider runs it.
create function public.attach_provider(p_id uuid, p_provider_id text) returns void
language sql security definer set search_path = '' as $$
    update public.predictions set provider_id = p_provider_id, status = 'processing', started_at = now()
    where id = p_id and status = 'starting';
$$;

-- Finish a prediction: the first one wins, later ones change nothing and are told so (false).
-- `p_effects` may hold "messages": [{role, content}] and "portrait": {path, face} for the persona.
create function public.settle_prediction(
    p_id uuid, p_status public.prediction_status, p_result jsonb, p_effects jsonb default '{}'
) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    done public.predictions;
    result jsonb := public.as_object(p_result);
    effects jsonb := public.as_object(p_effects);
begin
    if p_status in ('starting', 'processing') then
        raise exception 'a prediction is settled with a final status' using errcode = 'PT422';
    end if;
    update public.predictions set
        status = p_status,
        output = result ->> 'output',
        captions = result ->> 'captions',
        text = result ->> 'text',
        error = result ->> 'error',
        degraded = result -> 'degraded',
        receipt = result -> 'receipt',
        completed_at = now()
    where id = p_id and status in ('starting', 'processing')
    returning * into done;
    if not found then
        return false;
    end if;
    insert into public.messages (owner, persona_id, prediction_id, role, content)
    select done.owner, done.persona_id, done.id, said ->> 'role', said ->> 'content'
    from jsonb_array_elements(coalesce(effects -> 'messages', '[]')) with ordinality as given (said, place)
    order by place;
    if effects ? 'portrait' then
        update public.personas
        set portrait = effects -> 'portrait' ->> 'path', face = effects -> 'portrait' -> 'face'
        where id = done.persona_id;
    end if;
    return true;
end $$;

-- Give a persona an uploaded picture. Answers the path of the one it replaces, for removal.
create function public.set_portrait(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    before public.personas;
begin
    select * into before from public.personas where id = p_persona and owner = p_owner for update;
    if not found then
        raise exception 'no such persona' using errcode = 'PT404';
    end if;
    update public.personas set portrait = p_path, face = public.as_object(p_face), consent_at = now() where id = p_persona;
    return jsonb_build_object('replaced', before.portrait);
end $$;

-- Remove a persona with all that belongs to it. Answers the paths of its files, for removal.
create function public.remove_persona(p_persona uuid, p_owner uuid) returns text[]
language plpgsql security definer set search_path = '' as $$
declare
    files text[];
begin
    perform 1 from public.personas where id = p_persona and owner = p_owner for update;
    if not found then
        raise exception 'no such persona' using errcode = 'PT404';
    end if;
    select coalesce(array_agg(distinct path), '{}') into files from (
        select portrait as path from public.personas where id = p_persona
        union all select output from public.predictions where persona_id = p_persona
        union all select captions from public.predictions where persona_id = p_persona
    ) as paths where path is not null;
    delete from public.personas where id = p_persona;
    return files;
end $$;

revoke execute on function
    public.claim_prediction, public.attach_provider, public.settle_prediction, public.set_portrait,
    public.remove_persona
    from public, anon, authenticated;
grant execute on function
    public.claim_prediction, public.attach_provider, public.settle_prediction, public.set_portrait,
    public.remove_persona
    to service_role;
