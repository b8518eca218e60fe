-- Orders of credits. What Stripe says of a payment is written here as it stands, and the ledger follows: what is paid,
-- less what was paid back or is disputed, in proportion. However often and in whatever order it is reported, the ledger
-- has each change once.

alter table public.usage drop constraint usage_kind_check;
alter table public.usage add constraint usage_kind_check
    check (kind in ('grant', 'reserve', 'release', 'charge', 'purchase', 'refund', 'dispute'));

create type public.order_status as enum ('open', 'pending', 'paid', 'failed', 'expired', 'mismatch');

create table public.orders (
    id uuid primary key default gen_random_uuid(),
    owner uuid not null,
    pack text not null,
    credits numeric(14, 3) not null check (credits > 0),
    amount integer not null check (amount > 0),  -- in the currency's smallest unit
    currency text not null check (currency ~ '^[a-z]{3}$'),
    live boolean not null,  -- or of Stripe's test mode
    status public.order_status not null default 'open',
    session text unique,  -- Stripe's, once it is known
    refunded integer not null default 0 check (refunded between 0 and amount),
    disputed integer not null default 0 check (disputed between 0 and amount),
    booked jsonb not null default '{}',  -- credits by kind, as the ledger has them
    receipt_url text,
    invoice_url text,
    seen integer not null default 0,  -- how often Stripe's word was written here; see follow_order
    created_at timestamptz not null default now(),
    paid_at timestamptz
);
create index orders_by_owner on public.orders (owner, created_at desc, id desc);
create index orders_open on public.orders (created_at) where status in ('open', 'pending');
alter table public.orders enable row level security;
create policy "own orders are read" on public.orders for select to authenticated using (owner = auth.uid());

-- Note an order of the caller before Stripe hears of it.
create function public.create_order(
    p_pack text, p_credits numeric, p_amount integer, p_currency text, p_live boolean, p_owner uuid
) returns public.orders
language plpgsql security definer set search_path = '' as $$
declare
    created public.orders;
begin
    perform public.limit_rate(p_owner, 'orders');
    if (select count(*) from public.orders where owner = p_owner and status = 'open') >= 20 then
        raise exception 'twenty orders are not paid yet; pay one of them, or wait for a day' using errcode = 'PT429', hint = '3600';
    end if;
    insert into public.orders (owner, pack, credits, amount, currency, live)
    values (p_owner, p_pack, p_credits, p_amount, p_currency, p_live) returning * into created;
    return created;
end $$;

-- Write what Stripe says of an order now, and move the ledger by what that changes. p_seen: `seen` of the row that was read
-- before Stripe was asked: when another answer was written meanwhile, this one may be older, null is returned, and Stripe
-- is to be asked again. p_refunded, p_disputed: in the currency's smallest unit, in all.
create function public.follow_order(
    p_id uuid, p_seen integer, p_session text, p_status text, p_refunded integer, p_disputed integer,
    p_receipt_url text default null, p_invoice_url text default null
) returns setof public.orders
language plpgsql security definer set search_path = '' as $$
declare
    followed public.orders;
    wanted jsonb;
    line record;
begin
    perform public.ensure_account(owner) from public.orders where id = p_id;  -- locked first: see limit_rate
    select * into followed from public.orders where id = p_id for update;
    if not found then
        raise exception 'no such order' using errcode = 'PT404';
    end if;
    if followed.seen <> p_seen then
        return;
    end if;
    if followed.session is distinct from p_session and followed.session is not null then
        raise exception 'this order has another session' using errcode = 'PT409';
    end if;
    wanted := case p_status when 'paid' then jsonb_build_object(
        'purchase', followed.credits,
        'refund', -round(followed.credits * least(p_refunded, followed.amount) / followed.amount, 3),
        'dispute', -round(
            followed.credits * least(p_disputed, followed.amount - least(p_refunded, followed.amount)) / followed.amount, 3
        )
    ) else '{"purchase": 0, "refund": 0, "dispute": 0}' end;
    for line in select key, value::numeric - coalesce((followed.booked ->> key)::numeric, 0) as change
        from jsonb_each_text(wanted) order by 2 desc  -- what comes in first
    loop
        perform public.book(
            followed.owner, line.key, line.change, p_id, format('order %s %s %s', p_id, followed.seen + 1, line.key)
        );
    end loop;
    return query update public.orders set
        session = p_session, status = p_status::public.order_status, booked = wanted,
        refunded = least(p_refunded, amount), disputed = least(p_disputed, amount),
        receipt_url = coalesce(p_receipt_url, receipt_url), invoice_url = coalesce(p_invoice_url, invoice_url),
        paid_at = case when p_status = 'paid' then coalesce(paid_at, now()) end, seen = seen + 1
    where id = p_id returning *;
