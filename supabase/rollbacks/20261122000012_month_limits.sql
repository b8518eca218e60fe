drop trigger usage_counts_for_its_month on public.usage;
drop function public.count_month;
drop table public.month_usage, public.month_limits;
alter table public.accounts drop column month_limit;
