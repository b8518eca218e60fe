-- Personas: who speaks, with which face and voice. Their owner creates and changes them; a picture comes by the backend.

create table public.personas (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null default auth.uid(),
    name text not null check (char_length(name) between 1 and 80),
    description text not null default '' check (char_length(description) <= 4000),
    appearance text not null default '' check (char_length(appearance) <= 1000),
    voice_id text not null default '' check (voice_id ~ '^[A-Za-z0-9]{0,40}$'),
    liveliness double precision not null default 0.5 check (liveliness between 0 and 1),
    gaze text not null default 'natural' check (gaze in ('viewer', 'natural', 'wandering')),
    portrait text references public.files (path) on delete set null,
    face jsonb,
    consent_at timestamptz,
    -- What is shown while it does not speak; made by the backend, again whenever its look changes.
    idle text references public.files (path) on delete set null,
    thinking text references public.files (path) on delete set null,
    poster text references public.files (path) on delete set null,
    hue smallint check (hue between 0 and 359),
    look_since timestamptz not null default now(),
    created_at timestamptz not null default now() check (created_at between '2020-01-01' and '2200-01-01')
);
create index personas_by_owner on public.personas (owner, created_at desc, id desc);
create index personas_by_portrait on public.personas (portrait) where portrait is not null;
create index personas_without_idle on public.personas (look_since) where portrait is not null and idle is null;
create index personas_by_idle on public.personas (idle) where idle is not null;
create index personas_by_thinking on public.personas (thinking) where thinking is not null;
create index personas_by_poster on public.personas (poster) where poster is not null;
create trigger personas_release_files before delete on public.personas
    for each row execute function public.release_files();

-- A persona that looks otherwise than before lets go of the loops that show it.
create function public.change_look() returns trigger
language plpgsql security definer set search_path = '' as $$
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
create trigger personas_change_look before update of portrait, face, liveliness, gaze on public.personas
    for each row execute function public.change_look();

create function public.limit_personas() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if auth.uid() is not null then
        perform public.limit_rate(new.owner, 'personas');
    end if;
    return new;
end $$;
create trigger personas_limit before insert on public.personas
    for each row execute function public.limit_personas();

alter table public.personas enable row level security;
create policy "own personas are read" on public.personas for select to authenticated using (owner = auth.uid());
create policy "own personas are created, without a picture" on public.personas for insert to authenticated
    with check (
        owner = auth.uid() and portrait is null and face is null and consent_at is null
        and idle is null and thinking is null and poster is null and hue is null
    );

-- Change the caller's own persona; what is left out stays. False when there is no such persona of theirs.
create function public.change_persona(p_persona uuid, p_changes jsonb) returns boolean
language sql security definer set search_path = '' as $$
    with argument as (
        select public.as_object(p_changes) as change
    ), changed as (
        update public.personas set
            name = coalesce(change ->> 'name', name),
            description = coalesce(change ->> 'description', description),
            appearance = coalesce(change ->> 'appearance', appearance),
            voice_id = coalesce(change ->> 'voice_id', voice_id),
            liveliness = coalesce((change ->> 'liveliness')::double precision, liveliness),
            gaze = coalesce(change ->> 'gaze', gaze)
        from argument
        where id = p_persona and owner = auth.uid()
        returning id
    )
    select exists (select 1 from changed);
$$;

-- Give a persona an uploaded picture, with the consent of the person shown. Returns the files that are no longer needed.
create function public.set_portrait(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) returns text[]
language plpgsql security definer set search_path = '' as $$
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

-- Correct the face of this portrait. Returns the files that were derived from the face before, or null when the persona
-- has another portrait by now.
create function public.correct_face(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) returns text[]
language plpgsql security definer set search_path = '' as $$
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

-- Remove a persona with all that belongs to it, once nothing of it runs any more: what runs is ended by whoever works on
-- it, who knows what it has used. Returns the files that are no longer needed.
create function public.remove_persona(p_persona uuid, p_owner uuid) returns text[]
language plpgsql security definer set search_path = '' as $$
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

revoke all on public.personas from anon, authenticated, service_role;
grant select, insert on public.personas to authenticated;
grant select, insert, update, delete on public.personas to service_role;
revoke execute on function
    public.change_persona, public.set_portrait, public.correct_face, public.remove_persona, public.limit_personas,
    public.change_look
    from public, anon, authenticated, service_role;
grant execute on function public.change_persona to authenticated;
grant execute on function public.set_portrait, public.correct_face, public.remove_persona to service_role;
