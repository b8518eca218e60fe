"""/v1/gallery: finished videos, one's own and published ones. /v1/files: uploads, to be named in inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import modal
from fastapi import FastAPI, File, Query
from pydantic import BaseModel, ConfigDict, Field

from shared.core.auth import User
from shared.core.containers import secrets, thin_image
from shared.core.errors import NotFound
from shared.core.paging import newest
from shared.core.settings import Settings
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import Time
from shared.core.web import KIB, Context, ContextDep, CurrentUser, function_app
from shared.files import upload
from shared.files.upload import FilePage, FileResponse, Upload
from shared.models import registry
from shared.predictions.id import PredictionId
from shared.predictions.prediction import Prediction, addresses

app = modal.App("personaforge-gallery")
PAGE = 24
FILES = ("output", "captions", "poster")
COLUMNS = (
    "id,owner,model,model_code,status,deadline,provider_id,output,captions,poster,published,text,receipt,created_at,"
    "persona_id"
)


class VideoPersona(BaseModel):
    """Of others' videos only its name is shown."""

    id: UUID | None
    name: str
    portrait: str | None


class Video(BaseModel):
    """A finished video."""

    model_config = ConfigDict(protected_namespaces=())
    prediction: str = Field(description="Id of the prediction that made it; of others' an id of the video alone.")
    model: str
    video: str = Field(description="Address of the MP4.")
    captions: str | None = Field(description="Address of the WebVTT file.")
    poster: str | None = Field(description="Address of the first frame (JPEG).")
    text: str | None
    duration_s: float | None
    engine: str | None = Field(description="What drew it.")
    published: bool = Field(description="Whether everybody sees it.")
    own: bool
    created_at: Time
    persona: VideoPersona | None


class VideoChange(BaseModel):
    """What is to change of a video."""

    model_config = ConfigDict(extra="forbid")
    published: bool


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
        model: Annotated[Text | None, Query(max_length=80)] = None,
        source: Annotated[Text | None, Query(max_length=80, description="`engine` of a video.")] = None,
        public: bool = False,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> VideoPage:
        """public: what anybody has published, instead of one's own."""
        wanted = [registry.find(model)] if model else registry.models().values()
        store = context.store
        client = store.as_service() if public else store.as_user(user)
        query = client.from_("predictions").select(f"{COLUMNS},personas(name,portrait)").eq("status", "succeeded")
        query = query.eq("system", False).in_("model", [one.name for one in wanted if one.in_gallery])
        query = query.eq("published", True) if public else query.eq("owner", str(user.id))
        query = query.not_.is_("poster", "null")  # where the voice alone was delivered, there is none
        query = query.eq("persona_id", str(persona)) if persona else query
        query = query.eq("receipt->>engine", source) if source else query
        chosen = {"persona": str(persona or ""), "model": model, "source": source, "public": "true" if public else None}
        page = await newest(store, query, PAGE, f"{context.settings.forge_url}/v1/gallery", cursor, **chosen)
        return VideoPage(next=page.next, previous=page.previous, results=await _videos(page.rows, store, user))

    @web.get("/v1/gallery/{prediction}")
    async def get_video(prediction: str, context: ContextDep, user: CurrentUser) -> Video:
        """One's own, or a published one."""
        store = context.store
        row = _public_row(prediction) or _row(prediction, context)
        query = store.as_service().from_("predictions").select(f"{COLUMNS},personas(name,portrait)").eq("id", str(row))
        found = await store.rows(query.or_(f"owner.eq.{user.id},published.is.true").eq("status", "succeeded"))
        if not found or not found[0]["output"] or not registry.find(found[0]["model"]).in_gallery:
            raise NotFound("This video is private or was deleted.")
        return (await _videos(found, store, user))[0]

    @web.patch("/v1/gallery/{prediction}")
    async def publish(prediction: str, body: VideoChange, context: ContextDep, user: CurrentUser) -> Video:
        """Show a video of one's own to everybody, or no longer."""
        store, row = context.store, str(_row(prediction, context, user))
        arguments = {"p_id": row, "p_owner": str(user.id), "p_published": body.published}
        query = store.as_user(user).from_("predictions").select(f"{COLUMNS},personas(name,portrait)").eq("id", row)
        files = [path for one in await store.rows(query) for name in FILES if (path := one[name])]
        if body.published:  # there before it is shown
            await store.publish(*files)
        await store.call("publish_prediction", arguments)
        if not body.published:
            await store.withdraw(*files)
            if any(one["published"] for one in await store.rows(query)):  # by somebody else, meanwhile
                await store.publish(*files)
        return (await _videos(await store.rows(query), store, user))[0]

    @web.delete("/v1/gallery/{prediction}", status_code=204)
    async def remove_video(prediction: str, context: ContextDep, user: CurrentUser) -> None:
        """Remove a video with its captions and what is known of its making; what it cost stays in the ledger."""
        row = str(_row(prediction, context, user))
        released = await context.store.call("remove_prediction", {"p_id": row, "p_owner": str(user.id)})
        if released:
            await context.store.discard(*released)

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


def _row(prediction: str, context: Context, user: User | None = None) -> UUID:
    """The row of a video's prediction, by its id. Raises NotFound, also where it is another's."""
    identity = PredictionId.read(prediction, context.settings.forge_signing_key, user)
    if not registry.by_code(identity.model_code).in_gallery:
        raise NotFound("This prediction is no video.")
    return identity.row


def _public_row(video: str) -> UUID | None:
    """As others are shown a video: its prediction's own id names its owner."""
    try:
        return UUID(video)
    except ValueError:
        return None


async def _videos(rows: list[Row], store: Store, user: User) -> list[Video]:
    """The addresses of all their files in one request."""
    shown = [(Prediction.from_row(row), row) for row in rows]
    portraits = [(row["personas"] or {}).get("portrait") for one, row in shown if one.owner == user.id]
    files = await addresses([one for one, _ in shown], store, portraits)
    return [_video(one, row, files, store.settings.forge_signing_key, user) for one, row in shown]


def _video(prediction: Prediction, row: Row, files: Mapping[str | None, str], key: str, user: User) -> Video:
    own = prediction.owner == user.id
    return Video(
        prediction=prediction.identity.sign(key) if own else str(prediction.id),
        model=prediction.model,
        video=files.get(prediction.output, ""),
        captions=files.get(prediction.captions),
        poster=files.get(prediction.poster),
        text=prediction.text,
        engine=prediction.receipt.engine if prediction.receipt else None,
        published=prediction.published,
        own=own,
        duration_s=prediction.receipt.duration_s if prediction.receipt else None,
        created_at=prediction.created_at,
        persona=_persona(row, files, own=own) if row["personas"] else None,
    )


def _persona(row: Row, files: Mapping[str | None, str], *, own: bool) -> VideoPersona:
    persona = row["personas"]
    if not own:
        return VideoPersona(id=None, name=persona["name"], portrait=None)
    return VideoPersona(id=row["persona_id"], name=persona["name"], portrait=files.get(persona["portrait"]))


@app.function(image=thin_image, secrets=secrets, timeout=30, max_containers=10)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-gallery")
def gallery() -> FastAPI:
    return build()
