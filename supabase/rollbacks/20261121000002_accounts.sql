drop function public.ensure_account, public.book;
drop table public.usage, public.accounts;
