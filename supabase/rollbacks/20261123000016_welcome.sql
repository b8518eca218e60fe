create or replace function public.ensure_account(p_owner uuid) returns public.accounts
language plpgsql security definer set search_path = '' as $$
declare
    account public.accounts;
begin
    insert into public.accounts (owner) values (p_owner) on conflict do nothing;
    if found then
        perform public.book(p_owner, 'grant', 5000);
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
    perform public.book(p_owner, 'erasure', -greatest(account.balance, 0));
    return released;
end $$;

drop table public.erased_addresses;
drop function public.address_digest;
