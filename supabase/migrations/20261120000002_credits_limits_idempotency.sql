-- Credits, limits and idempotency: decided in the same call that makes a prediction, never in a process.
-- One credit is a tenth of a US cent. The ledger (usage) is the truth that the balance can be checked against.

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
    kind text not null check (kind in ('grant', 'reserve', 'release', 'charge')),
    credits numeric(14, 3) not null,
    created_at timestamptz not null default now()
);
create index usage_by_owner on public.usage (owner, id desc);

alter table public.predictions
    add column idempotency_key text check (char_length(idempotency_key) between 1 and 200),
    add column body_hash text,
    add column reserved numeric(14, 3) not null default 0;
create index predictions_by_key on public.predictions (owner, idempotency_key) where idempotency_key is not null;
create index predictions_unfinished on public.predictions (deadline) where status in ('starting', 'processing');

alter table public.accounts enable row level security;
alter table public.usage enable row level security;
create policy "one's own account is read" on public.accounts
    for select to authenticated using (owner = auth.uid());
create policy "one's own usage is read" on public.usage
    for select to authenticated using (owner = auth.uid());

-- What is held back when a prediction is made, in credits: above what nearly all of them cost.
create function public.reservation(p_model text) returns numeric
language sql immutable set search_path = '' as $$
    select case p_model when 'talk' then 60 when 'portrait' then 60 when 'lipsync' then 2000 else 100 end::numeric
$$;

-- Write a line of the ledger and move the balance with it.
create function public.book(p_owner uuid, p_prediction uuid, p_kind text, p_credits numeric) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if p_credits <> 0 then
        insert into public.usage (owner, prediction_id, kind, credits)
        values (p_owner, p_prediction, p_kind, p_credits);
        update public.accounts set balance = balance + p_credits where owner = p_owner;
    end if;
end $$;

-- Make a prediction for the caller, once per idempotency key and day, within limits and credits.
-- Answers {"prediction": row, "made": whether it is new}.
create function public.create_prediction(
    p_id uuid, p_model text, p_persona uuid, p_input jsonb, p_stream boolean, p_seconds integer,
    p_key text default null, p_hash text default null
) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    caller uuid := auth.uid();
    account public.accounts;
    made public.predictions;
    cost numeric := public.reservation(p_model);
    recent integer;
    portrait text;
    oldest timestamptz;
begin
    if caller is null then
        raise exception 'sign in first' using errcode = 'PT401';
    end if;
    insert into public.accounts (owner) values (caller) on conflict do nothing;
    if found then
        perform public.book(caller, null, 'grant', 5000);
    end if;
    -- From here on, one call of this owner at a time.
    select * into account from public.accounts where owner = caller for update;

    if p_key is not null then
        select * into made from public.predictions
        where owner = caller and idempotency_key = p_key and created_at > now() - interval '24 hours'
        order by created_at desc limit 1;
        if found and made.body_hash is distinct from p_hash then
            raise exception 'this Idempotency-Key was used with another body' using errcode = 'PT409';
        elsif found then
            return jsonb_build_object('prediction', to_jsonb(made), 'made', false);
        end if;
    end if;

    select p.portrait into portrait from public.personas p where id = p_persona and owner = caller;
    if not found then
        raise exception 'no such persona' using errcode = 'PT404';
    end if;
    if portrait is null and p_model <> 'portrait' then
        raise exception '%', 'this persona has no portrait yet; make one with the model personaforge/portrait, '
            'or upload a photo with PUT /v1/personas/{id}/portrait' using errcode = 'PT409';
    end if;
    select count(*), min(deadline) into recent, oldest from public.predictions
    where owner = caller and status in ('starting', 'processing') and deadline > now();
    if recent >= account.running_limit then
        raise exception '% predictions are running, and no more are allowed at once', recent
        using errcode = 'PT429', hint = greatest(1, least(30, ceil(extract(epoch from oldest - now()))))::text;
    end if;
    select count(*), min(created_at) into recent, oldest from public.predictions
    where owner = caller and created_at > now() - interval '1 minute';
    if recent >= account.minute_limit then
        raise exception '% predictions were made within a minute, and no more are allowed', recent
        using errcode = 'PT429', hint = greatest(1, ceil(extract(epoch from oldest - now()) + 60))::text;
    end if;
    if account.balance < cost then
        raise exception 'this takes up to % credits, and % are left', cost, account.balance using errcode = 'PT402';
    end if;

    insert into public.predictions
        (id, owner, persona_id, model, input, stream, deadline, idempotency_key, body_hash, reserved)
    values
        (p_id, caller, p_persona, p_model, public.as_object(p_input), p_stream, now() + make_interval(secs => least(p_seconds, 3600)),
         p_key, p_hash, cost)
    returning * into made;
    perform public.book(caller, made.id, 'reserve', -cost);
    return jsonb_build_object('prediction', to_jsonb(made), 'made', true);
end $$;

-- A settlement gives the reservation back and charges what the receipt says; a failure costs nothing.
create function public.predictions_are_paid() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform public.book(new.owner, new.id, 'release', new.reserved);
    if new.status in ('succeeded', 'canceled') then
        perform public.book(new.owner, new.id, 'charge', -round(coalesce((new.receipt ->> 'cost_usd')::numeric, 0) * 1000, 3));
    end if;
    return null;
end $$;
create trigger predictions_are_paid after update on public.predictions
    for each row when (old.completed_at is null and new.completed_at is not null)
    execute function public.predictions_are_paid();

revoke execute on function public.create_prediction from public, anon;
grant execute on function public.create_prediction to authenticated;
revoke execute on function public.book, public.reservation, public.predictions_are_paid from public, anon, authenticated;
grant execute on function public.book to service_role;
