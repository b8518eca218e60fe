-- What lies in the bucket stays there, without a list of it.
drop table public.files;
drop function public.unreferenced_files, public.release_files, public.limit_uploads;
