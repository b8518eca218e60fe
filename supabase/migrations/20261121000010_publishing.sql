-- Films on YouTube: the channels that people have connected, what is published where, who watched it, and how much of the
-- day's quota is used.

-- Consents that are under way: who asked, and PKCE's verifier, sealed. Read once.
create table public.consents (
    state text primary key,  -- a hash of what goes to Google and comes back
    owner uuid not null,
    verifier text not null,
    created_at timestamptz not null default now()
);

create table public.channels (
    owner uuid not null,
    id text not null,  -- YouTube's
    title text not null,
    picture text not null default '',
    state text not null default 'unconfirmed' check (state in ('unconfirmed', 'connected', 'needs_reconnect')),
    monetary boolean not null default false,  -- whether the consent shows what films earn
    refresh_token text not null,  -- sealed; see shared/core/sealed.py
    created_at timestamptz not null default now(),
    primary key (owner, id)
);

-- One for each project that is to be published: how it is to stand at YouTube, and, once it is there, how it does.
create table public.publications (
    project_id uuid primary key references public.projects (id) on delete cascade,
    owner uuid not null,
    channel_id text not null,
    wanted jsonb not null,  -- title, shape, description and the rest, as they were asked for
    privacy text not null check (privacy in ('private', 'unlisted', 'public')),  -- as it is wanted
    publish_at timestamptz,  -- when it is to become public; null: at once
    video_id text,  -- YouTube's, once it has arrived
    state text not null default 'uploading' check (
        state in ('uploading', 'processing', 'scheduled', 'public', 'unlisted', 'private', 'rejected', 'removed')
    ),
    problem text,  -- in words
    published_at timestamptz,
    looked_at timestamptz,  -- when analytics were last asked for
    retention jsonb,  -- of each hundredth of the film, the share that still watches
    watched numeric(6, 4),  -- the mean of that
    views integer not null default 0,
    features jsonb,  -- of its script, by name; see shared/studio/audience.py
    created_at timestamptz not null default now()
);
create index publications_by_owner on public.publications (owner, created_at desc);

create index publications_to_look_at on public.publications (looked_at nulls first) where video_id is not null;

create table public.video_days (
    project_id uuid not null references public.publications (project_id) on delete cascade,
    owner uuid not null,
    day date not null,
    views integer not null default 0,
    engaged_views integer not null default 0,
    minutes numeric(14, 2) not null default 0,
    revenue numeric(14, 4),  -- in US dollars, as YouTube estimates it; null where it does not say
    primary key (project_id, day)
);

create index video_days_by_owner on public.video_days (owner);

-- Calls of this deployment's Google project, by bucket and day in California: refused here before YouTube refuses.
create table public.youtube_quota (
    bucket text not null,
    day date not null,
    used integer not null,
    primary key (bucket, day)
);

alter table public.consents enable row level security;
alter table public.channels enable row level security;
alter table public.publications enable row level security;
alter table public.video_days enable row level security;
alter table public.youtube_quota enable row level security;
create policy "own publications are read" on public.publications for select to authenticated using (owner = auth.uid());
create policy "own views are read" on public.video_days for select to authenticated using (owner = auth.uid());

-- Take so many units out of a bucket; returns 0, or the seconds until there are some again.
create function public.take_quota(p_bucket text, p_units integer, p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
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

-- Have a project's film published: when it is approved, or now where it is finished. Replaces what was wanted before, as
-- long as nothing has been sent.
create function public.want_publication(
    p_id uuid, p_owner uuid, p_channel text, p_wanted jsonb, p_privacy text, p_publish_at timestamptz
) returns void
language plpgsql security definer set search_path = '' as $$
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

-- A film that is sent back is not published by what was wanted of it.
create function public.unwant_publication() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from public.publications where project_id = new.project_id and video_id is null;
    return null;
end $$;
create trigger reject_unwants_publication after insert on public.project_events for each row
    when (new.decision = 'reject') execute function public.unwant_publication();

-- Of the caller's films at YouTube: how many are public, who watched them, and what one has cost.
create function public.audience() returns jsonb
language sql stable security definer set search_path = '' as $$
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

-- Take a consent that is not older than an hour; it can be taken once.
create function public.take_consent(p_state text, p_owner uuid) returns text
language sql security definer set search_path = '' as $$
    delete from public.consents where created_at < now() - interval '1 day';
    delete from public.consents
    where state = p_state and owner = p_owner and created_at > now() - interval '1 hour' returning verifier;
$$;

revoke all on public.consents, public.channels, public.publications, public.video_days, public.youtube_quota
    from anon, authenticated, service_role;
grant select on public.publications, public.video_days to authenticated;
grant select, insert, update, delete
    on public.consents, public.channels, public.publications, public.video_days, public.youtube_quota to service_role;
revoke execute on function public.take_quota, public.take_consent, public.want_publication, public.unwant_publication,
    public.audience
    from public, anon, authenticated, service_role;
grant execute on function public.audience to authenticated;
grant execute on function public.take_quota, public.take_consent, public.want_publication to service_role;
