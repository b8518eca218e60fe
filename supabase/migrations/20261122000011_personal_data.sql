-- Taking one's data along, and having it erased.

alter table public.usage drop constraint usage_kind_check;
alter table public.usage add constraint usage_kind_check
    check (kind in ('grant', 'reserve', 'release', 'charge', 'purchase', 'refund', 'dispute', 'erasure'));

-- Erase what an owner made and said; returns the files to be removed. Orders and the ledger stay, without what they
-- were about: they are the books. So does the account, at 0: nobody gets the welcome credits twice.
create function public.erase_account(p_owner uuid) returns text[]
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

revoke execute on function public.erase_account from public, anon, authenticated, service_role;
grant execute on function public.erase_account to service_role;
