drop table public.models;
