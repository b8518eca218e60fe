"""GET /v1/talk/{id}: run a talk and stream it as fragmented MP4 while it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import modal
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.core.containers import image, secrets
from shared.core.errors import Conflict
from shared.core.settings import Settings
from shared.core.web import Context, ContextDep, CurrentUser, function_app
from shared.lipsync.engine import Engine
from shared.media.types import Speech
from shared.predictions.prediction import PredictionId
from shared.providers.anthropic import LanguageModel
from shared.providers.elevenlabs import TextToSpeech
from shared.talk.job import STOPPED, TalkJob, TalkServices
from shared.talk.remote import RenderRemotely, Speaker, carried

app = modal.App("personaforge-talk")


class TalkRuntime:
    """What a container keeps between talks. Warm parts cost only time when lost; running talks are ended first."""

    def __init__(self, gpu: RenderRemotely | None = None) -> None:
        self.talks = 0
        self.gpu = gpu
        self.running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self, context: Context) -> AsyncIterator[None]:
        """Import and connect before the first request; settle what still runs before the clients close."""
        from shared.lipsync.cpu.engine import CpuEngine

        self.claude, self.voice = await asyncio.to_thread(self._clients, context.settings)
        self.engine: Engine = CpuEngine()
        if context.settings.forge_engine == "musetalk" and not self.gpu:
            self.gpu = _on_modal
        try:
            yield
        finally:
            for run in self.running:
                run.cancel(STOPPED)
            if self.running:
                await asyncio.wait(self.running, timeout=10)
            await self.claude.close()
            await self.voice.close()

    @staticmethod
    def _clients(settings: Settings) -> tuple[LanguageModel, TextToSpeech]:
        return LanguageModel(settings), TextToSpeech(settings)

    def start(self, job: TalkJob) -> asyncio.Task[None]:
        run = asyncio.create_task(job.run())
        self.running.add(run)
        run.add_done_callback(self.running.discard)
        return run


async def _on_modal(speaker: Speaker, pieces: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
    """A film on the GPU of functions/lipsync.py: a queue takes the speech there, a generator brings the bytes back."""
    gpu = modal.Cls.from_name("personaforge", "Lipsync")()
    async with modal.Queue.ephemeral() as said:
        async for data in carried(said.put.aio, gpu.stream.remote_gen.aio(speaker, said), pieces):
            yield data


def build(settings: Settings | None = None, gpu: RenderRemotely | None = None) -> FastAPI:
    """The ASGI app. gpu: how films are made on a GPU, if not on Modal."""
    studio = TalkRuntime(gpu)
    web = function_app("talk", settings=settings, around=studio.open)

    @web.get("/v1/talk/{public}", response_class=Response)
    async def talk(public: str, context: ContextDep, user: CurrentUser, request: Request) -> Response:
        identity = PredictionId.read(public, context.settings.forge_signing_key, user)
        cold, studio.talks = studio.talks == 0, studio.talks + 1
        kit = TalkServices(studio.engine, studio.gpu, context.replicate, studio.claude, studio.voice)
        job = await TalkJob.claim(context.store, kit, user, identity, cold=cold)
        return await LiveVideo.begin(studio.start(job), job, request)

    return web


class LiveVideo(Response):
    """The bytes of a talk as they are made. A listener who hangs up cancels the talk (barge-in).

    A talk that fails half-way breaks the connection off, so that no player takes half an answer for a whole one.
    """

    media_type = "video/mp4"

    def __init__(self, run: asyncio.Task[None], first: bytes, job: TalkJob, gone: asyncio.Task[None]) -> None:
        self._run, self._first, self._job, self._gone = run, first, job, gone
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]

    @classmethod
    async def begin(cls, run: asyncio.Task[None], job: TalkJob, request: Request) -> Response:
        """Wait for the first bytes; a talk that fails before them raises its error instead, or NoVideo."""
        gone = asyncio.create_task(_hung_up(request))
        gone.add_done_callback(lambda hung_up: None if hung_up.cancelled() else run.cancel() and None)
        try:
            first = await job.chunks.get()
            if first is None:
                left = gone.done()
                gone.cancel()
                await asyncio.wait([run])
                if left:
                    return Response(status_code=499)  # nobody is there any more
                if run.cancelled():
                    raise Conflict("This talk was ended from outside before its first frame.")
                run.result()
                raise job.no_video()
        except asyncio.CancelledError:
            run.cancel(STOPPED)
            raise
        return cls(run, first, job, gone)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            chunk: bytes | None = self._first
            while chunk is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                chunk = await self._job.chunks.get()
            await asyncio.wait([self._run])
            if not self._run.cancelled() and self._run.exception() is None and self._job.whole:
                await send({"type": "http.response.body", "body": b""})
        except asyncio.CancelledError:
            self._run.cancel(STOPPED)  # a listener who leaves is noticed otherwise: the server ends its requests
            raise
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
