-- How a persona's voice speaks, and that the person whose voice was cloned agrees.

alter table public.personas
    add column voice_speed double precision not null default 1 check (voice_speed between 0.7 and 1.2),
    add column voice_stability double precision not null default 0.5 check (voice_stability between 0 and 1),
    add column voice_consent_at timestamptz;

create or replace function public.change_persona(p_persona uuid, p_changes jsonb) returns boolean
language sql security definer set search_path = '' as $$
    with argument as (
        select public.as_object(p_changes) as change
    ), changed as (
        update public.personas set
            name = coalesce(change ->> 'name', name),
            description = coalesce(change ->> 'description', description),
            appearance = coalesce(change ->> 'appearance', appearance),
            voice_id = coalesce(change ->> 'voice_id', voice_id),
            voice_speed = coalesce((change ->> 'voice_speed')::double precision, voice_speed),
            voice_stability = coalesce((change ->> 'voice_stability')::double precision, voice_stability),
            -- Of the voice that it has: another one has a consent of its own, or needs none.
            voice_consent_at = case
                when change ->> 'voice_id' is distinct from voice_id and change ? 'voice_id'
                then (change ->> 'voice_consent_at')::timestamptz else voice_consent_at end,
            liveliness = coalesce((change ->> 'liveliness')::double precision, liveliness),
            gaze = coalesce(change ->> 'gaze', gaze)
        from argument
        where id = p_persona and owner = auth.uid()
        returning id
    )
    select exists (select 1 from changed);
$$;
