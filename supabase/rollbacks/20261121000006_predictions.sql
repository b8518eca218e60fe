drop function
    public.publish_prediction, public.remove_prediction, public.withdrawn_files, public.unsigned_predictions, public.note_signed, public.begin_idle, public.personas_without_idle, public.note_logs, public.extend_reservation, public.waiting_predictions, public.overdue_predictions, public.settle_prediction, public.attach_provider,
    public.claim_prediction, public.create_prediction, public.limit_running;
drop table public.messages, public.predictions;
drop function public.predictions_stay_finished;
drop type public.prediction_status;
