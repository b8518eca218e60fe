"""A prediction from its creation to its end: every change of its row goes through here."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from pydantic import ValidationError

from shared.billing.budget import Budget
from shared.billing.prices import CREDIT
from shared.core import telemetry
from shared.core.auth import User
from shared.core.errors import NotFound, StoreUnavailable
from shared.core.store import Store
from shared.predictions import webhook
from shared.predictions.heartbeat import Heartbeats
from shared.predictions.outcome import Outcome, canceled, failed
from shared.predictions.prediction import Prediction

CANCEL_PATIENCE = 5.0  # seconds for whoever works on a prediction to end it: it looks every two
LONGEST_PATIENCE = 30.0  # seconds, while there are signs that it is still worked on


@dataclass(frozen=True)
class Receiver:
    """Whose webhook is called, and for which events."""

    address: str
    events: tuple[str, ...] = webhook.EVENTS


@dataclass(frozen=True)
class PredictionRequest:
    """What is asked for. input: checked against the model's schema. key: of idempotency.

    sent: the input as it was sent, where files in it were replaced by their addresses, which differ each time.
    """

    model: str
    input: dict[str, Any]
    persona: UUID | None
    stream: bool = False
    seconds: int | None = None  # until its deadline, if its owner chose it
    key: str | None = None
    receiver: Receiver | None = None
    sent: dict[str, Any] | None = None

    @property
    def hash(self) -> str:
        """The same for the same request; a repeat with the same key must have it."""
        address = self.receiver.address if self.receiver else None
        body = json.dumps([self.model, self.stream, self.sent or self.input, address], sort_keys=True)
        return hashlib.sha256(body.encode()).hexdigest()


@dataclass(frozen=True)
class Creation:
    """A prediction, and whether this call created it: a repeated Idempotency-Key finds the first one."""

    prediction: Prediction
    created: bool


class Lifecycle:
    """Create, claim, attach, read, settle. Settling twice does no harm: the first outcome stands."""

    def __init__(self, store: Store, heartbeats: Heartbeats) -> None:
        self._store, self._heartbeats = store, heartbeats

    async def create(self, user: User, request: PredictionRequest) -> Creation:
        """Create the row, as the user; credits are reserved in the same call.

        Raises NotFound when the persona is not theirs, Conflict when it has no portrait yet or the key was used for
        something else, TooManyRequests over a limit, OutOfCredits.
        """
        receiver = request.receiver
        arguments = {
            "p_id": str(uuid4()),
            "p_model": request.model,
            "p_persona": str(request.persona) if request.persona else None,
            "p_input": request.input,
            "p_stream": request.stream,
            "p_seconds": request.seconds,
            "p_key": request.key,
            "p_hash": request.hash if request.key else None,
            "p_webhook": receiver.address if receiver else None,
            "p_events": list(receiver.events) if receiver else [],
        }
        result = await self._store.call("create_prediction", arguments, user)
        prediction = Prediction.from_row(result["prediction"])
        telemetry.set_job(str(prediction.id))
        return Creation(prediction, result["created"])

    async def claim(self, row: UUID) -> Prediction | None:
        """Take a waiting prediction to work on it; None when another has it or it has ended."""
        return self._started(await self._store.call("claim_prediction", {"p_id": str(row)}))

    async def attach(self, row: UUID, provider_id: str, dollars: float) -> Prediction | None:
        """Note under which id the provider runs it and what that costs; None when it no longer waits for one."""
        arguments = {"p_id": str(row), "p_provider_id": provider_id, "p_bought": round(dollars / CREDIT, 3)}
        return self._started(await self._store.call("attach_provider", arguments))

    def budget(self, prediction: Prediction) -> Budget:
        """For whoever works on it."""

        async def extend(credits: float) -> bool:
            arguments = {"p_id": str(prediction.id), "p_credits": credits}
            return bool(await self._store.call("extend_reservation", arguments))

        return Budget(prediction.reserved, extend)

    def _started(self, rows: list[Any]) -> Prediction | None:
        if not rows:
            return None
        prediction = Prediction.from_row(rows[0])
        if prediction.webhook and "start" in prediction.webhook_events:
            self._store.in_background(webhook.deliver(self._store, prediction.id))
        return prediction

    async def read(self, row: UUID, user: User | None = None, *, expire: bool = True) -> Prediction:
        """The prediction as the user sees it, or as it is. One whose deadline has passed is settled first, if `expire`.

        Raises NotFound.
        """
        client = self._store.as_user(user) if user else self._store.as_service()
        query = client.from_("predictions").select("*").eq("id", str(row)).limit(1)
        rows = await self._store.rows(query)
        if not rows:
            raise NotFound("There is no such prediction of yours.")
        prediction = Prediction.from_row(rows[0])
        if expire and prediction.overdue:
            await self.expire(prediction)
            prediction = Prediction.from_row((await self._store.rows(query))[0])
        return prediction

    async def settle(self, row: UUID, outcome: Outcome) -> bool:
        """Finish a prediction unless somebody was faster; then the files uploaded for it are removed again.

        A lost answer is asked for again. Returns whether this outcome stands.
        """
        await self._heartbeats.end(row)
        for pause in (0.2, 1.0, None):
            try:
                result = await self._store.call("settle_prediction", {"p_id": str(row), "p_outcome": outcome.to_json()})
                if result["notify"]:
                    self._store.in_background(webhook.deliver(self._store, row))
                if result["settled"]:
                    return True
                break
            except StoreUnavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        # Somebody was faster, or an earlier attempt of ours had arrived after all.
        query = self._store.as_service().from_("predictions").select("output").eq("id", str(row))
        kept = [one["output"] for one in await self._store.rows(query)]
        if outcome.files and outcome.files[0] not in kept:
            await self._store.remove(*outcome.files)
            return False
        return bool(outcome.files)

    async def request_cancel(self, prediction: Prediction, starting: float = 0.0) -> None:
        """Have whoever works on it end it, as they know what it has used; where nobody does, end it here.

        Nobody begins to work on it from now on. starting: seconds for what is being started. Whoever still works after
        LONGEST_PATIENCE is not waited for: all that is reserved is charged then.
        """
        table = self._store.as_service().from_("predictions")
        row = prediction.id
        unfinished = ["starting", "processing"]
        query = table.update({"cancel_requested": True}).eq("id", str(row)).in_("status", unfinished)
        rows = await self._store.rows(query)
        patience = starting if rows and rows[0]["status"] == "starting" else CANCEL_PATIENCE
        started = time.monotonic()
        alive = False
        while patience and (waited := time.monotonic() - started) < LONGEST_PATIENCE:
            await asyncio.sleep(0.5)
            current = await self.read(row, expire=False)
            if current.finished:
                return
            if waited > patience and not (alive := await self._heartbeats.latest(row) is not None):
                break
        await self.settle(row, canceled("canceled", current.reserved * CREDIT if alive else 0))

    async def cancel(self, row: UUID, dollars: float = 0.0) -> None:
        """Settle a prediction as canceled by its owner, at this cost."""
        await self.settle(row, canceled("canceled", dollars))

    async def expire(self, prediction: Prediction, dollars: float = 0.0) -> bool:
        """Settle a prediction whose deadline has passed: canceled where its owner chose it, at this cost."""
        if prediction.cancel_after:
            return await self.settle(prediction.id, canceled("deadline", dollars))
        what = "It was not started" if prediction.status == "starting" else "It was not finished"
        allowed = round((prediction.deadline - prediction.created_at).total_seconds())
        return await self.fail(prediction.id, f"{what} before its deadline ({allowed} s).", "deadline")

    async def note_logs(self, prediction: Prediction, logs: str) -> None:
        """Tell the webhook that wants to know what the logs of a running prediction say now."""
        if prediction.webhook and "logs" in prediction.webhook_events:
            arguments = {"p_id": str(prediction.id), "p_logs": logs}
            if await self._store.call("note_logs", arguments):
                self._store.in_background(webhook.deliver(self._store, prediction.id))

    async def fail(self, row: UUID, reason: str, code: str) -> bool:
        return await self.settle(row, failed(reason, code))

    async def overdue(self) -> list[Prediction]:
        """Those that should have ended, the longest overdue first."""
        return await self._readable(await self._store.call("overdue_predictions", {}))

    async def waiting(self, *models: str) -> list[Prediction]:
        """Those of these models that nobody has claimed although they were created a while ago."""
        rows = await self._store.call("waiting_predictions", {"p_models": list(models)})
        return await self._readable(rows)

    async def _readable(self, rows: list[Any]) -> list[Prediction]:
        """One that was created past the backend and cannot be read is settled, so that it does not keep the others."""
        predictions = []
        for row in rows:
            try:
                predictions.append(Prediction.from_row(row))
            except ValidationError:
                await self.fail(UUID(row["id"]), "Its row cannot be read.", "error")
        return predictions
