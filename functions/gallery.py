"""GET /v1/gallery: finished videos, newest first, in one query whatever their number."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query

from shared.image import image, secrets
from shared.paging import newest
from shared.prediction import PredictionId, iso
from shared.settings import Settings
from shared.store import Row
from shared.web import Caller, Context, Here, function_app

app = modal.App("personaforge-gallery")
PAGE = 24


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("gallery", settings=settings)

    @web.get("/v1/gallery")
    async def gallery(
        here: Here,
        user: Caller,
        persona: UUID | None = None,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> dict[str, Any]:
        query = (
            here.store.as_user(user)
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
            here.store, query, PAGE, f"{here.settings.forge_url}/v1/gallery", cursor, persona=str(persona or "")
        )
        return {"next": page.next, "results": [_video(row, here) for row in page.rows]}

    return web


def _video(row: Row, here: Context) -> dict[str, Any]:
    return {
        "prediction": PredictionId.of(row).sign(here.settings.forge_signing_key),
        "model": row["model"],
        "video": here.store.address(row["output"]),
        "captions": here.store.address(row["captions"]),
        "text": row["text"],
        "duration_s": (row["receipt"] or {}).get("duration_s"),
        "created_at": iso(row["created_at"]),
        "persona": {
            "id": row["persona_id"],
            "name": row["personas"]["name"],
            "portrait": here.store.address(row["personas"]["portrait"]),
        },
    }


@app.function(image=image, secrets=secrets, timeout=30)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def gallery() -> FastAPI:
    return build()
