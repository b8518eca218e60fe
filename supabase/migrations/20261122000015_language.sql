-- The language that a persona speaks; empty: that of whoever speaks to it.

alter table public.personas add column language text not null default '' check (language ~ '^([a-z]{2})?$');

create or replace function public.change_persona(p_persona uuid, p_changes jsonb) returns boolean
language sql security definer set search_path = '' as $$
    with argument as (
        select public.as_object(p_changes) as change
    ), changed as (
        update public.personas set
            name = coalesce(change ->> 'name', name),
            description = coalesce(change ->> 'description', description),
            appearance = coalesce(change ->> 'appearance', appearance),
            language = coalesce(change ->> 'language', language),
            voice_speed = coalesce((change ->> 'voice_speed')::double precision, voice_speed),
            voice_stability = coalesce((change ->> 'voice_stability')::double precision, voice_stability),
            liveliness = coalesce((change ->> 'liveliness')::double precision, liveliness),
            gaze = coalesce(change ->> 'gaze', gaze)
        from argument
        where id = p_persona and owner = auth.uid()
        returning id
    )
    select exists (select 1 from changed);
$$;
