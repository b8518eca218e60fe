-- The loop of a persona listening, by a hosted image-to-video model: such models take up to ten minutes.
insert into public.models (name, code, reserve, needs, seconds) values ('loop', 5, 100, '{persona,portrait}', 900);
