"""Work in a worker of ours, and work for a listener who is there: both in our own containers, known by heartbeats."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from shared.core.auth import User
from shared.core.errors import ForgeError, ProviderFailed
from shared.core.time import parse_time
from shared.predictions.id import PredictionId
from shared.predictions.outcome import refused
from shared.predictions.prediction import Prediction
from shared.predictions.work import Work
from shared.runners.execution import Execution
from shared.runners.services import Services

log = logging.getLogger("personaforge.spawned")
WORKER = "worker"  # the Modal function
MakeWork = Callable[[Services, Prediction, "User | None"], Awaitable[Work]]


class Spawned:
    """The function `worker` is given the id alone; it claims, heartbeats, works and settles.

    Spawning is a hint and the row the truth: where a call is lost, reconciliation spawns again.
    """

    def __init__(self, make_work: MakeWork) -> None:
        """make_work: from a claimed prediction; the user is the listener, None in a worker."""
        self._make_work = make_work

    async def start(self, services: Services, prediction: Prediction, user: User) -> Prediction:  # noqa: ARG002
        await self.spawn(services, prediction)
        return prediction

    async def spawn(self, services: Services, prediction: Prediction) -> None:
        """Have a worker take it, now or, where Modal cannot be reached, within the next minutes."""
        try:
            await services.modal.spawn(WORKER, str(prediction.id))
        except ProviderFailed as error:
            log.warning("prediction %s waits for reconciliation: %s", prediction.id, error.detail)

    async def look(self, services: Services, identity: PredictionId, model: str, user: User) -> Prediction:
        if not identity.overdue and (beat := await services.heartbeats.latest(identity.row)):
            started_at = parse_time(beat.started_at) if beat.started_at else None
            return Prediction.running(identity, model, "processing", started_at, beat.logs)
        return await services.lifecycle.read(identity.row, user)

    async def cancel(self, services: Services, prediction: Prediction) -> None:
        await services.lifecycle.request_cancel(prediction)

    async def end_overdue(self, services: Services, prediction: Prediction) -> None:
        await services.lifecycle.expire(prediction)

    async def execute(self, services: Services, row: UUID, user: User | None = None) -> Execution | None:
        """Claim a prediction and make it ready to be worked on; None when another has it or it has ended.

        What fails between is settled as failed, and raised.
        """
        prediction = await services.lifecycle.claim(row)
        if prediction is None:
            return None
        try:
            work = await self._make_work(services, prediction, user)
            return Execution(services.lifecycle, services.heartbeats, prediction, work)
        except ForgeError as error:
            await services.lifecycle.settle(row, refused(error, error.extra.pop("spent_usd", 0.0)))
            raise
        except BaseException:
            await services.lifecycle.fail(row, "It could not be started.", "error")
            raise


class Streamed(Spawned):
    """For a listener who opens the stream, in the function that answers it; spawned where nobody listens."""

    async def start(self, services: Services, prediction: Prediction, user: User) -> Prediction:
        return prediction if prediction.stream else await super().start(services, prediction, user)
