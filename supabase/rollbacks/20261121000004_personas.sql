drop function public.remove_persona, public.correct_face, public.set_portrait, public.change_persona;
drop table public.personas;
drop function public.limit_personas, public.change_look;
