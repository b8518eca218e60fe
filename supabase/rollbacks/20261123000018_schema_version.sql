drop function public.schema_version;
