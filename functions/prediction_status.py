"""GET /v1/predictions/{id}, GET /v1/predictions, POST /v1/predictions/{id}/cancel: look at jobs, stop them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import modal
from fastapi import FastAPI, Query

from shared import hosted, prediction
from shared.image import image, secrets
from shared.paging import newest
from shared.prediction import FINISHED, PredictionId
from shared.settings import Settings
from shared.store import Row
from shared.web import Caller, Context, Here, function_app

app = modal.App("personaforge-prediction-status")
PAGE = 50


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("prediction status", settings=settings)

    @web.get("/v1/predictions")
    async def list_predictions(
        here: Here, user: Caller, cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> dict[str, Any]:
        query = here.store.as_user(user).from_("predictions").select("*")
        page = await newest(here.store, query, PAGE, f"{here.settings.forge_url}/v1/predictions", cursor)
        return {"next": page.next, "previous": None, "results": [_shown(row, here) for row in page.rows]}

    @web.get("/v1/predictions/{public}")
    async def get(public: str, here: Here, user: Caller) -> dict[str, Any]:
        identity = PredictionId.read(public, here.settings.forge_signing_key, user)
        if identity.provider_id:
            return await _hosted(here, identity, public, user)
        return _shown(await prediction.read(here.store, user, identity.row), here)

    @web.post("/v1/predictions/{public}/cancel")
    async def cancel(public: str, here: Here, user: Caller) -> dict[str, Any]:
        identity = PredictionId.read(public, here.settings.forge_signing_key, user)
        row = await prediction.read(here.store, user, identity.row)
        if row["status"] not in FINISHED:
            if identity.provider_id:
                await hosted.cancel(here.replicate, identity)
            result = {"error": "Canceled by its owner.", "receipt": {"error_code": "canceled"}}
            await prediction.settle(here.store, row["id"], "canceled", result)
            row = await prediction.read(here.store, user, identity.row)
        return _shown(row, here)

    return web


async def _hosted(here: Context, identity: PredictionId, public: str, user: Caller) -> dict[str, Any]:
    """A job at the provider: while it runs the database is not asked."""
    found = await hosted.look(here.store, here.replicate, user, identity)
    if not isinstance(found, str):
        return _shown(found, here)
    base = f"{here.settings.forge_url}/v1/predictions/{public}"
    created = datetime.fromtimestamp(identity.created, UTC)
    return {
        "id": public,
        "model": f"{prediction.OWNER}/{identity.model}",
        "version": identity.model,
        "status": found,
        "output": None,
        "error": None,
        "logs": "",
        "input": {},
        "urls": {"get": base, "cancel": f"{base}/cancel", "web": base},
        "created_at": created.isoformat().replace("+00:00", "Z"),
    }


def _shown(row: Row, here: Context) -> dict[str, Any]:
    return prediction.shown(row, here.store, here.settings.forge_signing_key, here.settings.forge_url)


@app.function(image=image, secrets=secrets, timeout=60)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def prediction_status() -> FastAPI:
    return build()
