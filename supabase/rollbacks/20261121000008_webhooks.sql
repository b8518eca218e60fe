drop trigger tell_of_project on public.projects;
drop function public.due_deliveries, public.enqueue_delivery, public.enqueue_project_delivery, public.tell_of_project;
drop table public.webhook_deliveries;
