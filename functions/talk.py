"""GET /v1/talk/{id}: run a talk and stream it while it is made, as fragmented MP4 or as events of its words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import modal
from fastapi import FastAPI, Request
from starlette.responses import Response

from shared.core.containers import secrets, talk_image
from shared.core.errors import Conflict
from shared.core.settings import ANTHROPIC, ELEVENLABS, REPLICATE, SUPABASE, Settings
from shared.core.web import Context, CurrentUser, function_app
from shared.models.talk import MODEL
from shared.predictions.id import PredictionId
from shared.providers import catalogue
from shared.runners.live_video import LiveVideo
from shared.runners.live_words import LiveWords
from shared.runners.services import Services, ServicesDep
from shared.runners.spawned import Streamed
from shared.talk.runtime import TALKS, TalkRuntime

if TYPE_CHECKING:
    from shared.talk.remote import RenderRemotely

if not modal.is_local():
    # Modal takes its snapshot of memory when this module has been imported: what a talk would import later is paid for
    # at each start, with 1.5 s of processor time.
    import anthropic  # noqa: F401
    import cv2  # noqa: F401
    import elevenlabs  # noqa: F401
    import postgrest  # noqa: F401
    import replicate  # noqa: F401
    import storage3  # noqa: F401

    import shared.lipsync.cpu.engine
    import shared.media.video  # noqa: F401

app = modal.App("personaforge-talk")


def build(settings: Settings | None = None, render_remotely: RenderRemotely | None = None) -> FastAPI:
    """The ASGI app. render_remotely: on a GPU that is not Modal's."""

    @asynccontextmanager
    async def services(context: Context) -> AsyncIterator[Services]:
        async with (
            TalkRuntime.open(context.settings, render_remotely) as runtime,
            Services.open(context.store, runtime) as opened,
        ):
            yield opened

    needs = (*SUPABASE, *ANTHROPIC, *ELEVENLABS, *REPLICATE)
    web = function_app("talk", needs=needs, settings=settings, services=services, check=catalogue.check)
    runner = MODEL.runner
    assert isinstance(runner, Streamed)
    description = "Fragmented MP4 (H.264, AAC, 25 fps) while it is made; its words where events are accepted"
    content: dict[str, Any] = {"video/mp4": {}, "text/event-stream": {}}
    video: dict[int | str, dict[str, Any]] = {200: {"content": content, "description": description}}

    @web.get("/v1/talk/{public}", response_class=Response, responses=video)
    async def talk(
        public: str, services: ServicesDep, user: CurrentUser, request: Request, media: bool = False
    ) -> Response:
        """media: also as events its video comes, in base64; for proxies that hold back other bodies."""
        identity = PredictionId.read(public, services.settings.forge_signing_key, user)
        if identity.model_code != MODEL.code:
            raise Conflict("This prediction is no talk; only talks can be opened as a stream.")
        if request.scope.get("head"):  # a look at what there is to play, which must not use it up
            return LiveVideo.empty()
        execution = await runner.execute(services, identity.row, user)
        if execution is None:
            status = (await services.lifecycle.read(identity.row, user)).status
            raise Conflict(f"This talk is {status}; a stream can be opened once.", prediction_status=status)
        events = "text/event-stream" in request.headers.get("accept", "")
        if events and not media:
            return LiveWords(services.executions, execution)
        return await LiveVideo.begin(services.executions, execution, request, events=events)

    return web


@app.function(
    image=talk_image,
    secrets=secrets,
    timeout=3700,
    cpu=2.0,
    memory=1024,
    max_containers=50,
    scaledown_window=120,  # people think before they ask again
    enable_memory_snapshot=True,
)
@modal.concurrent(max_inputs=TALKS)
@modal.asgi_app(label="personaforge-talk")
def talk() -> FastAPI:
    return build()
