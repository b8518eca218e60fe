-- How a persona holds itself, what its owner may change of it, and its face put right by hand.

alter table public.personas
    add column liveliness double precision not null default 0.5 check (liveliness between 0 and 1),
    add column gaze text not null default 'natural' check (gaze in ('viewer', 'natural', 'wandering'));

-- Change the caller's own persona; what is left out stays. False when there is no such persona of theirs.
create function public.change_persona(p_persona uuid, p_changes jsonb) returns boolean
language sql security definer set search_path = '' as $$
    with given as (
        select public.as_object(p_changes) as it
    ), changed as (
        update public.personas set
            name = coalesce(it ->> 'name', name),
            description = coalesce(it ->> 'description', description),
            appearance = coalesce(it ->> 'appearance', appearance),
            voice_id = coalesce(it ->> 'voice_id', voice_id),
            liveliness = coalesce((it ->> 'liveliness')::double precision, liveliness),
            gaze = coalesce(it ->> 'gaze', gaze)
        from given
        where id = p_persona and owner = auth.uid()
        returning id
    )
    select exists (select 1 from changed);
$$;

-- Put the face right that belongs to this portrait. False when the persona has another portrait by now.
create function public.correct_face(p_persona uuid, p_owner uuid, p_path text, p_face jsonb) returns boolean
language sql security definer set search_path = '' as $$
    with corrected as (
        update public.personas set face = public.as_object(p_face)
        where id = p_persona and owner = p_owner and portrait = p_path
        returning id
    )
    select exists (select 1 from corrected);
$$;

revoke execute on function public.change_persona, public.correct_face from public, anon, authenticated;
grant execute on function public.change_persona to authenticated;
grant execute on function public.correct_face to service_role;

-- Faces are meshes now; portraits whose face is kept in the old form are to be given anew.
update public.personas set portrait = null, face = null where face is not null and not face ? 'mesh';