end $$;

-- The caller's ledger, newest first: what a prediction or a film has cost is one line. `balance`: after it, of what is
-- settled. p_before: `id` of the last line that was seen. Reads 2,000 lines at most.
create function public.ledger(p_before bigint default null, p_limit integer default 50) returns setof jsonb
language sql stable security definer set search_path = '' as $$
    with raw as (
        select id, created_at, kind, credits, prediction_id from public.usage
        where owner = auth.uid() and kind not in ('reserve', 'release') and (p_before is null or id < p_before)
        order by id desc limit 2000
    ), settled as (
        select coalesce(sum(credits), 0) as balance from public.usage
        where owner = auth.uid() and kind not in ('reserve', 'release') and (p_before is null or id < p_before)
    ), after as (
        select *, (select balance from settled) - coalesce(sum(credits) over (
            order by id desc rows between unbounded preceding and 1 preceding
        ), 0) as balance from raw
    ), lines as (
        select max(id) as id, max(created_at) as at, kind, sum(credits) as credits, prediction_id as about,
            (array_agg(balance order by id desc))[1] as balance
        from after group by kind, prediction_id, case kind when 'charge' then null else id end
        order by max(id) desc limit p_limit
    )
    select jsonb_build_object(
        'id', s.id, 'at', s.at, 'kind', s.kind, 'credits', s.credits, 'balance', s.balance,
        'model', coalesce(p.model, case when f.id is not null then 'film' end), 'persona', one.name,
        'about', coalesce(f.input ->> 'idea', p.input ->> 'scene'), 'pack', o.pack
    )
    from lines s left join public.predictions p on p.id = s.about left join public.personas one on one.id = p.persona_id
        left join public.projects f on f.id = s.about left join public.orders o on o.id = s.about
    order by s.id desc;
$$;

-- The caller's account at a glance: balance, what is held for work in progress, this month's cost by model, limits and how
-- far they are used.
create function public.billing() returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := auth.uid();
    account public.accounts := public.ensure_account(caller);
begin
    return jsonb_build_object(
        'balance', account.balance,
        'held', (
            select coalesce(sum(reserved), 0) from public.predictions
            where owner = caller and status in ('starting', 'processing')
        ) + (
            select coalesce(sum(s.reserved), 0) from public.steps s join public.projects f on f.id = s.project_id
            where f.owner = caller and s.result is null
        ),
        'month', (
            select coalesce(jsonb_object_agg(model, credits), '{}') from (
                select coalesce(p.model, case when f.id is not null then 'film' else 'other' end) as model,
                    -sum(u.credits) as credits
                from public.usage u left join public.predictions p on p.id = u.prediction_id
                    left join public.projects f on f.id = u.prediction_id
                where u.owner = caller and u.kind = 'charge' and u.created_at >= date_trunc('month', now()) group by 1
            ) months
        ),
        'limits', jsonb_build_array(
            jsonb_build_object('name', 'running', 'limit', account.running_limit, 'used', (
                select count(*) from public.predictions
                where owner = caller and not system and status in ('starting', 'processing')
            )),
            jsonb_build_object('name', 'minute', 'limit', account.minute_limit, 'used', (
                select count(*) from public.recent_requests
                where owner = caller and kind = 'predictions' and created_at > now() - interval '1 minute'
            ))
        )
    );
end $$;

revoke all on public.orders from anon, authenticated, service_role;
grant select on public.orders to authenticated;
grant select, insert, update, delete on public.orders to service_role;
revoke execute on function public.create_order, public.follow_order, public.ledger, public.billing
    from public, anon, authenticated, service_role;
grant execute on function public.ledger, public.billing to authenticated;
grant execute on function public.create_order, public.follow_order to service_role;
