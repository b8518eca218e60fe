"""GET /v1/talk/{id}: run a talk and stream it as fragmented MP4 while it is made."""

from __future__ import annotations

import asyncio
from typing import Any

import modal
from fastapi import FastAPI
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.image import image, secrets
from shared.lipsync.engine import Engine
from shared.prediction import PredictionId
from shared.providers.anthropic import Claude
from shared.providers.elevenlabs import Voice
from shared.settings import Settings
from shared.talk.job import TalkJob
from shared.web import Caller, Context, Here, function_app

app = modal.App("personaforge-talk")


class Studio:
    """What a container keeps warm between talks; losing it costs only time."""

    def __init__(self) -> None:
        self.talks = 0

    async def open(self, context: Context) -> None:
        """Import and connect before the first request, not within it."""
        from shared.lipsync.cpu import CpuEngine

        self.claude, self.voice = await asyncio.to_thread(self._clients, context.settings)
        self.engine: Engine = CpuEngine()

    @staticmethod
    def _clients(settings: Settings) -> tuple[Claude, Voice]:
        return Claude(settings), Voice(settings)


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    studio = Studio()
    web = function_app("talk", settings=settings, warm=studio.open)

    @web.get("/v1/talk/{public}", response_class=Response)
    async def talk(public: str, here: Here, user: Caller) -> Response:
        identity = PredictionId.read(public, here.settings.forge_signing_key, user)
        cold, studio.talks = studio.talks == 0, studio.talks + 1
        job = await TalkJob.claim(here.store, studio.engine, studio.claude, studio.voice, user, identity, cold=cold)
        return await LiveVideo.begin(job)

    return web


class LiveVideo(Response):
    """The bytes of a talk as they are made. A listener who hangs up cancels the talk (barge-in).

    A talk that fails half-way breaks the connection off, so that no player takes half an answer for a whole one.
    """

    media_type = "video/mp4"

    def __init__(self, run: asyncio.Task[None], first: bytes, chunks: asyncio.Queue[bytes | None]) -> None:
        self._run, self._first, self._chunks = run, first, chunks
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    @classmethod
    async def begin(cls, job: TalkJob) -> LiveVideo:
        """Wait for the first bytes; a talk that fails before them raises its error instead."""
        run = asyncio.create_task(job.run())
        try:
            first = await job.chunks.get()
        except asyncio.CancelledError:
            run.cancel()
            raise
        if first is None:
            await run
        return cls(run, first or b"", job.chunks)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(self._hung_up(receive))
        gone.add_done_callback(lambda _: self._run.cancel())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk: bytes | None = self._first
            while chunk is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await self._chunks.get()
            if not self._broken():
                await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            await asyncio.wait([self._run])

    def _broken(self) -> bool:
        return not self._run.done() or self._run.cancelled() or self._run.exception() is not None

    @staticmethod
    async def _hung_up(receive: Receive) -> None:
        message: Any = {}
        while message.get("type") != "http.disconnect":
            message = await receive()


@app.function(image=image, secrets=secrets, timeout=300, cpu=2.0, memory=1024, enable_memory_snapshot=True)
@modal.concurrent(max_inputs=4)
@modal.asgi_app()
def talk() -> FastAPI:
    return build()
