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

-- Whose voice it is, and whether they agree, only the backend can tell: users set it through the API.
create function public.guard_voice() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if auth.uid() is not null and (new.voice_id, new.voice_consent_at) is distinct from
        (case when tg_op = 'UPDATE' then old.voice_id else '' end, case when tg_op = 'UPDATE' then old.voice_consent_at end)
    then
        raise exception 'a voice is chosen through /v1/personas, which asks for consent where it is somebody''s'
            using errcode = 'PT422';
    end if;
    return new;
end $$;
create trigger personas_guard_voice before insert or update on public.personas
    for each row execute function public.guard_voice();
revoke execute on function public.guard_voice from public, anon, authenticated, service_role;
