drop function public.erase_account;
delete from public.usage where kind = 'erasure';
alter table public.usage drop constraint usage_kind_check;
alter table public.usage add constraint usage_kind_check
    check (kind in ('grant', 'reserve', 'release', 'charge', 'purchase', 'refund', 'dispute'));
