"""POST /v1/webhooks/{provider}/{id}: a job changed. GET /v1/webhooks/default/secret: of our own webhooks."""

from __future__ import annotations

import json
from typing import Annotated, Any

import modal
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, Field

from shared.core.containers import media_image, secrets
from shared.core.errors import InvalidInput, Unauthenticated
from shared.core.settings import REPLICATE, SUPABASE, Settings
from shared.core.web import MIB, CurrentUser, function_app
from shared.models import registry
from shared.predictions import webhook
from shared.predictions.id import PredictionId
from shared.providers.fal import APP as FAL_APP
from shared.providers.job import JobProvider
from shared.runners.hosted import Hosted
from shared.runners.services import Services, ServicesDep, open_services

app = modal.App("personaforge-webhooks")


class Secret(BaseModel):
    """With which the caller checks the webhooks they get."""

    key: str = Field(description="`whsec_` and base64, as Standard Webhooks has it.")


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    needs = (*SUPABASE, *REPLICATE)
    web = function_app(
        "webhooks", needs=needs, body_limit=MIB, open_bodies=True, settings=settings, services=open_services
    )

    @web.post("/v1/webhooks/replicate/{public}", status_code=204)
    async def replicate(public: str, request: Request, services: ServicesDep) -> None:
        found = await _heard(services.replicate, request)
        await _follow(services, services.replicate, public, found.get("id"))

    @web.post("/v1/webhooks/fal/{public}", status_code=204)
    async def fal(
        public: str, request: Request, services: ServicesDep, app: Annotated[str, Query(pattern=FAL_APP)]
    ) -> None:
        """app: the model's first two names, as we had fal add it."""
        found = await _heard(services.fal, request)
        request_id = found.get("request_id")
        job_id = f"{app}/requests/{request_id}" if isinstance(request_id, str) and request_id.isascii() else None
        await _follow(services, services.fal, public, job_id)

    @web.get("/v1/webhooks/default/secret")
    async def secret(services: ServicesDep, user: CurrentUser) -> Secret:
        return Secret(key=webhook.secret(user.id, services.settings.forge_signing_key))

    return web


async def _heard(provider: JobProvider, request: Request) -> dict[str, Any]:
    """The body of a webhook that is the provider's. Raises Unauthenticated, InvalidInput."""
    body = await request.body()  # raw, as it was signed
    if not await provider.verify(body, request.headers):
        raise Unauthenticated("The webhook's signature is missing, wrong, or older than five minutes.")
    found = json.loads(body)
    return found if isinstance(found, dict) else {}


async def _follow(services: Services, provider: JobProvider, public: str, job_id: object) -> None:
    """What a webhook says is taken as a hint only: the provider is asked itself, so that deliveries may come twice,
    late, or in any order."""
    identity = PredictionId.read(public, services.settings.forge_signing_key)
    runner = registry.by_code(identity.model_code).runner
    if not isinstance(runner, Hosted) or not isinstance(job_id, str):
        raise InvalidInput(f"This is not about a job at {provider.name}.")
    await runner.on_webhook(services, identity, job_id)


@app.function(image=media_image, secrets=secrets, timeout=120, max_containers=10)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-webhooks")
def webhooks() -> FastAPI:
    return build()
