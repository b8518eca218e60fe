create or replace function public.settle_prediction(p_id uuid, p_outcome jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    outcome jsonb := public.as_object(p_outcome);
    settled public.predictions;
    notify boolean := false;
begin
    if outcome ->> 'status' is null or outcome ->> 'status' in ('starting', 'processing') then
        raise exception 'a prediction is settled with a final status' using errcode = 'PT422';
    end if;
    perform public.ensure_account(owner) from public.predictions where id = p_id;  -- locked first: see limit_rate
    update public.predictions set
        status = (outcome ->> 'status')::public.prediction_status,
        output = outcome ->> 'output',
        captions = outcome ->> 'captions',
        poster = outcome ->> 'poster',
        text = outcome ->> 'text',
        error = outcome ->> 'error',
        degraded = nullif(outcome -> 'degraded', 'null'),
        receipt = nullif(outcome -> 'receipt', 'null'),
        completed_at = now()
    where id = p_id and status in ('starting', 'processing')
    returning * into settled;
    if not found then
        return '{"settled": false, "notify": false}';
    end if;

    -- The reservation goes back; what was used by its owner's choice is charged.
    perform public.book(settled.owner, 'release', settled.reserved, settled.id);
    if (outcome ->> 'charged')::boolean then
        perform public.book(
            settled.owner, 'charge',
            -least(settled.reserved, round(coalesce((settled.receipt ->> 'cost_usd')::numeric, 0) * 1000, 3)),
            settled.id
        );
    end if;

    insert into public.messages (owner, persona_id, prediction_id, role, content)
    select settled.owner, settled.persona_id, settled.id, turn ->> 'role', turn ->> 'content'
    from jsonb_array_elements(coalesce(outcome -> 'messages', '[]')) with ordinality as turns (turn, place)
    order by place;

    update public.files set referrer = settled.id
    where owner = settled.owner and path in (select jsonb_array_elements_text(coalesce(outcome -> 'files', '[]')));

    if jsonb_typeof(outcome -> 'portrait') = 'object' then
        update public.personas
        set portrait = outcome -> 'portrait' ->> 'path', face = outcome -> 'portrait' -> 'face'
        where id = settled.persona_id;
        update public.files set referrer = null  -- of the picture before
        where owner = settled.owner and referrer = settled.persona_id;
    end if;

    if jsonb_typeof(outcome -> 'idle') = 'object' then
        update public.files set referrer = null  -- of the loops before
        where owner = settled.owner and path in (
            select unnest(array[idle, thinking, poster]) from public.personas where id = settled.persona_id
        ) and referrer = settled.persona_id;
        update public.personas
        set idle = outcome -> 'idle' ->> 'idle', thinking = outcome -> 'idle' ->> 'thinking',
            poster = outcome -> 'idle' ->> 'poster', hue = (outcome -> 'idle' ->> 'hue')::smallint
        where id = settled.persona_id and look_since = (outcome -> 'idle' ->> 'look_since')::timestamptz;
        -- They are the persona's; nobody's where it looks otherwise by now.
        update public.files set referrer = case when found then settled.persona_id end
        where owner = settled.owner and referrer = settled.id;
    end if;

    if settled.output is not null then
        notify := public.enqueue_delivery(settled, 'output');
    end if;
    notify := public.enqueue_delivery(settled, 'completed') or notify;
    return jsonb_build_object('settled', true, 'notify', notify);
end $$;
