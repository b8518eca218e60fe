"""Ways to put a face to a voice, best first: a GPU, this processor, a hosted model, a still picture that breathes.

Each gives frames for the same video. What is below them (the voice alone, the text alone) needs no face and is the
talk's own matter.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from shared.billing import prices
from shared.billing.budget import Budget
from shared.core.errors import AudioUnusable, ForgeError, ProviderTimeout
from shared.core.store import Store
from shared.lipsync.engine import PreparedPortrait
from shared.media.types import RATE
from shared.personas.persona import Persona
from shared.predictions.receipt import FallbackReason
from shared.providers import catalogue
from shared.providers import job as jobs
from shared.providers.replicate import Replicate
from shared.talk.portrait_cache import PortraitCache
from shared.talk.remote import RemoteVideoRenderer, RenderRemotely, Speaker
from shared.talk.utterance import Utterance
from shared.talk.video_renderer import Renderer, VideoRenderer

PATIENCE = 30.0  # seconds for our own engine to be ready
RESERVE = 10.0  # seconds before the deadline that are kept for the sources below

RendererFactory = Callable[[Callable[[bytes], object]], Renderer]  # takes where the video's bytes go


class VideoSource(ABC):
    """One way. `name` stands in `degraded`, `engine` in the receipt, job_id where a provider made it."""

    name: str
    engine: str
    job_id = ""
    commits = False  # commits its cost itself, when it is known

    @abstractmethod
    async def prepare(self, utterance: Utterance) -> RendererFactory:
        """Make it ready; raises when it cannot be had."""

    def cost(self, seconds: float) -> float:  # noqa: ARG002
        """Dollars for so much video, beyond this container's time."""
        return 0.0

    def spent(self, seconds: float) -> float:
        """Dollars that it has cost when so much of its video was made, whatever becomes of that."""
        return self.cost(seconds)

    def close(self) -> None:  # noqa: B027  # most hold nothing
        """Let go of what was begun."""


class PortraitPicture:
    """The persona's picture, fetched once, for all sources. Raises Conflict for a persona that has none."""

    def __init__(self, store: Store, persona: Persona, size: int) -> None:
        self._store, self.persona, self.size = store, persona, size
        self._path = persona.required_portrait
        self._fetching: asyncio.Task[bytes] | None = None

    async def data(self) -> bytes:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._store.get(self._path))
        return await asyncio.shield(self._fetching)


class RemoteSource(VideoSource):
    """MuseTalk on a GPU in a container of its own."""

    name = engine = "musetalk"

    def __init__(self, render_remotely: RenderRemotely, picture: PortraitPicture) -> None:
        self._render_remotely, self._picture = render_remotely, picture

    async def prepare(self, utterance: Utterance) -> RendererFactory:  # noqa: ARG002
        persona = self._picture.persona
        speaker = Speaker(str(persona.id), persona.required_portrait, persona.face or {}, self._picture.size)
        return partial(RemoteVideoRenderer, self._render_remotely, speaker)

    def cost(self, seconds: float) -> float:
        return prices.gpu(seconds)


class LocalSource(VideoSource):
    """An engine in this container. Begins at once, while the language model still thinks."""

    def __init__(self, name: str, portraits: PortraitCache, picture: PortraitPicture) -> None:
        self.name = self.engine = name
        self._preparing = asyncio.ensure_future(self._prepare(portraits, picture))

    @staticmethod
    async def _prepare(portraits: PortraitCache, picture: PortraitPicture) -> PreparedPortrait:
        async with asyncio.timeout(PATIENCE):
            return await portraits.get(picture.persona, picture.size, picture.data)

    async def prepare(self, utterance: Utterance) -> RendererFactory:  # noqa: ARG002
        return partial(VideoRenderer, await asyncio.shield(self._preparing))

    def close(self) -> None:
        self._preparing.cancel()
        if self._preparing.done() and not self._preparing.cancelled():
            self._preparing.exception()  # it may have failed without anybody having waited for it


class HostedSource(VideoSource):
    """A lip-sync model at Replicate, given the whole voice. Slow, but its frames are as good."""

    name, engine, commits = "hosted", "replicate", True

    def __init__(
        self, store: Store, replicate: Replicate, picture: PortraitPicture, ends: float, budget: Budget
    ) -> None:
        """ends: on the loop's clock, when the talk's deadline is."""
        self._store, self._replicate, self._picture, self._ends = store, replicate, picture, ends
        self._budget, self._model = budget, catalogue.hosted(store.settings, "lipsync")
        self._ordered = 0.0  # seconds of video

    async def prepare(self, utterance: Utterance) -> RendererFactory:
        from shared.lipsync.clip import Clip
        from shared.lipsync.picture import head_png

        samples = await utterance.whole()
        model = self._model
        if model.longest and len(samples) > model.longest * RATE:
            raise AudioUnusable(
                f"The answer takes {len(samples) / RATE:.0f} s; {model.name} takes up to {model.longest} s."
            )
        if asyncio.get_running_loop().time() > self._ends - 2 * RESERVE:
            raise ProviderTimeout(self._replicate.name, "There was no time left to ask.")
        await self._budget.commit(self.cost(len(samples) / RATE), "A hosted model")
        try:
            async with asyncio.timeout_at(self._ends - RESERVE):
                face, size = self._picture.persona.readable_face, self._picture.size
                cropped = await asyncio.to_thread(head_png, await self._picture.data(), face, size)
                inputs = await self._replicate.lipsync_inputs(model, cropped, samples)
                job = await jobs.begin(self._replicate, model.call, inputs, self._store.in_background)
                self.job_id, self._ordered = job.id, len(samples) / RATE
                video = await jobs.wait(self._replicate, job)
        except BaseException as error:
            if self.job_id:  # not waited for: it may be the very provider that does not answer
                self._store.in_background(jobs.cancel(self._replicate, self.job_id))
            if isinstance(error, TimeoutError):
                raise ProviderTimeout(self._replicate.name, "It was not done in time.") from error
            raise
        return partial(VideoRenderer, await asyncio.to_thread(Clip, video, self._picture.size, cropped))

    def cost(self, seconds: float) -> float:
        return self._model.cost(seconds)

    def spent(self, seconds: float) -> float:
        return self.cost(max(self._ordered, seconds)) if self.job_id else 0.0  # all of it, from the order on


class IdleSource(VideoSource):
    """The persona listens, as it does between talks, while its voice is heard."""

    name = engine = "idle"

    def __init__(self, picture: PortraitPicture) -> None:
        self._picture = picture

    async def prepare(self, utterance: Utterance) -> RendererFactory:  # noqa: ARG002
        return partial(VideoRenderer, await asyncio.to_thread(self._idle, await self._picture.data()))

    def _idle(self, data: bytes) -> PreparedPortrait:
        from shared.lipsync.idle import Idle
        from shared.media.image import decode

        persona = self._picture.persona
        return Idle(decode(data), persona.readable_face, self._picture.size, persona.style)


def fallback_reason(source: str, error: BaseException) -> FallbackReason:
    """Why a source could not be had."""
    if isinstance(error, ForgeError):
        return FallbackReason(source=source, code=error.code, detail=error.detail)
    if isinstance(error, TimeoutError):
        detail = f"It was not ready within {PATIENCE:.0f} s."
        return FallbackReason(source=source, code="timeout", detail=detail)
    detail = "It failed unexpectedly; the error has been logged."
    return FallbackReason(source=source, code="error", detail=detail)
