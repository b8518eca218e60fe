drop function public.limit_rate, public.ensure_account, public.book;
drop table public.recent_requests, public.usage, public.accounts;
