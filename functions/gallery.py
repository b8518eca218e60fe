"""GET /v1/gallery: finished videos, newest first, in one query whatever their number."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query

from shared.core.containers import image, secrets
from shared.core.paging import newest
from shared.core.settings import Settings
from shared.core.store import Row
from shared.core.time import format_time
from shared.core.web import Context, ContextDep, CurrentUser, function_app
from shared.predictions.prediction import PredictionId

app = modal.App("personaforge-gallery")
PAGE = 24


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("gallery", settings=settings)

    @web.get("/v1/gallery")
    async def gallery(
        context: ContextDep,
        user: CurrentUser,
        persona: UUID | None = None,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> dict[str, Any]:
        query = (
            context.store.as_user(user)
            .from_("predictions")
            .select(
                "id,owner,model,deadline,provider_id,output,captions,text,receipt,created_at,persona_id,personas(name,portrait)"
            )
            .eq("status", "succeeded")
            .in_("model", ["talk", "lipsync"])
            .like("output", "%.mp4")
        )
        if persona:
            query = query.eq("persona_id", str(persona))
        page = await newest(
            context.store, query, PAGE, f"{context.settings.forge_url}/v1/gallery", cursor, persona=str(persona or "")
        )
        return {"next": page.next, "results": [_video(row, context) for row in page.rows]}

    return web


def _video(row: Row, context: Context) -> dict[str, Any]:
    return {
        "prediction": PredictionId.of(row).sign(context.settings.forge_signing_key),
        "model": row["model"],
        "video": context.store.address(row["output"]),
        "captions": context.store.address(row["captions"]),
        "text": row["text"],
        "duration_s": (row["receipt"] or {}).get("duration_s"),
        "created_at": format_time(row["created_at"]),
        "persona": {
            "id": row["persona_id"],
            "name": row["personas"]["name"],
            "portrait": context.store.address(row["personas"]["portrait"]),
        },
    }


@app.function(image=image, secrets=secrets, timeout=30)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def gallery() -> FastAPI:
    return build()
