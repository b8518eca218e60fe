"""GET /v1/predictions/{id}, GET /v1/predictions, POST /v1/predictions/{id}/cancel: look at jobs, stop them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query

from shared.core.auth import User
from shared.core.containers import image, secrets
from shared.core.paging import newest
from shared.core.settings import Settings
from shared.core.store import Row
from shared.core.web import Context, ContextDep, CurrentUser, function_app
from shared.predictions import lifecycle, prediction
from shared.predictions.heartbeat import running
from shared.predictions.prediction import FINISHED, PredictionId
from shared.runners import hosted

app = modal.App("personaforge-prediction-status")
PAGE = 50


class Looks:
    """One look at the provider at a time for each job: all who ask meanwhile share the one that comes next.

    So many who poll one job cost the provider, which limits its callers, no more than one who does; and nobody is
    told what was seen before he asked.
    """

    def __init__(self) -> None:
        self._under_way: dict[UUID, asyncio.Task[Row | str]] = {}
        self._next: dict[UUID, asyncio.Task[Row | str]] = {}

    async def look(self, context: Context, identity: PredictionId, user: User) -> Row | str:
        """As hosted.look, which goes on when the caller leaves."""
        look = self._next.get(identity.row)
        if look is None:
            look = asyncio.create_task(self._in_turn(context, identity, user))
            self._next[identity.row] = look
        return await asyncio.shield(look)

    async def _in_turn(self, context: Context, identity: PredictionId, user: User) -> Row | str:
        if before := self._under_way.get(identity.row):
            await asyncio.wait([before])
        look = self._under_way[identity.row] = self._next.pop(identity.row)
        look.add_done_callback(lambda done: self._over(identity.row, done))
        return await hosted.look(context.store, context.replicate, user, identity)

    def _over(self, row: UUID, look: asyncio.Task[Row | str]) -> None:
        if self._under_way.get(row) is look:
            del self._under_way[row]
        if not look.cancelled():
            look.exception()  # perhaps nobody waits for it any more


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    looks = Looks()
    web = function_app("prediction status", settings=settings)

    @web.get("/v1/predictions")
    async def list_predictions(
        context: ContextDep, user: CurrentUser, cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> dict[str, Any]:
        query = context.store.as_user(user).from_("predictions").select("*")
        page = await newest(context.store, query, PAGE, f"{context.settings.forge_url}/v1/predictions", cursor)
        rows = [
            await lifecycle.read(context.store, user, UUID(row["id"])) if _overdue(row) else row for row in page.rows
        ]
        return {"next": page.next, "previous": None, "results": [_shown(row, context) for row in rows]}

    @web.get("/v1/predictions/{public}")
    async def get(public: str, context: ContextDep, user: CurrentUser) -> dict[str, Any]:
        identity = PredictionId.read(public, context.settings.forge_signing_key, user)
        if identity.provider_id:
            found = await looks.look(context, identity, user)
            return _shown(identity.row_while_it_runs(found) if isinstance(found, str) else found, context)
        if not identity.overdue and (known := await running().seen(str(identity.row))):
            return _shown(identity.row_while_it_runs(**known), context)
        return _shown(await lifecycle.read(context.store, user, identity.row), context)

    @web.post("/v1/predictions/{public}/cancel")
    async def cancel(public: str, context: ContextDep, user: CurrentUser) -> dict[str, Any]:
        identity = PredictionId.read(public, context.settings.forge_signing_key, user)
        row = await lifecycle.read(context.store, user, identity.row)
        if row["status"] not in FINISHED:
            if identity.provider_id:
                await hosted.cancel(context.replicate, identity.provider_id)
            if row["model"] == "talk" and row["status"] == "processing":
                await lifecycle.request_cancel(context.store, row)
            else:
                await lifecycle.cancel(context.store, row)
            row = await lifecycle.read(context.store, user, identity.row)
        return _shown(row, context)

    return web


def _overdue(row: Row) -> bool:
    """One that only has to be settled; a job at the provider may still have ended well, and is asked for by itself."""
    return row["status"] not in FINISHED and not row["provider_id"] and PredictionId.of(row).overdue


def _shown(row: Row, context: Context) -> dict[str, Any]:
    return prediction.shown(row, context.store)


@app.function(image=image, secrets=secrets, timeout=60)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def prediction_status() -> FastAPI:
    return build()
