-- Ceilings on what is spent in a calendar month (UTC), in credits: by account, and by all together.

alter table public.accounts add column month_limit numeric(14, 3) check (month_limit >= 0);

create table public.month_limits (
    name text primary key check (name = 'everybody'),
    credits numeric(14, 3) not null check (credits >= 0)
);
create table public.month_usage (
    owner uuid not null,
    month date not null,
    credits numeric(14, 3) not null default 0,
    primary key (month, owner)
);
alter table public.month_limits enable row level security;
alter table public.month_usage enable row level security;

-- Each line of the ledger that spends, or gives back what was reserved, counts for the month in which it is written.
-- Only what would go over a limit is refused: what was bought is charged.
create function public.count_month() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    this_month date := date_trunc('month', now() at time zone 'utc');
    own_limit numeric;
    total_limit numeric;
    spent numeric;
begin
    insert into public.month_usage (owner, month, credits) values (new.owner, this_month, -new.credits)
    on conflict (month, owner) do update set credits = public.month_usage.credits - new.credits
    returning credits into spent;
    if new.kind <> 'reserve' then
        return null;
    end if;
    select month_limit into own_limit from public.accounts where owner = new.owner;
    if spent > own_limit then
        raise exception 'this would go over your limit of % credits a month, which begins anew on %',
            trim_scale(own_limit), this_month + interval '1 month' using errcode = 'PT402';
    end if;
    select credits into total_limit from public.month_limits;
    if total_limit is not null then
        -- One after the other: each sees what those before it have spent.
        perform pg_advisory_xact_lock(hashtext('month_limits'));
        select sum(credits) into spent from public.month_usage where month = this_month;
        if spent > total_limit then
            raise exception 'this deployment has spent what its owner allows for this month; it begins anew on %',
                (this_month + interval '1 month')::date using errcode = 'PT402';
        end if;
    end if;
    return null;
end $$;
create trigger usage_counts_for_its_month after insert on public.usage
    for each row when (new.kind in ('reserve', 'release', 'charge')) execute function public.count_month();

revoke all on public.month_limits, public.month_usage from anon, authenticated, service_role;
grant select, insert, update, delete on public.month_limits, public.month_usage to service_role;
revoke execute on function public.count_month from public, anon, authenticated, service_role;
