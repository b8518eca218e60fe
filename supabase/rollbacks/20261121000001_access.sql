-- The bucket stays: Supabase removes one only through its API, and only when it is empty.
drop function public.as_object;
