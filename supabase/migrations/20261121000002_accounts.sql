-- Accounts and their ledger. One credit is a tenth of a US cent. The ledger (usage) is the truth that a balance can be
-- checked against: a balance is the sum of its account's lines.

create table public.accounts (
    owner uuid primary key,
    balance numeric(14, 3) not null default 0,
    running_limit integer not null default 8,
    minute_limit integer not null default 60
);

create table public.usage (
    id bigint generated always as identity primary key,
    owner uuid not null,
    prediction_id uuid,
    kind text not null check (kind in ('grant', 'reserve', 'release', 'charge', 'purchase', 'refund')),
    credits numeric(14, 3) not null,
    external_id text unique,  -- of a payment: one that is reported twice is booked once
    created_at timestamptz not null default now()
);
create index usage_by_owner on public.usage (owner, id desc);

-- What each owner asked for within the last minute, and when. Limits count requests, not the rows that are left of them:
-- removing what was made does not make room for more.
create table public.recent_requests (
    id bigint generated always as identity primary key,
    owner uuid not null,
    kind text not null,
    created_at timestamptz not null default now()
);
create index recent_requests_by_owner on public.recent_requests (owner, kind, created_at);

alter table public.recent_requests enable row level security;
alter table public.accounts enable row level security;
alter table public.usage enable row level security;
create policy "own account is read" on public.accounts for select to authenticated using (owner = auth.uid());
create policy "own usage is read" on public.usage for select to authenticated using (owner = auth.uid());

-- Write a line of the ledger and move the balance with it. False when a line with this external id exists.
create function public.book(
    p_owner uuid, p_kind text, p_credits numeric, p_prediction uuid default null, p_external_id text default null
) returns boolean
language plpgsql security definer set search_path = '' as $$
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

-- The owner's account, created with its welcome credits when it is first needed, and locked until the transaction ends.
create function public.ensure_account(p_owner uuid) returns public.accounts
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

-- Count a request of this owner, or refuse it. Whoever locks several rows locks the account first, then the persona, then
-- the prediction: nobody waits in a circle.
create function public.limit_rate(p_owner uuid, p_kind text) returns void
language plpgsql security definer set search_path = '' as $$
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

revoke all on public.accounts, public.usage, public.recent_requests from anon, authenticated, service_role;
grant select on public.accounts, public.usage to authenticated;
grant select, insert, update, delete on public.accounts, public.usage, public.recent_requests to service_role;
revoke execute on function public.book, public.ensure_account, public.limit_rate
    from public, anon, authenticated, service_role;
grant execute on function public.book, public.ensure_account, public.limit_rate to service_role;
