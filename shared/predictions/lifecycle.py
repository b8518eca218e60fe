"""A prediction from its making to its end: every change of its row goes through here."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.core import telemetry
from shared.core.auth import User
from shared.core.errors import NotFound, StoreUnavailable
from shared.core.store import Row, Store
from shared.core.time import parse_time
from shared.models.inputs import Input
from shared.predictions import webhook
from shared.predictions.heartbeat import running
from shared.predictions.prediction import FINISHED

DEADLINE = 120  # seconds from creation to the end, whatever happens, unless asked otherwise


@dataclass(frozen=True)
class Receiver:
    """Who is told of a prediction, and of which events."""

    address: str
    events: tuple[str, ...] = webhook.EVENTS


@dataclass(frozen=True)
class Creation:
    """A prediction's row, and whether this call made it: a repeated Idempotency-Key finds the first one."""

    row: Row
    made: bool


async def create(
    store: Store,
    user: User,
    model: str,
    given: Input,
    *,
    stream: bool,
    seconds: int = DEADLINE,
    key: str | None = None,
    receiver: Receiver | None = None,
) -> Creation:
    """Make the row, as the user; credits are reserved in the same call.

    Raises NotFound when the persona is not theirs, Conflict when it has no portrait yet or the key was used for
    something else, TooManyRequests over a limit, OutOfCredits.
    """
    body = given.model_dump(mode="json", exclude_none=True)
    asked = json.dumps([model, stream, body, *([receiver.address] if receiver else [])], sort_keys=True)
    arguments = {
        "p_id": str(uuid4()),
        "p_model": model,
        "p_persona": str(given.persona),
        "p_input": body,
        "p_stream": stream,
        "p_seconds": seconds,
        "p_key": key,
        "p_hash": hashlib.sha256(asked.encode()).hexdigest() if key else None,
    }
    if receiver:
        arguments |= {"p_webhook": receiver.address, "p_events": list(receiver.events)}
    found = await store.call("create_prediction_told" if receiver else "create_prediction", arguments, user)
    telemetry.about(found["prediction"]["id"])
    return Creation(found["prediction"], found["made"])


async def claim(store: Store, row: Row) -> bool:
    """Take a waiting prediction to work on it; False when somebody else did."""
    if not await store.call("claim_prediction", {"p_id": row["id"]}):
        return False
    _tell_of_start(store, row)
    return True


async def attach(store: Store, row: Row, provider_id: str) -> Row | None:
    """Note under which id the provider runs it; returns the row as it is then, None when it no longer waits for one."""
    if not await store.call("attach_provider", {"p_id": row["id"], "p_provider_id": provider_id}):
        return None
    _tell_of_start(store, row)
    return {**row, "provider_id": provider_id, "status": "processing", "started_at": row["created_at"]}


def _tell_of_start(store: Store, row: Row) -> None:
    if row.get("webhook") and "start" in row["webhook_events"]:
        store.soon(webhook.deliver(store, row["id"]))


async def read(store: Store, user: User, row_id: UUID, *, as_it_is: bool = False) -> Row:
    """The row as the user sees it; one whose deadline has passed is settled as failed first, unless as_it_is."""
    query = store.as_user(user).from_("predictions").select("*").eq("id", str(row_id)).limit(1)
    rows = await store.rows(query)
    if not rows:
        raise NotFound("There is no such prediction of yours.")
    row = rows[0]
    if not as_it_is and row["status"] not in FINISHED and parse_time(row["deadline"]) < datetime.now(UTC):
        await expire(store, row)
        row = (await store.rows(query))[0]
    return row


async def settle(
    store: Store, row_id: str, status: str, result: Row, effects: Row | None = None, files: tuple[str, ...] = ()
) -> bool:
    """Finish a prediction unless somebody was faster; then the files made for it are removed again.

    Settling twice does no harm, so a lost answer is asked for again.
    """
    await running().end(row_id)
    arguments = {"p_id": row_id, "p_status": status, "p_result": result, "p_effects": effects or {}}
    for pause in (0.2, 1.0, None):
        try:
            done = await store.call("settle_prediction", arguments)
            if done["told"]:
                store.soon(webhook.deliver(store, row_id))
            if done["settled"]:
                return True
            break
        except StoreUnavailable:
            if pause is None:
                raise
            await asyncio.sleep(pause)
    # Somebody was faster, or an earlier try of ours had arrived after all.
    query = store.as_service().from_("predictions").select("output").eq("id", row_id)
    kept = [row["output"] for row in await store.rows(query)]
    if files and files[0] not in kept:
        await store.remove(*files)
        return False
    return bool(files)


async def request_cancel(store: Store, row: Row, seconds: float = 5.0) -> None:
    """Have a running talk end itself, so that its receipt says what was used; if nobody works on it, end it here."""
    table = store.as_service().from_("predictions")
    await store.rows(table.update({"cancel_requested": True}).eq("id", row["id"]).eq("status", "processing"))
    query = table.select("status").eq("id", row["id"])
    for _ in range(round(seconds / 0.5)):
        await asyncio.sleep(0.5)
        if (await store.rows(query))[0]["status"] in FINISHED:
            return
    await cancel(store, row)


async def cancel(store: Store, row: Row) -> None:
    """Settle a prediction as canceled by its owner."""
    result = {"error": "Canceled by its owner.", "receipt": {"error_code": "canceled"}}
    await settle(store, row["id"], "canceled", result)


async def expire(store: Store, row: Row) -> bool:
    """Settle a prediction whose deadline has passed."""
    why = "It was not started" if row["status"] == "starting" else "It was not finished"
    allowed = round((parse_time(row["deadline"]) - parse_time(row["created_at"])).total_seconds())
    return await fail(store, row["id"], f"{why} before its deadline ({allowed} s).", "deadline")


async def fail(store: Store, row_id: str, reason: str, code: str) -> bool:
    return await settle(store, row_id, "failed", {"error": reason, "receipt": {"error_code": code}})
