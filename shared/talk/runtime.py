"""What a container keeps between talks: connections, the engine, and how many talks it can carry at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shared.core.settings import Settings
from shared.talk.portrait_cache import PortraitCache

if TYPE_CHECKING:
    from shared.lipsync.engine import Engine
    from shared.providers.anthropic import LanguageModel
    from shared.providers.elevenlabs import TextToSpeech
    from shared.talk.remote import RenderRemotely

TALKS = 12  # at once in a container of two cores without a stall: bench.load


@dataclass
class TalkRuntime:
    """Parts that stay warm cost only time when they are lost. render_remotely: None where there is no GPU."""

    engine: Engine
    language_model: LanguageModel
    text_to_speech: TextToSpeech
    render_remotely: RenderRemotely | None = None
    portraits: PortraitCache = field(init=False)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(TALKS))
    waiting: int = 0
    _cold: bool = True

    def __post_init__(self) -> None:
        self.portraits = PortraitCache(self.engine)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: Settings, render_remotely: RenderRemotely | None = None
    ) -> AsyncIterator[TalkRuntime]:
        """Import and connect before the first talk. render_remotely: on a GPU that is not Modal's."""
        runtime = await asyncio.to_thread(cls._make, settings, render_remotely)
        try:
            yield runtime
        finally:
            await runtime.language_model.close()
            await runtime.text_to_speech.close()

    @classmethod
    def _make(cls, settings: Settings, render_remotely: RenderRemotely | None) -> TalkRuntime:
        import cv2
        import postgrest  # noqa: F401  # what the store imports with its first request: a third of a second
        import storage3  # noqa: F401

        from shared.lipsync.cpu.engine import CpuEngine
        from shared.providers.anthropic import LanguageModel
        from shared.providers.elevenlabs import TextToSpeech
        from shared.talk.remote import render_on_modal

        # Frames of many talks share the cores already; threads of OpenCV's own on top of that cost most of them.
        cv2.setNumThreads(1)
        if render_remotely is None and settings.forge_engine == "musetalk":
            render_remotely = render_on_modal
        return cls(CpuEngine(), LanguageModel(settings), TextToSpeech(settings), render_remotely)

    def first_talk(self) -> bool:
        """Whether this is the container's first talk."""
        cold, self._cold = self._cold, False
        return cold
