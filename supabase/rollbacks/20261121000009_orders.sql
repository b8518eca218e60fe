drop function public.create_order, public.follow_order, public.ledger, public.billing;
drop table public.orders;
drop type public.order_status;
update public.usage set kind = 'refund' where kind = 'dispute';
alter table public.usage drop constraint usage_kind_check;
alter table public.usage add constraint usage_kind_check
    check (kind in ('grant', 'reserve', 'release', 'charge', 'purchase', 'refund'));
