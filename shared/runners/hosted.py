"""Predictions that run at a provider: started there, looked at when somebody asks, kept here when they are done."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.billing.budget import Budget
from shared.billing.prices import CREDIT
from shared.core.auth import User
from shared.core.errors import ForgeError, NotFound
from shared.core.settings import Settings
from shared.predictions.id import PredictionId
from shared.predictions.outcome import Outcome, refused
from shared.predictions.prediction import FINISHED, Prediction
from shared.predictions.receipt import Receipt
from shared.providers import job as jobs
from shared.providers.job import Job, JobProvider
from shared.runners.pregenerate import begin_idle
from shared.runners.services import Services

log = logging.getLogger("personaforge.hosted")
START_PATIENCE = 25.0  # seconds for a job to be started at its provider, voice and uploads included
COLD = 5  # seconds in the provider's queue: its model had to be started


@dataclass(frozen=True)
class Request:
    """What a provider is asked for: its model's name and that model's inputs. cost: dollars, at most."""

    model: str
    inputs: dict[str, Any]
    cost: float


class HostedModel(ABC):
    """What a model of ours asks of a provider, and what it makes of the file that comes back."""

    @abstractmethod
    def provider(self, services: Services, job_id: str = "") -> JobProvider:
        """Where jobs are started, or where this one runs."""

    @abstractmethod
    async def request(self, services: Services, prediction: Prediction, user: User, budget: Budget) -> Request:
        """What is bought on the way is committed to the budget first. Raises ForgeError."""

    @abstractmethod
    async def keep(self, services: Services, prediction: Prediction, data: bytes, receipt: Receipt) -> Outcome:
        """Put the file into our storage. receipt: what is known of the job; length and cost are to be added."""


class Hosted:
    """One polling, one set of failure rules, whatever the provider."""

    def __init__(self, model: HostedModel) -> None:
        self._model = model

    async def start(self, services: Services, prediction: Prediction, user: User) -> Prediction:
        """Start it at the provider and note its id there. On failure it is settled with the reason.

        Until its id is noted, nobody else ends it: a cancellation is only requested, and found when it is noted.
        """
        lifecycle, store = services.lifecycle, services.store
        budget = lifecycle.budget(prediction)
        try:
            provider = self._model.provider(services)
            request = await self._model.request(services, prediction, user, budget)
            await budget.commit(request.cost, "The model")
            webhook = webhook_address(services.settings, provider.name, prediction)
            job = await jobs.begin(provider, request.model, request.inputs, store.in_background, webhook)
            try:
                attached = await lifecycle.attach(prediction.id, job.id, budget.committed)
            except BaseException:
                store.in_background(jobs.cancel(provider, job.id))
                raise
            if attached is None:
                store.in_background(jobs.cancel(provider, job.id))
                await lifecycle.cancel(prediction.id, budget.committed)
                return await lifecycle.read(prediction.id, user)
            return attached
        except ForgeError as error:
            await lifecycle.settle(prediction.id, refused(error, budget.committed))
            raise
        except BaseException:
            await asyncio.shield(lifecycle.fail(prediction.id, "It could not be started.", "error"))
            raise

    async def look(self, services: Services, identity: PredictionId, model: str, user: User) -> Prediction:
        """As the provider says while it runs there; its row once it is finished, or while the provider is asked for it.

        A finished one is kept and settled first; one past its deadline is cancelled there and settled as failed.
        """
        if not identity.provider_id:
            return await services.lifecycle.read(identity.row, user)
        return await services.looks.run(identity.row, lambda: self._look(services, identity, model, user))

    async def _look(self, services: Services, identity: PredictionId, model: str, user: User) -> Prediction:
        lifecycle = services.lifecycle
        try:
            job = await self._model.provider(services, identity.provider_id).look(identity.provider_id)
        except ForgeError:
            # The provider's record lives for an hour; ours for good.
            prediction = await lifecycle.read(identity.row, user, expire=False)
            if prediction.finished:
                return prediction
            raise
        if job.status not in FINISHED and not identity.overdue:
            return Prediction.running(identity, model, job.status, logs=job.logs)
        prediction = await lifecycle.read(identity.row, user, expire=False)
        if prediction.finished:
            return prediction
        await self.finish(services, prediction, job)
        return await lifecycle.read(identity.row, user)

    async def on_webhook(self, services: Services, identity: PredictionId, job_id: str) -> None:
        """Follow a hint that a job changed: the provider is asked itself. A job that is no longer wanted is stopped."""
        provider = self._model.provider(services, job_id)
        job = await provider.look(job_id)
        try:
            prediction: Prediction | None = await services.lifecycle.read(identity.row, expire=False)
        except NotFound:
            prediction = None
        if prediction is None or prediction.finished:
            if job.status not in FINISHED:
                await jobs.cancel(provider, job_id)
            return
        if not prediction.provider_id:  # the answer to our starting it was lost
            at_most = prediction.reserved * CREDIT
            prediction = await services.lifecycle.attach(prediction.id, job_id, at_most) or prediction
        if prediction.provider_id == job_id and job.status in FINISHED:
            await self.finish(services, prediction, job)

    async def cancel(self, services: Services, prediction: Prediction) -> None:
        """prediction: as its row is now, as an id that was listed while it started does not name its job."""
        if not prediction.provider_id:
            await services.lifecycle.request_cancel(prediction, START_PATIENCE)
            prediction = await services.lifecycle.read(prediction.id, expire=False)
        if prediction.provider_id and not prediction.finished:
            provider = self._model.provider(services, prediction.provider_id)
            await jobs.cancel(provider, prediction.provider_id)
            await services.lifecycle.cancel(prediction.id, prediction.bought_usd)

    async def end_overdue(self, services: Services, prediction: Prediction) -> None:
        """Ask the provider once more: it may have finished unseen."""
        if not prediction.provider_id:
            await services.lifecycle.expire(prediction)
            return
        try:
            job = await self._model.provider(services, prediction.provider_id).look(prediction.provider_id)
        except ForgeError:
            await services.lifecycle.expire(prediction, prediction.bought_usd)
            raise
        await self.finish(services, prediction, job)

    async def finish(self, services: Services, prediction: Prediction, job: Job) -> None:
        """Settle a prediction by what became of its job; one that still runs there is cancelled as overdue."""
        lifecycle, provider = services.lifecycle, self._model.provider(services, job.id)
        if job.status == "succeeded":
            await self._keep(services, prediction, job)
        elif job.status == "failed":
            reason = f"{provider.name}: {job.error or 'no reason given'}"
            await lifecycle.fail(prediction.id, reason, "provider_failed")
        elif job.status in ("canceled", "aborted"):
            await lifecycle.cancel(prediction.id, prediction.bought_usd)
        else:
            await jobs.cancel(provider, job.id)
            await lifecycle.expire(prediction, prediction.bought_usd)

    async def _keep(self, services: Services, prediction: Prediction, job: Job) -> None:
        """Copy the output into our storage, then settle; what cannot be used settles as failed with the reason."""
        provider = self._model.provider(services, job.id)
        try:
            if not job.output:
                raise ForgeError(f"{provider.name}: The model succeeded without an output.")
            data = await provider.fetch(job.output)
            receipt = _receipt(provider, prediction, job, len(data))
            outcome = await self._model.keep(services, prediction, data, receipt)
        except ForgeError as error:
            if error.retryable:
                raise
            if error.status >= 500:
                log.error("the output of %s could not be kept", prediction.id, exc_info=error)
            await services.lifecycle.settle(prediction.id, refused(error, prediction.bought_usd))
            return
        await services.lifecycle.settle(prediction.id, outcome)
        if outcome.portrait and prediction.persona_id:
            await begin_idle(services, prediction.persona_id)


def webhook_address(settings: Settings, provider: str, prediction: Prediction) -> str | None:
    """Where a provider can call us, if it can: over https, or when it stands on the same machine."""
    near = httpx.URL(getattr(settings, f"{provider}_base_url")).host == httpx.URL(settings.forge_url).host
    if not (near or settings.forge_url.startswith("https://")):
        return None
    return f"{settings.forge_url}/v1/webhooks/{provider}/{prediction.identity.sign(settings.forge_signing_key)}"


def _receipt(provider: JobProvider, prediction: Prediction, job: Job, size: int) -> Receipt:
    """total_ms: until the result was here; first_frame_ms is the same, as nothing streams. cold: waited to start."""
    total = max(1, round((datetime.now(UTC) - prediction.created_at).total_seconds() * 1000))
    return Receipt(
        engine=provider.name,
        cold=None if job.seconds is None else total - job.seconds * 1000 > COLD * 1000,
        compute_ms=None if job.seconds is None else round(job.seconds * 1000),
        first_frame_ms=total,
        total_ms=total,
        bytes=size,
        provider_ids={provider.name: job.id},
    )
