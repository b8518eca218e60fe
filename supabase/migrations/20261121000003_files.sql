-- Every file in storage, with its owner and the row that refers to it. A file is noted before it is uploaded, without a
-- referrer; whatever keeps it names itself. What nobody refers to is removed by reconciliation, whatever kind it is of.

create table public.files (
    path text primary key,
    owner uuid not null,
    referrer uuid,  -- id of a persona, a prediction, or whatever else keeps files
    content_type text not null,
    bytes bigint not null check (bytes >= 0),
    expires_at timestamptz,  -- of an uploaded file, which is kept until then without a referrer
    sha256 text,
    public_at timestamptz,  -- when it was copied to the public bucket, where it is
    created_at timestamptz not null default now()
);
create index files_by_referrer on public.files (referrer) where referrer is not null;
create index files_uploaded on public.files (owner, created_at desc) where expires_at is not null;
create index files_public on public.files (public_at) where public_at is not null;
create index files_unreferenced on public.files (created_at) where referrer is null;

alter table public.files enable row level security;
create policy "own files are read" on public.files for select to authenticated using (owner = auth.uid());

-- Of uploaded files an owner keeps a hundred at a time.
create function public.limit_uploads() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform public.ensure_account(new.owner);  -- one call of this owner at a time
    if 100 <= (select count(*) from public.files where owner = new.owner and expires_at > now()) then
        raise exception '100 uploaded files are kept already; remove some, or wait a day'
        using errcode = 'PT429', hint = '3600';
    end if;
    return new;
end $$;
create trigger files_limit_uploads before insert on public.files
    for each row when (new.expires_at is not null) execute function public.limit_uploads();

-- For each table whose rows keep files (with id and owner): a row that goes lets go of them.
create function public.release_files() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.files set referrer = null where owner = old.owner and referrer = old.id;
    return old;
end $$;

-- Files that nobody refers to, old enough not to be on their way any more.
create function public.unreferenced_files(p_minutes integer default 10, p_limit integer default 1000) returns setof text
language sql stable security definer set search_path = '' as $$
    select path from public.files
    where referrer is null and created_at < now() - make_interval(mins => p_minutes)
      and (expires_at is null or expires_at < now())
    order by created_at limit p_limit;
$$;

revoke all on public.files from anon, authenticated, service_role;
grant select on public.files to authenticated;
grant select, insert, update, delete on public.files to service_role;
revoke execute on function public.limit_uploads, public.release_files, public.unreferenced_files
    from public, anon, authenticated, service_role;
grant execute on function public.unreferenced_files to service_role;
