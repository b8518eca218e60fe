"""Ways to put a face to a voice, best first: a GPU, this processor, a hosted model, a still picture that breathes.

Each step gives frames for the same film. What is below them (the voice alone, the text alone) needs no face and is
the talk's own matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from shared.billing import prices
from shared.core.errors import ForgeError, ProviderFailed, ProviderTimeout, SoundUnusable
from shared.core.store import Row, Store
from shared.lipsync.engine import Engine, Prepared
from shared.media.audio import LONGEST
from shared.media.types import RATE, Speech
from shared.personas import persona as personas
from shared.providers.replicate import NAME, Job, Replicate
from shared.runners import hosted
from shared.talk.remote import RemoteVideoRenderer, RenderRemotely, Speaker
from shared.talk.utterance import Utterance
from shared.talk.video_renderer import VideoRenderer

PATIENCE = 30.0  # seconds for our own engine to be ready
RESERVE = 10.0  # seconds before the deadline that are kept for the steps below


class Renderer(Protocol):
    """A film in the making, here or elsewhere; see film.py."""

    @property
    def frames(self) -> int: ...

    def say(self, speech: Speech) -> None: ...

    def end(self) -> None: ...

    async def run(self) -> None: ...


RendererFactory = Callable[[Callable[[bytes], object]], Renderer]  # given where its bytes go


class VideoSource(Protocol):
    """One way. `name` stands in `degraded`, `engine` in the receipt."""

    name: str
    engine: str
    job_id: str

    async def prepare(self, utterance: Utterance) -> RendererFactory:
        """Make ready; raises when it cannot be had."""
        ...

    def cost(self, seconds: float) -> float:
        """Dollars for so much video, beyond this container's time."""
        ...

    def close(self) -> None:
        """Let go of what was begun."""
        ...


class Portrait:
    """The persona's picture, fetched once, for all steps."""

    def __init__(self, store: Store, persona: Row, size: int) -> None:
        self._store, self.persona, self.size = store, persona, size
        self._fetching: asyncio.Task[bytes] | None = None

    async def data(self) -> bytes:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._store.get(personas.need_portrait(self.persona)))
        return await asyncio.shield(self._fetching)


class RemoteSource:
    """MuseTalk on a GPU in a container of its own."""

    name = engine = "musetalk"
    job_id = ""

    def __init__(self, speak: RenderRemotely, portrait: Portrait) -> None:
        self._speak, self._portrait = speak, portrait

    async def prepare(self, utterance: Utterance) -> RendererFactory:  # noqa: ARG002
        persona = self._portrait.persona
        speaker = Speaker(personas.need_portrait(persona), persona["face"], self._portrait.size)
        return partial(RemoteVideoRenderer, self._speak, speaker)

    def cost(self, seconds: float) -> float:
        return prices.gpu(seconds)

    def close(self) -> None:
        pass


class LocalSource:
    """An engine in this container. Begins at once, while Claude still thinks."""

    job_id = ""

    def __init__(self, engine: Engine, portrait: Portrait) -> None:
        self.name = self.engine = engine.name
        self._begun = asyncio.ensure_future(self._prepare(engine, portrait))

    @staticmethod
    async def _prepare(engine: Engine, portrait: Portrait) -> Prepared:
        async with asyncio.timeout(PATIENCE):
            data = await portrait.data()
            return await asyncio.to_thread(_prepared, engine, data, portrait)

    async def prepare(self, utterance: Utterance) -> RendererFactory:  # noqa: ARG002
        return partial(VideoRenderer, await asyncio.shield(self._begun))

    def cost(self, seconds: float) -> float:  # noqa: ARG002
        return 0.0

    def close(self) -> None:
        self._begun.cancel()
        if self._begun.done() and not self._begun.cancelled():
            self._begun.exception()  # it may have failed without anybody having waited for it


def _prepared(engine: Engine, data: bytes, portrait: Portrait) -> Prepared:
    from shared.lipsync.face import Face
    from shared.lipsync.picture import Picture
    from shared.media.image import decode

    picture = Picture(decode(data), Face.load(portrait.persona["face"]))
    return engine.prepare(picture, portrait.size, personas.style(portrait.persona))


class HostedSource:
    """A lip-sync model at Replicate, given the whole voice. Slow, but its frames are as good."""

    name, engine = "hosted", "replicate"

    def __init__(self, store: Store, replicate: Replicate, portrait: Portrait, ends: float) -> None:
        """ends: on the loop's clock, when the talk's deadline is."""
        self._store, self._replicate, self._portrait, self._ends = store, replicate, portrait, ends
        self.job_id = ""

    async def prepare(self, utterance: Utterance) -> RendererFactory:
        from shared.lipsync.clip import Clip

        samples = await utterance.whole()
        if len(samples) > LONGEST * RATE:
            raise SoundUnusable(f"The answer takes {len(samples) / RATE:.0f} s; hosted models take up to {LONGEST} s.")
        if asyncio.get_running_loop().time() > self._ends - 2 * RESERVE:
            raise ProviderTimeout(NAME, "There was no time left to ask.")
        try:
            async with asyncio.timeout_at(self._ends - RESERVE):
                data = await self._portrait.data()
                inputs = await hosted.speaking(self._replicate, data, samples)
                job = await hosted.begin(self._store, self._replicate, self._replicate.lipsync_model, inputs)
                self.job_id = job.id
                video = await self._wait(job)
        except BaseException as error:
            if self.job_id:  # not waited for: it may be the very provider that does not answer
                self._store.soon(hosted.cancel(self._replicate, self.job_id))
            if isinstance(error, TimeoutError):
                raise ProviderTimeout(NAME, "It was not done in time.") from error
            raise
        return partial(VideoRenderer, await asyncio.to_thread(Clip, video, self._portrait.size))

    async def _wait(self, job: Job) -> bytes:
        while job.status in ("starting", "processing"):
            await asyncio.sleep(1)
            try:
                job = await self._replicate.look(job.id)
            except ForgeError as error:
                if not error.retryable:
                    raise
        if job.status != "succeeded" or not job.output:
            raise ProviderFailed(NAME, job.error or f"The job {job.status} without an output.")
        return await self._replicate.fetch(job.output)

    def cost(self, seconds: float) -> float:
        return prices.replicate(self._replicate.lipsync_model, seconds)

    def close(self) -> None:
        pass


class StillSource:
    """The picture breathes while the voice is heard."""

    name, engine, job_id = "idle", "still", ""

    def __init__(self, portrait: Portrait) -> None:
        self._portrait = portrait

    async def prepare(self, utterance: Utterance) -> RendererFactory:  # noqa: ARG002
        from shared.lipsync.still import Still
        from shared.media.image import decode

        data = await self._portrait.data()
        return partial(VideoRenderer, await asyncio.to_thread(lambda: Still(decode(data), self._portrait.size)))

    def cost(self, seconds: float) -> float:  # noqa: ARG002
        return 0.0

    def close(self) -> None:
        pass


def reason(error: BaseException) -> tuple[str, str]:
    """Code and words for why a step could not be had."""
    if isinstance(error, ForgeError):
        return error.code, error.detail
    if isinstance(error, TimeoutError):
        return "timeout", f"It was not ready within {PATIENCE:.0f} s."
    return "error", "It failed unexpectedly; the error has been logged."
