-- What can be asked for: the part of shared/models/*.py that is decided in the database. A test holds the two equal.

create table public.models (
    name text primary key,
    code smallint not null unique check (code between 0 and 255),  -- stands in every id: never changed, never reused
    reserve numeric(14, 3) not null check (reserve >= 0),  -- credits that are reserved at first; more are as more is bought
    needs text[] not null default '{}' check (needs <@ '{persona,portrait}'),
    seconds smallint not null default 120 check (seconds between 5 and 3600)  -- to the deadline, unless its owner says
);
insert into public.models (name, code, reserve, needs, seconds) values
    ('talk', 0, 60, '{persona,portrait}', 120),
    ('portrait', 1, 60, '{persona}', 120),
    ('lipsync', 2, 100, '{persona,portrait}', 120),
    ('idle', 3, 1, '{persona,portrait}', 120),
    ('clip', 4, 200, '{}', 300);

alter table public.models enable row level security;
create policy "models are read" on public.models for select to anon, authenticated using (true);

revoke all on public.models from anon, authenticated, service_role;
grant select on public.models to anon, authenticated;
grant select, insert, update, delete on public.models to service_role;
