"""POST /v1/predictions, POST /v1/models/personaforge/{model}/predictions: start a job. GET /v1/models: what of."""

from __future__ import annotations

import asyncio
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import modal
from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.core.auth import User
from shared.core.containers import secrets, voices_image
from shared.core.errors import Conflict, InvalidInput
from shared.core.fetch import check
from shared.core.settings import ELEVENLABS, REPLICATE, SUPABASE, Settings
from shared.core.text import Text
from shared.core.web import KIB, CurrentUser, function_app
from shared.files import upload
from shared.models import listing, registry
from shared.models.listing import ModelPage, ModelResponse, Version, VersionPage
from shared.models.model import Model
from shared.predictions.lifecycle import PredictionRequest, Receiver
from shared.predictions.prediction import Prediction, PredictionResponse, to_api
from shared.predictions.webhook import EVENTS
from shared.providers import catalogue
from shared.runners.services import Services, ServicesDep, open_services

app = modal.App("personaforge-create-prediction")
LONGEST_WAIT = 60  # seconds


class CreateRequest(BaseModel):
    """The body, as Replicate's clients send it."""

    model_config = ConfigDict(extra="ignore")
    input: dict[str, JsonValue]
    model: Text | None = None
    version: Text | None = None
    webhook: Annotated[Text, Field(min_length=1, max_length=2000)] | None = None
    webhook_events_filter: list[Literal["start", "output", "logs", "completed"]] | None = None
    stream: bool = Field(False, description="talk: wait for `urls.stream` to be opened instead of starting now.")


@dataclass(frozen=True)
class Options:
    """What the headers ask for."""

    wait: int = 0  # seconds
    seconds: int | None = None  # until it must have ended; None: as long as the model has
    key: str | None = None  # of idempotency


async def _options(
    prefer: Annotated[str, Header(max_length=200)] = "",
    cancel_after: Annotated[str | None, Header(max_length=20)] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
) -> Options:
    """`Prefer: wait` or `wait=n`, at most a minute; `Cancel-After: 90s`, `5m` or `1h`; `Idempotency-Key`, any text."""
    match = re.search(r"\bwait\b(?:\s*=\s*(\d{1,4}))?", prefer)
    wait = min(int(match[1] or LONGEST_WAIT), LONGEST_WAIT) if match else 0
    return Options(wait, _duration(cancel_after), idempotency_key)


