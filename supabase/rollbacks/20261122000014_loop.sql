delete from public.predictions where model = 'loop';
delete from public.models where name = 'loop';
