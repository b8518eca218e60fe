drop trigger personas_stop_projects on public.personas;
drop function
    public.create_project, public.claim_project, public.held_project, public.extend_lease, public.begin_step,
    public.end_step, public.move_project, public.release_steps, public.decide_project,
    public.cancel_project, public.end_canceled, public.retry_project, public.sweep_projects,
    public.kept_search, public.project_stats, public.project_costs, public.stop_projects;
drop table public.footage_searches, public.project_events, public.steps, public.projects;
drop type public.project_status;
