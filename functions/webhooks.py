"""POST /v1/webhooks/replicate/{id}: Replicate says that a job changed. GET /v1/webhooks/default/secret: ours."""

from __future__ import annotations

import modal
from fastapi import FastAPI, Request

from shared import hosted, webhook
from shared.errors import Unauthenticated
from shared.image import image, secrets
from shared.prediction import PredictionId
from shared.settings import Settings
from shared.web import MIB, Caller, Here, function_app

app = modal.App("personaforge-webhooks")


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("webhooks", body_limit=MIB, settings=settings)

    @web.post("/v1/webhooks/replicate/{public}", status_code=204)
    async def replicate(public: str, request: Request, here: Here) -> None:
        """The signature covers the raw body. What it says is taken as a hint only: the provider is asked itself, so
        that deliveries may come twice, late, or in any order."""
        if not await here.replicate.signed(await request.body(), request.headers):
            raise Unauthenticated("The webhook's signature is missing, wrong, or older than five minutes.")
        identity = PredictionId.read(public, here.settings.forge_signing_key)
        await hosted.hear(here.store, here.replicate, identity, (await request.json()).get("id"))

    @web.get("/v1/webhooks/default/secret")
    async def secret(here: Here, user: Caller) -> dict[str, str]:
        """With which the caller checks the webhooks sent to them."""
        return {"key": webhook.secret(str(user.id), here.settings.forge_signing_key)}

    return web


@app.function(image=image, secrets=secrets, timeout=120)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def webhooks() -> FastAPI:
    return build()
