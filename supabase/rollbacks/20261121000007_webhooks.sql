drop function public.due_deliveries, public.enqueue_delivery;
drop table public.webhook_deliveries;
