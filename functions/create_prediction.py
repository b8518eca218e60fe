"""POST /v1/predictions and POST /v1/models/personaforge/{model}/predictions: start a job."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
import modal
from fastapi import BackgroundTasks, Depends, FastAPI, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from shared.core.auth import User
from shared.core.containers import image, secrets
from shared.core.errors import Conflict, InvalidInput
from shared.core.fetch import check
from shared.core.settings import Settings
from shared.core.store import Row
from shared.core.web import Context, ContextDep, CurrentUser, function_app
from shared.models.inputs import model_name, read_input
from shared.predictions import lifecycle, prediction, webhook
from shared.predictions.prediction import FINISHED, PredictionId
from shared.runners import hosted

app = modal.App("personaforge-create-prediction")
log = logging.getLogger("personaforge.create_prediction")
LONGEST_WAIT = 60  # seconds


class Creation(BaseModel):
    """The body, as Replicate's clients send it."""

    model_config = ConfigDict(extra="ignore")
    input: dict[str, Any]
    model: str | None = None
    version: str | None = None
    webhook: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] | None = None
    stream: bool = Field(False, description="talk: wait for `urls.stream` to be opened instead of starting now.")


@dataclass(frozen=True)
class Asked:
    """What the headers ask for."""

    wait: int = 0  # seconds
    seconds: int = lifecycle.DEADLINE  # until it must have ended
    key: str | None = None  # of idempotency


async def _asked(
    prefer: Annotated[str, Header(max_length=200)] = "",
    cancel_after: Annotated[str | None, Header(max_length=20)] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Asked:
    """`Prefer: wait` or `wait=n`, at most a minute; `Cancel-After: 90s`, `5m` or `1h`; `Idempotency-Key`, any text."""
    found = re.search(r"\bwait\b(?:\s*=\s*(\d{1,4}))?", prefer)
    wait = min(int(found[1] or LONGEST_WAIT), LONGEST_WAIT) if found else 0
    return Asked(wait, _duration(cancel_after), idempotency_key)


def _duration(text: str | None) -> int:
    """Seconds of a duration such as 90s, 5m, 1h30m or a bare number of seconds; between 5 s and an hour."""
    if text is None:
        return lifecycle.DEADLINE
    found = re.fullmatch(r"(?:(\d{1,2})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s?)?", text.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if not 5 <= total <= 3600:
        raise InvalidInput("Cancel-After is a duration from 5s to 1h, such as 90s, 5m or 1h.")
    return total


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("create prediction", settings=settings)

    @web.post("/v1/predictions", status_code=201)
    async def create(
        body: Creation, context: ContextDep, user: CurrentUser, response: Response, after: BackgroundTasks,
        asked: Annotated[Asked, Depends(_asked)],
    ) -> dict[str, Any]:  # fmt: skip
        name = body.model or body.version
        if not name:
            raise InvalidInput("Name the model: `model` or `version`, for example personaforge/talk.")
        return await _start(model_name(name), body, context, user, response, after, asked)

    @web.post("/v1/models/personaforge/{model}/predictions", status_code=201)
    async def create_for(
        model: str, body: Creation, context: ContextDep, user: CurrentUser, response: Response, after: BackgroundTasks,
        asked: Annotated[Asked, Depends(_asked)],
    ) -> dict[str, Any]:  # fmt: skip
        return await _start(model_name(model), body, context, user, response, after, asked)

    return web


async def _start(
    model: str, body: Creation, context: Context, user: User, response: Response, after: BackgroundTasks, asked: Asked
) -> dict[str, Any]:
    given = read_input(model, body.input)
    stream = body.stream and model == "talk"
    receiver = _receiver(context, body)
    made = await lifecycle.create(
        context.store, user, model, given, stream=stream, seconds=asked.seconds, key=asked.key, receiver=receiver
    )
    row = made.row
    if not made.made:
        row = await _first(context, user, row)
        if asked.wait and not row["stream"]:
            row = await _poll(context, user, row, asked.wait)
    elif model == "talk":
        if not stream:
            row = await _play(context, user, row, asked.wait, after)
    else:
        row = await hosted.start(context.store, context.replicate, user, row)
        if asked.wait:
            row = await _poll(context, user, row, asked.wait)
    if asked.wait and row["status"] not in FINISHED:
        # As Replicate: clients take any other status for the end of the wait.
        response.status_code, row = 202, {**row, "status": "starting"}
    return prediction.shown(row, context.store)


def _receiver(context: Context, body: Creation) -> lifecycle.Receiver | None:
    """Whom to tell; an address that would never be visited is refused now."""
    if body.webhook is None:
        return None
    check(body.webhook, context.settings)
    events = body.webhook_events_filter
    return lifecycle.Receiver(body.webhook, tuple(webhook.EVENTS if events is None else events))


async def _first(context: Context, user: User, row: Row) -> Row:
    """The prediction that an earlier call with this key made; its id is whole once its provider is known."""
    for _ in range(100):
        if row["model"] == "talk" or row["provider_id"] or row["status"] in FINISHED:
            return row
        await asyncio.sleep(0.2)
        row = await lifecycle.read(context.store, user, UUID(row["id"]))
    raise Conflict("The first call with this Idempotency-Key is still starting it. Retry in a moment.")


async def _play(context: Context, user: User, row: Row, wait: int, after: BackgroundTasks) -> Row:
    """Listen to the talk on the caller's behalf: the same code runs as for a real listener.

    What is not finished after `wait` seconds goes on after the answer, within this same request.
    """
    listening = asyncio.create_task(_listen(context, user, row))
    if wait:
        await asyncio.wait([listening], timeout=wait)
        row = await lifecycle.read(context.store, user, UUID(row["id"]))
    if not listening.done():
        after.add_task(asyncio.wait, [listening])
    return row


async def _listen(context: Context, user: User, row: Row) -> None:
    """Follow a talk to its end; one that cannot even begin is settled as failed with the reason."""
    url = f"{context.settings.forge_url}/v1/talk/{PredictionId.of(row).sign(context.settings.forge_signing_key)}"
    timeout = httpx.Timeout(max(10.0, PredictionId.of(row).deadline - time.time() + 10), connect=10)
    try:
        async with (
            httpx.AsyncClient(timeout=timeout) as http,
            http.stream("GET", url, headers={"Authorization": f"Bearer {user.token}"}) as answer,
        ):
            if answer.is_error and answer.status_code != 409:  # 409: somebody else listens already
                problem = json.loads(await answer.aread())
                await lifecycle.fail(context.store, row["id"], problem["detail"], problem["code"])
            async for _ in answer.aiter_raw():
                pass
    except (httpx.HTTPError, ValueError, KeyError) as error:
        log.warning("talk %s: its stream broke off (%s)", row["id"], type(error).__name__)
        await asyncio.sleep(1)  # a talk function that is stopped settles it itself, and knows why
        await lifecycle.fail(context.store, row["id"], "The talk function could not be reached, or broke off.", "error")


async def _poll(context: Context, user: User, row: Row, wait: int) -> Row:
    """Look until the job is finished or the wait is over; never in the middle of keeping it."""
    limit = time.monotonic() + wait
    while True:
        if row["provider_id"]:
            found = await hosted.look(context.store, context.replicate, user, PredictionId.of(row))
            row = row if isinstance(found, str) else found
        else:
            row = await lifecycle.read(context.store, user, UUID(row["id"]))
        if row["status"] in FINISHED or time.monotonic() > limit:
            return row
        await asyncio.sleep(0.5)


@app.function(image=image, secrets=secrets, timeout=3700)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def create_prediction() -> FastAPI:
    return build()
