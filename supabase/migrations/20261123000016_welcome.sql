-- Who has their data erased and comes back with the same address gets no welcome credits a second time. Of the address
-- a digest is kept, by which it can be recognized and not read.

create table public.erased_addresses (digest bytea primary key);
alter table public.erased_addresses enable row level security;
revoke all on public.erased_addresses from anon, authenticated, service_role;
grant select, insert, update, delete on public.erased_addresses to service_role;

-- Without what some providers let one append: name+anything@example.com is name@example.com.
create function public.address_digest(p_address text) returns bytea
language sql immutable set search_path = '' as $$
    select sha256(convert_to(regexp_replace(lower(trim(p_address)), '\+[^@]*@', '@'), 'UTF8'));
$$;
revoke execute on function public.address_digest from public, anon, authenticated, service_role;

create or replace function public.ensure_account(p_owner uuid) returns public.accounts
language plpgsql security definer set search_path = '' as $$
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

create or replace function public.erase_account(p_owner uuid) returns text[]
language plpgsql security definer set search_path = '' as $$
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