def _duration(text: str | None) -> int | None:
    """Seconds of a duration such as 90s, 5m, 1h30m or a bare number of seconds; between 5 s and an hour."""
    if text is None:
        return None
    match = re.fullmatch(r"(?:(\d{1,2})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s?)?", text.strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if not 5 <= total <= 3600:
        raise InvalidInput("Cancel-After is a duration from 5s to 1h, such as 90s, 5m or 1h.")
    return total


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    needs = (*SUPABASE, *REPLICATE, *ELEVENLABS)
    limit = 64 * KIB + upload.LONGEST_INLINE
    web = function_app(
        "create prediction",
        needs=needs,
        body_limit=limit,
        settings=settings,
        services=open_services,
        check=catalogue.check,
    )
    accepted: dict[int | str, dict[str, Any]] = {202: {"model": PredictionResponse, "description": "Still running"}}

    @web.post("/v1/predictions", status_code=201, responses=accepted)
    async def create(
        body: CreateRequest, services: ServicesDep, user: CurrentUser, response: Response,
        options: Annotated[Options, Depends(_options)],
    ) -> PredictionResponse:  # fmt: skip
        name = body.model or body.version
        if not name:
            raise InvalidInput("Name the model: `model` or `version`, for example personaforge/talk.")
        return await _create(registry.find(name), body, services, user, response, options)

    @web.post("/v1/models/personaforge/{model}/predictions", status_code=201, responses=accepted)
    async def create_for(
        model: str, body: CreateRequest, services: ServicesDep, user: CurrentUser, response: Response,
        options: Annotated[Options, Depends(_options)],
    ) -> PredictionResponse:  # fmt: skip
        return await _create(registry.find(model), body, services, user, response, options)

    @web.get("/v1/models")
    async def list_models(services: ServicesDep) -> ModelPage:
        return listing.page(services.settings.forge_url)

    @web.api_route("/v1/models", methods=["QUERY"], include_in_schema=False)  # OpenAPI 3.1 knows no such method
    async def search_models(services: ServicesDep, request: Request) -> ModelPage:
        """The body is the text to look for; some clients send it as JSON, whatever type they call it."""
        words = (await request.body()).decode(errors="replace")
        if words.startswith('"'):
            with suppress(ValueError):
                words = str(json.loads(words))
        return listing.page(services.settings.forge_url, words)

    @web.get("/v1/models/{owner}/{name}")
    async def get_model(owner: str, name: str, services: ServicesDep) -> ModelResponse:
        return listing.find(services.settings.forge_url, owner, name)

    @web.get("/v1/models/{owner}/{name}/versions")
    async def list_versions(owner: str, name: str, services: ServicesDep) -> VersionPage:
        return VersionPage(results=[listing.find(services.settings.forge_url, owner, name).latest_version])

    @web.get("/v1/models/{owner}/{name}/versions/{version}")
    async def get_version(owner: str, name: str, version: str, services: ServicesDep) -> Version:
        return listing.version(services.settings.forge_url, owner, name, version)

    return web


async def _create(
    model: Model, body: CreateRequest, services: Services, user: User, response: Response, options: Options
) -> PredictionResponse:
    wanted = model.read_input(body.input)
    unknown = sorted(set(body.input) - set(type(wanted).model_fields) - wanted.other_names)
    sent = wanted.model_dump(mode="json", exclude_none=True)
    request = PredictionRequest(
        model.name,
        sent | await _keep_files(services, user, {name: sent.get(name) for name in wanted.files}),
        getattr(wanted, "persona", None),
        stream=body.stream and model.streamable,
        seconds=options.seconds,
        key=options.key,
        receiver=_receiver(services.settings, body),
        sent=sent,
    )
    creation = await services.lifecycle.create(user, request)
    prediction = creation.prediction
    if creation.created:
        prediction = await model.runner.start(services, prediction, user)
    else:
        prediction = await _first(services, user, model, prediction)
    if options.wait and not prediction.stream:
        prediction = await _wait(services, user, model, prediction, options.wait)
        if not prediction.finished:
            # As Replicate: clients take any other status for the end of the wait.
            response.status_code, prediction = 202, prediction.model_copy(update={"status": "starting"})
    if unknown:
        warning = f"Unknown inputs are ignored: {', '.join(unknown)[:500]}.\n"
        prediction = prediction.model_copy(update={"logs": warning + prediction.logs})
    return await to_api(prediction, services.store)


async def _keep_files(services: Services, user: User, addresses: dict[str, Any]) -> dict[str, str]:
    """Those of these inputs that are data: URLs, as addresses of files that are kept for a day."""
    kept = {}
    for name, address in addresses.items():
        if address and address.startswith("data:"):
            file = await upload.keep_once(services.store, user, upload.read_data_url(address))
            kept[name] = file.address(services.settings.forge_url)
    return kept


def _receiver(settings: Settings, body: CreateRequest) -> Receiver | None:
    """Whose webhook is called; an address that would never be visited is refused now."""
    if body.webhook is None:
        return None
    check(body.webhook, settings)
    events = body.webhook_events_filter
    return Receiver(body.webhook, tuple(EVENTS if events is None else events))


async def _first(services: Services, user: User, model: Model, prediction: Prediction) -> Prediction:
    """The prediction that an earlier call with this key created, once its id is whole: a hosted one's names its job."""
    for _ in range(100):
        if prediction.finished or prediction.provider_id or not model.hosted:
            return prediction
        await asyncio.sleep(0.2)
        prediction = await services.lifecycle.read(prediction.id, user)
    raise Conflict("The first call with this Idempotency-Key is still starting it. Retry in a moment.")


async def _wait(services: Services, user: User, model: Model, prediction: Prediction, seconds: int) -> Prediction:
    """Look until it is finished or the wait is over; what is known of its input stays."""
    limit = time.monotonic() + seconds
    while True:
        current = await model.runner.look(services, prediction.identity, model.name, user)
        if current.finished or time.monotonic() > limit:
            return current if current.finished else prediction
        await asyncio.sleep(0.5)


@app.function(image=voices_image, secrets=secrets, timeout=120, max_containers=20)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-create-prediction")
def create_prediction() -> FastAPI:
    return build()
