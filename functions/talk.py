"""GET /v1/talk/{id}: run a talk and stream it as fragmented MP4 while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import modal
from fastapi import FastAPI, Request
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
    """What a container keeps between talks. Warm parts cost only time when lost; running talks are ended first."""

    def __init__(self) -> None:
        self.talks = 0
        self.running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, context: Context) -> AsyncIterator[None]:
        """Import and connect before the first request; settle what still runs before the clients close."""
        from shared.lipsync.cpu import CpuEngine

        self.claude, self.voice = await asyncio.to_thread(self._clients, context.settings)
        self.engine: Engine = CpuEngine()
        try:
            yield
        finally:
            for run in self.running:
                run.cancel("The server was stopped in the middle of this talk.")
            if self.running:
                await asyncio.wait(self.running, timeout=10)
            await self.claude.close()
            await self.voice.close()

    @staticmethod
    def _clients(settings: Settings) -> tuple[Claude, Voice]:
        return Claude(settings), Voice(settings)

    def start(self, job: TalkJob) -> asyncio.Task[None]:
        run = asyncio.create_task(job.run())
        self.running.add(run)
        run.add_done_callback(self.running.discard)
        return run


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    studio = Studio()
    web = function_app("talk", settings=settings, around=studio.open)

    @web.get("/v1/talk/{public}", response_class=Response)
    async def talk(public: str, here: Here, user: Caller, request: Request) -> Response:
        identity = PredictionId.read(public, here.settings.forge_signing_key, user)
        cold, studio.talks = studio.talks == 0, studio.talks + 1
        job = await TalkJob.claim(here.store, studio.engine, studio.claude, studio.voice, user, identity, cold=cold)
        return await LiveVideo.begin(studio.start(job), job.chunks, request)

    return web


class LiveVideo(Response):
    """The bytes of a talk as they are made. A listener who hangs up cancels the talk (barge-in).

    A talk that fails half-way breaks the connection off, so that no player takes half an answer for a whole one.
    """

    media_type = "video/mp4"

    def __init__(
        self, run: asyncio.Task[None], first: bytes, chunks: asyncio.Queue[bytes | None], gone: asyncio.Task[None]
    ) -> None:
        self._run, self._first, self._chunks, self._gone = run, first, chunks, gone
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    @classmethod
    async def begin(cls, run: asyncio.Task[None], chunks: asyncio.Queue[bytes | None], request: Request) -> Response:
        """Wait for the first bytes; a talk that fails before them raises its error instead."""
        gone = asyncio.create_task(_hung_up(request))
        gone.add_done_callback(lambda hung_up: None if hung_up.cancelled() else run.cancel() and None)
        try:
            first = await chunks.get()
            if first is None:
                gone.cancel()
                with suppress(asyncio.CancelledError):  # nobody is there any more
                    await run
                return Response(status_code=499)
        except asyncio.CancelledError:
            run.cancel()
            raise
        return cls(run, first, chunks, gone)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk: bytes | None = self._first
            while chunk is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await self._chunks.get()
            await asyncio.wait([self._run])
            if not self._run.cancelled() and self._run.exception() is None:
                await send({"type": "http.response.body", "body": b""})
        except BaseException:
            self._run.cancel()
            raise
        finally:
            self._gone.cancel()
            await asyncio.wait([self._run])


async def _hung_up(request: Request) -> None:
    """Returns when the listener has closed the connection."""
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()


@app.function(image=image, secrets=secrets, timeout=3700, cpu=2.0, memory=1024, enable_memory_snapshot=True)
@modal.concurrent(max_inputs=4)
@modal.asgi_app()
def talk() -> FastAPI:
    return build()
