-- How a persona holds itself, what its owner may change of it, and its face put right by hand.

alter table public.personas
    add column liveliness real not null default 0.5 check (liveliness between 0 and 1),
    add column gaze text not null default 'natural' check (gaze in ('viewer', 'natural', 'wandering'));

revoke update on public.personas from anon, authenticated;
grant update (name, description, appearance, voice_id, liveliness, gaze) on public.personas to authenticated;
create policy "own personas are changed" on public.personas
    for update to authenticated using (owner = auth.uid()) with check (owner = auth.uid());

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
revoke execute on function public.correct_face from public, anon, authenticated;
grant execute on function public.correct_face to service_role;

-- Faces are meshes now; portraits whose face is kept in the old form are to be given anew.
update public.personas set portrait = null, face = null where face is not null and not face ? 'mesh';
