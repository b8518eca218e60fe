"""GET /v1/gallery: finished videos. /v1/files: what users upload to name it in inputs. Both newest first."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import modal
from fastapi import FastAPI, File, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.core.containers import image, secrets
from shared.core.paging import newest
from shared.core.settings import Settings
from shared.core.store import Row, Store
from shared.core.time import Time
from shared.core.web import KIB, ContextDep, CurrentUser, function_app
from shared.files import upload
from shared.files.upload import FilePage, FileResponse, Upload
from shared.models import registry
from shared.predictions.prediction import Prediction

app = modal.App("personaforge-gallery")
PAGE = 24


class VideoPersona(BaseModel):
    id: UUID
    name: str
    portrait: str | None


class Video(BaseModel):
    """A finished video."""

    model_config = ConfigDict(protected_namespaces=())
    prediction: str = Field(description="Id of the prediction that made it.")
    model: str
    video: str = Field(description="Address of the MP4.")
    captions: str | None = Field(description="Address of the WebVTT file.")
    text: str | None
    duration_s: float | None
    created_at: Time
    persona: VideoPersona | None


class VideoPage(BaseModel):
    """Videos, newest first."""

    next: str | None = Field(description="Address of the next page.")
    previous: str | None
    results: list[Video]


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("gallery", body_limit=upload.LARGEST + KIB, settings=settings)

    @web.get("/v1/gallery")
    async def gallery(
        context: ContextDep,
        user: CurrentUser,
        persona: UUID | None = None,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> VideoPage:
        names = [name for name, model in registry.models().items() if model.in_gallery]
        columns = (
            "id,owner,model,model_code,status,deadline,provider_id,output,captions,text,receipt,created_at,persona_id"
        )
        query = (
            context.store.as_user(user)
            .from_("predictions")
            .select(f"{columns},personas(name,portrait)")
            .eq("status", "succeeded")
            .in_("model", names)
            .like("output", "%.mp4")
        )
        if persona:
            query = query.eq("persona_id", str(persona))
        address = f"{context.settings.forge_url}/v1/gallery"
        page = await newest(context.store, query, PAGE, address, cursor, persona=str(persona or ""))
        return VideoPage(
            next=page.next, previous=page.previous, results=[_video(row, context.store) for row in page.rows]
        )

    @web.post("/v1/files", status_code=201)
    async def keep_file(content: Annotated[bytes, File()], context: ContextDep, user: CurrentUser) -> FileResponse:
        """As multipart/form-data. Kept for a day; `urls.get` stands for it in an input."""
        return (await upload.keep(context.store, user, content)).to_api(context.settings.forge_url)

    @web.get("/v1/files")
    async def list_files(context: ContextDep, user: CurrentUser) -> FilePage:
        """All in one page: there are never more than a hundred."""
        rows = await context.store.rows(upload.uploads(context.store, user).order("created_at", desc=True))
        return FilePage(results=[Upload.from_row(row).to_api(context.settings.forge_url) for row in rows])

    @web.get("/v1/files/{file}")
    async def get_file(file: UUID, context: ContextDep, user: CurrentUser) -> FileResponse:
        return (await upload.find(context.store, user, file)).to_api(context.settings.forge_url)

    @web.delete("/v1/files/{file}", status_code=204)
    async def remove_file(file: UUID, context: ContextDep, user: CurrentUser) -> None:
        await context.store.remove((await upload.find(context.store, user, file)).path)

    return web


def _video(row: Row, store: Store) -> Video:
    prediction = Prediction.from_row(row)
    return Video(
        prediction=prediction.identity.sign(store.settings.forge_signing_key),
        model=prediction.model,
        video=store.address(prediction.output) or "",
        captions=store.address(prediction.captions),
        text=prediction.text,
        duration_s=prediction.receipt.duration_s if prediction.receipt else None,
        created_at=prediction.created_at,
        persona=_persona(row, store) if row["personas"] else None,
    )


def _persona(row: Row, store: Store) -> VideoPersona:
    persona = row["personas"]
    return VideoPersona(id=row["persona_id"], name=persona["name"], portrait=store.address(persona["portrait"]))


@app.function(image=image, secrets=secrets, timeout=30, max_containers=10)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-gallery")
def gallery() -> FastAPI:
    return build()
