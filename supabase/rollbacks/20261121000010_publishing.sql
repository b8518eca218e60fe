drop trigger reject_unwants_publication on public.project_events;
drop function public.take_quota, public.take_consent, public.want_publication, public.unwant_publication,
    public.audience;
drop table public.video_days, public.publications, public.channels, public.consents, public.youtube_quota;
