"""A video that is made elsewhere: speech goes to a GPU's container, the video's bytes come back as they are made.

Both ends are here, and how they keep hold of each other. Between them lie a queue for the speech and a generator for
the bytes, on Modal those of functions/lipsync.py; neither tells one end that the other is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.core.errors import ForgeError, ProviderFailed
from shared.core.store import Store
from shared.lipsync.engine import SETTLE
from shared.media.types import FPS, RATE, Speech
from shared.media.video import LEAD_IN
from shared.personas.portrait import prepared_path
from shared.talk.video_renderer import VideoRenderer

if TYPE_CHECKING:
    from shared.lipsync.musetalk.engine import MusePortrait, MuseTalkEngine

log = logging.getLogger("personaforge.remote")
STOP = "stop"
PATIENCE = 15.0  # seconds until the first bytes: a cold container may take longer, and another engine is there
LONGEST = 5 * RATE  # samples in one message: Modal's queues take a megabyte


@dataclass(frozen=True)
class Speaker:
    """Whose face it is: the persona's id, the path of its portrait in our storage, its face, the size of the video."""

    persona: str
    portrait: str
    face: dict[str, Any]
    size: int

    @property
    def owner(self) -> str:
        return self.portrait.partition("/")[0]

    @property
    def prepared(self) -> str:
        """Where the portrait lies when an engine has prepared it."""
        return prepared_path(self.portrait, self.size)


RenderRemotely = Callable[[Speaker, AsyncIterator[Speech]], AsyncIterator[bytes]]


async def render_on_modal(speaker: Speaker, speech: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
    """On the GPU of functions/lipsync.py: a queue takes the speech there, a generator brings the bytes back."""
    import modal

    from shared.providers.modal import stream_from_gpu

    async with modal.Queue.ephemeral() as queue:
        async for data in near_end(queue.put.aio, stream_from_gpu(speaker, queue), speech):
            yield data


class RemoteVideoRenderer:
    """The near end, as a Renderer."""

    def __init__(
        self,
        render_remotely: RenderRemotely,
        speaker: Speaker,
        write: Callable[[bytes], object],
        patience: float = PATIENCE,
    ) -> None:
        """write: receives the file's bytes in order, on the event loop. patience: seconds to wait for the first."""
        self._render, self._speaker, self._write, self._patience = render_remotely, speaker, write, patience
        self._speech: asyncio.Queue[Speech | None] = asyncio.Queue()
        self._samples, self._finished = 0, False

    @property
    def repeated(self) -> int:
        return 0

    @property
    def frames(self) -> int:
        return LEAD_IN + -(-self._samples * FPS // RATE) + (SETTLE if self._finished else 0)

    def append(self, speech: Speech) -> None:
        self._samples += len(speech.samples)
        self._speech.put_nowait(speech)

    def finish(self) -> None:
        self._finished = True
        self._speech.put_nowait(None)

    async def run(self) -> None:
        """Raises TimeoutError when nothing comes back in time, ForgeError for what went wrong there."""
        video = aiter(self._render(self._speaker, self._messages()))
        try:
            async with asyncio.timeout(self._patience):
                first = await anext(video)
            self._write(first)
            async for data in video:
                self._write(data)
        finally:
            if close := getattr(video, "aclose", None):
                await close()

    async def _messages(self) -> AsyncIterator[Speech]:
        """Speech in messages that are not too long; their timings stay behind, as the engine works from the sound."""
        while (speech := await self._speech.get()) is not None:
            for first in range(0, len(speech.samples), LONGEST):
                yield Speech(speech.samples[first : first + LONGEST])


class RenderServer:
    """The far end: one engine, and the portraits that it has prepared."""

    def __init__(self, engine: MuseTalkEngine, store: Store) -> None:
        self._engine, self._store = engine, store

    async def render(self, speaker: Speaker, speech: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
        """The video's bytes as they are made. Leaving it early stops the work."""
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        portrait = await self._portrait(speaker)
        renderer = VideoRenderer(portrait, lambda data: loop.call_soon_threadsafe(chunks.put_nowait, data))
        running, feeding = asyncio.create_task(renderer.run()), asyncio.create_task(_feed(renderer, speech))
        running.add_done_callback(lambda _: chunks.put_nowait(None))
        feeding.add_done_callback(lambda done: chunks.put_nowait(None) if _failed(done) else None)
        try:
            while (data := await chunks.get()) is not None:
                yield data
            await (feeding if _failed(feeding) else running)
        finally:
            running.cancel()
            feeding.cancel()
            await asyncio.gather(running, feeding, return_exceptions=True)

    async def _portrait(self, speaker: Speaker) -> MusePortrait:
        """Found in storage, or prepared and kept there for every container after this one."""
        from shared.lipsync.face import Face
        from shared.lipsync.musetalk.engine import MusePortrait
        from shared.lipsync.picture import Picture
        from shared.media.image import decode

        try:
            kept = await self._store.get(speaker.prepared)
            return await asyncio.to_thread(MusePortrait.restore, self._engine, kept)
        except ForgeError:
            pass  # nobody has prepared it yet
        except Exception:
            log.warning("a prepared portrait could not be read; it is prepared again", exc_info=True)
        data = await self._store.get(speaker.portrait)

        def prepare() -> MusePortrait:
            return self._engine.prepare(Picture(decode(data), Face.load(speaker.face)), speaker.size)

        portrait = await asyncio.to_thread(prepare)
        self._store.in_background(self._keep(speaker, portrait))
        return portrait

    async def _keep(self, speaker: Speaker, portrait: MusePortrait) -> None:
        with suppress(ForgeError):  # another container may have been faster
            data = await asyncio.to_thread(portrait.dump)
            await self._store.put(
                speaker.prepared, data, "application/octet-stream", owner=speaker.owner, referrer=speaker.persona
            )


async def _feed(renderer: VideoRenderer, speech: AsyncIterator[Speech]) -> None:
    async for part in speech:
        renderer.append(part)
    renderer.finish()


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


async def near_end(
    put: Callable[[Any], Awaitable[None]], video: AsyncIterator[tuple[int, bytes]], speech: AsyncIterator[Speech]
) -> AsyncIterator[bytes]:
    """Speech into the queue, numbered bytes out of the generator.

    Raises what the queue raises; ProviderFailed when the numbers jump, as they do after a container was replaced in
    the middle: what came before does not belong to what comes now. Left early, it tells the far end to stop.
    """

    async def feed() -> None:
        async for part in speech:
            await put(part)
        await put(None)

    feeding, expected, ended = asyncio.create_task(feed()), 0, False
    following: asyncio.Future[tuple[int, bytes] | None] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(video, None))
            await asyncio.wait({following, *([] if feeding.done() else [feeding])}, return_when=asyncio.FIRST_COMPLETED)
            if _failed(feeding):
                await feeding
            message = await following
            if message is None:
                ended = True
                return
            if message[0] != expected:
                raise ProviderFailed("modal", "The GPU's container was replaced in the middle of the video.")
            expected += 1
            yield message[1]
    finally:
        feeding.cancel()
        if following:
            following.cancel()
        if not ended:
            with suppress(Exception):
                async with asyncio.timeout(2):
                    await put(STOP)


async def far_end(get: Callable[[], Awaitable[Any]]) -> AsyncIterator[Speech]:
    """Speech out of the queue. Raises ConnectionAbortedError when the near end has left."""
    while (message := await get()) is not None:
        if message == STOP:
            raise ConnectionAbortedError("The listener has left.")
        yield message
