"""personaforge/idle: seamless loops of the persona listening and thinking, shown while it does not speak."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING
from uuid import uuid4

from shared.billing import prices
from shared.core.auth import User
from shared.core.store import Store
from shared.models.model import InputWithPersona, Model
from shared.personas import persona as personas
from shared.personas.persona import Persona
from shared.predictions.outcome import IdleChange, Outcome
from shared.predictions.output import Outputs
from shared.predictions.prediction import Prediction
from shared.predictions.receipt import Receipt
from shared.predictions.work import Work
from shared.runners.services import Services
from shared.runners.spawned import Spawned

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shared.lipsync.idle import Mood
    from shared.media.types import Pixels

SIZE = 512  # pixels, as most talks
KEPT = 16  # looks whose loops a container keeps, about 1 MB each: one that is changed back is not drawn again
_drawn: OrderedDict[str, dict[Mood, bytes]] = OrderedDict()


class IdleInput(InputWithPersona):
    """Loops of the persona listening and thinking. Made without being asked for when a persona gets another look."""


class IdleWork(Work):
    """The loops of the persona as it looks when `run` begins."""

    def __init__(self, store: Store, outputs: Outputs, prediction: Prediction) -> None:
        self._store, self._outputs, self._prediction = store, outputs, prediction
        self._loops: dict[Mood, bytes] = {}
        self._stopped = threading.Event()

    async def run(self, ends: float) -> None:  # noqa: ARG002
        self._persona = await personas.find_of(
            self._store, IdleInput.model_validate(self._prediction.input).persona, self._prediction.owner
        )
        data = await self._store.get(self._persona.required_portrait)
        began = asyncio.get_running_loop().time()
        look = f"{self._persona.face} {self._persona.style}".encode()
        key = hashlib.sha256(data + look).hexdigest()
        if found := _drawn.get(key):
            self._loops = found
        else:
            try:
                await asyncio.to_thread(self._draw, data, self._persona)
            finally:
                self._stopped.set()
            _drawn[key] = self._loops
            if len(_drawn) > KEPT:
                _drawn.popitem(last=False)
        self._took = asyncio.get_running_loop().time() - began

    def _draw(self, data: bytes, persona: Persona) -> None:
        from shared.lipsync.idle import FRAMES, Idle
        from shared.media import video
        from shared.media.image import decode

        bgr, face = decode(data), persona.readable_face
        for mood in FRAMES:
            idle = Idle(bgr, face, SIZE, persona.style, mood)
            self._loops[mood] = video.loop(self._until_stopped(idle.loop()), SIZE, idle.frames)

    def _until_stopped(self, frames: Iterator[Pixels]) -> Iterator[Pixels]:
        for frame in frames:
            if self._stopped.is_set():
                raise InterruptedError
            yield frame

    async def keep(self) -> Outcome:
        """Upload the loops and the poster."""
        from shared.media import colour, image, video

        poster = video.first_frame(self._loops["listening"])
        receipt = Receipt(
            engine="cpu",
            compute_ms=round(self._took * 1000),
            total_ms=round(self._took * 1000),
            duration_s=video.duration(self._loops["listening"]),
            bytes=sum(map(len, self._loops.values())),
            cost_usd=round(prices.compute(self._took), 6),
            models=["cpu"],
            consent_at=self._persona.consent_at,
        )
        made = (
            (self._loops["listening"], "video/mp4"),
            (self._loops["thinking"], "video/mp4"),
            (image.jpeg(poster), "image/jpeg"),
        )
        kept = [await self._outputs.signed(self._prediction, data, kind, receipt) for data, kind in made]
        owner, path = self._prediction.owner, f"{self._prediction.owner}/{uuid4().hex}"
        files = (f"{path}.idle.mp4", f"{path}.thinking.mp4", f"{path}.poster.jpg")
        uploads = await asyncio.gather(
            *(
                self._store.put(file, data, kind, owner=owner)
                for file, (data, _), (_, kind) in zip(files, kept, made, strict=True)
            ),
            return_exceptions=True,
        )
        if errors := [error for error in uploads if error]:
            await self._store.remove(*files)
            raise errors[0]
        change = IdleChange(*files, hue=colour.edge_hue(poster), look_since=self._persona.look_since.isoformat())
        receipt = receipt.model_copy(update={"provenance": kept[0][1], "bytes": sum(len(data) for data, _ in kept)})
        return Outcome("succeeded", output=files[0], receipt=receipt, files=files, idle=change)


async def make_work(services: Services, prediction: Prediction, user: User | None) -> Work:  # noqa: ARG001
    return IdleWork(services.store, services.outputs, prediction)


MODEL = Model(
    name="idle", code=3, input=IdleInput, runner=Spawned(make_work), reserve=1, output="video",
    needs=("persona", "portrait"),
)  # fmt: skip
