"""GET /v1/predictions/{id}, GET /v1/predictions, POST /v1/predictions/{id}/cancel: look at jobs, stop them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query

from shared import hosted, lifecycle, prediction
from shared.image import image, secrets
from shared.paging import newest
from shared.prediction import FINISHED, PredictionId
from shared.running import running
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
        rows = [await lifecycle.read(here.store, user, UUID(row["id"])) if _overdue(row) else row for row in page.rows]
        return {"next": page.next, "previous": None, "results": [_shown(row, here) for row in rows]}

    @web.get("/v1/predictions/{public}")
    async def get(public: str, here: Here, user: Caller) -> dict[str, Any]:
        identity = PredictionId.read(public, here.settings.forge_signing_key, user)
        if identity.provider_id:
            return await _hosted(here, identity, user)
        if not identity.overdue and (known := await running().seen(str(identity.row))):
            return _shown(identity.row_while_it_runs(**known), here)
        return _shown(await lifecycle.read(here.store, user, identity.row), here)

    @web.post("/v1/predictions/{public}/cancel")
    async def cancel(public: str, here: Here, user: Caller) -> dict[str, Any]:
        identity = PredictionId.read(public, here.settings.forge_signing_key, user)
        row = await lifecycle.read(here.store, user, identity.row)
        if row["status"] not in FINISHED:
            if identity.provider_id:
                await hosted.cancel(here.replicate, identity.provider_id)
            if row["model"] == "talk" and row["status"] == "processing":
                await lifecycle.request_cancel(here.store, row)
            else:
                await lifecycle.cancel(here.store, row)
            await running().end(row["id"])
            row = await lifecycle.read(here.store, user, identity.row)
        return _shown(row, here)

    return web


async def _hosted(here: Context, identity: PredictionId, user: Caller) -> dict[str, Any]:
    """A job at the provider: while it runs the database is not asked."""
    found = await hosted.look(here.store, here.replicate, user, identity)
    if not isinstance(found, str):
        return _shown(found, here)
    return _shown(identity.row_while_it_runs(found), here)


def _overdue(row: Row) -> bool:
    """One that only has to be settled; a job at the provider may still have ended well, and is asked for by itself."""
    return row["status"] not in FINISHED and not row["provider_id"] and PredictionId.of(row).overdue


def _shown(row: Row, here: Context) -> dict[str, Any]:
    return prediction.shown(row, here.store)


@app.function(image=image, secrets=secrets, timeout=60)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def prediction_status() -> FastAPI:
    return build()
