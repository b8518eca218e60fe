"""POST /v1/webhooks/replicate/{id}: Replicate says that a job changed. GET /v1/webhooks/default/secret: ours."""

from __future__ import annotations

import modal
from fastapi import FastAPI, Request

from shared.core.containers import image, secrets
from shared.core.errors import Unauthenticated
from shared.core.settings import Settings
from shared.core.web import MIB, ContextDep, CurrentUser, function_app
from shared.predictions import webhook
from shared.predictions.prediction import PredictionId
from shared.runners import hosted

app = modal.App("personaforge-webhooks")


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("webhooks", body_limit=MIB, settings=settings)

    @web.post("/v1/webhooks/replicate/{public}", status_code=204)
    async def replicate(public: str, request: Request, context: ContextDep) -> None:
        """The signature covers the raw body. What it says is taken as a hint only: the provider is asked itself, so
        that deliveries may come twice, late, or in any order."""
        if not await context.replicate.signed(await request.body(), request.headers):
            raise Unauthenticated("The webhook's signature is missing, wrong, or older than five minutes.")
        identity = PredictionId.read(public, context.settings.forge_signing_key)
        await hosted.hear(context.store, context.replicate, identity, (await request.json()).get("id"))

    @web.get("/v1/webhooks/default/secret")
    async def secret(context: ContextDep, user: CurrentUser) -> dict[str, str]:
        """With which the caller checks the webhooks sent to them."""
        return {"key": webhook.secret(str(user.id), context.settings.forge_signing_key)}

    return web


@app.function(image=image, secrets=secrets, timeout=120)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def webhooks() -> FastAPI:
    return build()
