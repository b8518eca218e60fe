drop trigger personas_guard_voice on public.personas;
drop function public.guard_voice;
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
            liveliness = coalesce((change ->> 'liveliness')::double precision, liveliness),
            gaze = coalesce(change ->> 'gaze', gaze)
        from argument
        where id = p_persona and owner = auth.uid()
        returning id
    )
    select exists (select 1 from changed);
$$;

alter table public.personas
    drop column voice_speed, drop column voice_stability, drop column voice_consent_at;
