"""The GPU: a Modal class that makes faces speak. Called by the talk function when FORGE_ENGINE is musetalk."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path

import modal

from shared.core.containers import WEIGHTS, gpu_image, secrets
from shared.core.errors import ProviderBusy, SettingInvalid
from shared.core.settings import Settings
from shared.core.store import Store
from shared.media.types import FPS
from shared.talk.remote import RenderServer, Speaker, far_end

app = modal.App("personaforge-lipsync")
OFFERED = ("L4", "A10", "L40S", "A100-40GB", "A100-80GB", "H100", "H200", "B200")  # by Modal, with memory enough


def gpus(text: str) -> list[str]:
    """The names in a list with commas. Raises SettingInvalid for one that Modal does not offer."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names or (unknown := [name for name in names if name not in OFFERED]):
        named = ", ".join(unknown) if names else "empty"
        raise SettingInvalid(f"FORGE_GPU is {named}; it may list {', '.join(OFFERED)}.")
    return names


GPUS = gpus(Settings.from_environment().forge_gpu)
SILENCE = 120  # seconds without a word from the talk after which it is taken for gone
SIZES = (512, 1024)  # of videos, see TalkInput
SLOWEST = 160  # frames/s, of an L40S: reckoned from the arithmetic of a frame, not measured
SPEAKERS = SLOWEST // FPS  # on one GPU at once; a container measures its own and takes no more
compiled = modal.Volume.from_name("personaforge-compiled", create_if_missing=True)


@app.cls(
    image=gpu_image,
    gpu=GPUS,
    cpu=8.0,
    memory=16_384,
    secrets=secrets,
    volumes={"/compiled": compiled},
    timeout=900,
    max_containers=10,
    scaledown_window=300,
    enable_memory_snapshot=True,
)
@modal.concurrent(max_inputs=SPEAKERS)
class Lipsync:
    """One GPU. What it keeps between calls only saves time."""

    @modal.enter(snap=True)
    def load(self) -> None:
        """The imports and the weights, in the processor's memory: this is what a snapshot keeps."""
        import torch

        from shared.lipsync.musetalk.model import MuseTalk

        os.environ["TORCHINDUCTOR_CACHE_DIR"] = "/compiled/inductor"  # no compilation where one was done before
        tiny = Settings.from_environment().forge_decoder == "taesd"
        self.model = MuseTalk.load(Path(WEIGHTS), dtype=torch.float16, tiny=tiny)

    @modal.enter(snap=False)
    async def warm(self) -> None:
        """To the GPU; every graph is there before the first talk."""
        from shared.lipsync.musetalk.engine import MuseTalkEngine

        self._open = AsyncExitStack()
        store = await self._open.enter_async_context(Store.open(Settings.from_environment()))
        engine = MuseTalkEngine(self.model.to("cuda"), compiled=True)
        for size in SIZES:
            await asyncio.to_thread(engine.warm, size)
        await asyncio.to_thread(compiled.commit)
        self.speakers = await asyncio.to_thread(engine.speakers, SIZES[0])
        self.speaking = 0
        self.server = RenderServer(engine, store)

    @modal.exit()
    async def close(self) -> None:
        await self._open.aclose()

    @modal.method(is_generator=True)
    async def stream(self, speaker: Speaker, queue: modal.Queue) -> AsyncIterator[tuple[int, bytes]]:
        """The video's bytes as they are made, numbered. queue: gives Speech, then None."""
        number = 0
        with self._counted(), _out_of_service():
            async for data in self.server.render(speaker, far_end(partial(queue.get.aio, timeout=SILENCE))):
                yield number, data
                number += 1

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Raises ProviderBusy when this GPU already draws for as many as it can: the talk goes on by another engine."""
        if self.speaking >= self.speakers:
            raise ProviderBusy("modal", f"This GPU draws for {self.speakers} talks already.")
        self.speaking += 1
        try:
            yield
        finally:
            self.speaking -= 1


@contextmanager
def _out_of_service() -> Iterator[None]:
    """A GPU that has failed once fails from then on: its container takes no more talks."""
    import torch

    try:
        yield
    except torch.AcceleratorError:
        import modal.experimental

        modal.experimental.stop_fetching_inputs()
        raise
