"""POST /v1/webhooks/replicate/{id}: Replicate says that a job changed. GET /v1/webhooks/default/secret: ours."""

from __future__ import annotations

import modal
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from shared.core.containers import image, secrets
from shared.core.errors import InvalidInput, Unauthenticated
from shared.core.settings import REPLICATE, SUPABASE, Settings
from shared.core.web import MIB, CurrentUser, function_app
from shared.models import registry
from shared.predictions import webhook
from shared.predictions.id import PredictionId
from shared.runners.hosted import Hosted
from shared.runners.services import ServicesDep, open_services

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
        """The signature covers the raw body. What it says is taken as a hint only: the provider is asked itself, so
        that deliveries may come twice, late, or in any order."""
        if not await services.replicate.verify(await request.body(), request.headers):
            raise Unauthenticated("The webhook's signature is missing, wrong, or older than five minutes.")
        identity = PredictionId.read(public, services.settings.forge_signing_key)
        body, runner = await request.json(), registry.by_code(identity.model_code).runner
        job_id = body.get("id") if isinstance(body, dict) else None
        if not isinstance(runner, Hosted) or not isinstance(job_id, str):
            raise InvalidInput("This is not about a job at Replicate.")
        await runner.on_webhook(services, identity, job_id)

    @web.get("/v1/webhooks/default/secret")
    async def secret(services: ServicesDep, user: CurrentUser) -> Secret:
        return Secret(key=webhook.secret(user.id, services.settings.forge_signing_key))

    return web


@app.function(image=image, secrets=secrets, timeout=120, max_containers=10)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-webhooks")
def webhooks() -> FastAPI:
    return build()
