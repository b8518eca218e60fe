"""POST /v1/predictions and POST /v1/models/personaforge/{model}/predictions: start a job."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any
from uuid import UUID

import httpx
import modal
from fastapi import BackgroundTasks, FastAPI, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from shared import hosted, prediction
from shared.auth import User
from shared.errors import InvalidInput
from shared.image import image, secrets
from shared.prediction import FINISHED, PredictionId, model_name, read_input
from shared.providers.replicate import Replicate
from shared.settings import Settings
from shared.store import Row
from shared.web import Caller, Context, Here, function_app

app = modal.App("personaforge-create-prediction")
LONGEST_WAIT = 60  # seconds


class Creation(BaseModel):
    """The body, as Replicate's clients send it."""

    model_config = ConfigDict(extra="ignore")
    input: dict[str, Any]
    model: str | None = None
    version: str | None = None
    stream: bool = Field(False, description="talk: wait for `urls.stream` to be opened instead of starting now.")


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("create prediction", settings=settings)

    @web.post("/v1/predictions", status_code=201)
    async def create(
        body: Creation, here: Here, user: Caller, response: Response, after: BackgroundTasks,
        prefer: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:  # fmt: skip
        name = body.model or body.version
        if not name:
            raise InvalidInput("Name the model: `model` or `version`, for example personaforge/talk.")
        return await _start(model_name(name), body, here, user, response, after, prefer)

    @web.post("/v1/models/personaforge/{model}/predictions", status_code=201)
    async def create_for(
        model: str, body: Creation, here: Here, user: Caller, response: Response, after: BackgroundTasks,
        prefer: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:  # fmt: skip
        return await _start(model_name(model), body, here, user, response, after, prefer)

    return web


async def _start(
    model: str, body: Creation, here: Context, user: User, response: Response, after: BackgroundTasks, prefer: str
) -> dict[str, Any]:
    given = read_input(model, body.input)
    wait = _seconds(prefer)
    stream = body.stream and model == "talk"
    row = await prediction.create(here.store, user, model, given, stream=stream)
    if model == "talk":
        if not stream:
            row = await _play(here, user, row, wait, after)
    else:
        replicate = Replicate(here.settings)
        try:
            row = await hosted.start(here.store, replicate, here.settings, user, row)
            if wait:
                row = await _poll(here, replicate, user, row, wait)
        finally:
            await replicate.close()
    if wait and row["status"] not in FINISHED:
        # As Replicate: clients take any other status for the end of the wait.
        response.status_code, row = 202, {**row, "status": "starting"}
    return prediction.shown(row, here.store, here.settings.forge_signing_key, here.settings.forge_url)


def _seconds(prefer: str) -> int:
    """How long the caller wants to wait, from `Prefer: wait` or `Prefer: wait=n`."""
    found = re.search(r"\bwait(?:\s*=\s*(\d+))?", prefer)
    return min(int(found[1] or LONGEST_WAIT), LONGEST_WAIT) if found else 0


async def _play(here: Context, user: User, row: Row, wait: int, after: BackgroundTasks) -> Row:
    """Listen to the talk on the caller's behalf: the same code runs as for a real listener.

    What is not finished after `wait` seconds goes on after the answer, within this same request.
    """
    key, base = here.settings.forge_signing_key, here.settings.forge_url
    identity = PredictionId(UUID(row["id"]), user.id, "talk").sign(key)
    listening = asyncio.create_task(_listen(f"{base}/v1/talk/{identity}", user.token))
    if wait:
        await asyncio.wait([listening], timeout=wait)
        row = await prediction.read(here.store, user, UUID(row["id"]))
    if not listening.done():
        after.add_task(_until_done, listening)
    return row


async def _listen(url: str, token: str) -> None:
    timeout = httpx.Timeout(prediction.DEADLINE + 10, connect=10)
    async with (
        httpx.AsyncClient(timeout=timeout) as http,
        http.stream("GET", url, headers={"Authorization": f"Bearer {token}"}) as answer,
    ):
        async for _ in answer.aiter_raw():
            pass


async def _until_done(listening: asyncio.Task[None]) -> None:
    # How the talk ended stands in its row; a listener that was cut off has nothing to add.
    await asyncio.wait([listening])
    if not listening.cancelled():
        listening.exception()


async def _poll(here: Context, replicate: Replicate, user: User, row: Row, wait: int) -> Row:
    identity = PredictionId(UUID(row["id"]), user.id, row["model"], row["provider_id"])
    async with asyncio.timeout(wait) as limit:
        try:
            while await hosted.look(here.store, replicate, identity) not in FINISHED:  # noqa: ASYNC110  # it is remote
                await asyncio.sleep(0.5)
        except TimeoutError:
            if not limit.expired():
                raise
            return row
    return await prediction.read(here.store, user, identity.row)


@app.function(image=image, secrets=secrets, timeout=300)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def create_prediction() -> FastAPI:
    return build()
