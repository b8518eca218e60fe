delete from public.models where name = 'loop';
