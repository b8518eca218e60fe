"""Prepared portraits that a container keeps between talks: losing one costs only time."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from shared.personas.persona import Persona

if TYPE_CHECKING:
    from shared.lipsync.engine import Engine, PreparedPortrait

KEPT = 16  # of about 8 MB with the mouths they have shown; drawing those anew costs half of a short talk


class PortraitCache:
    """The least recently used goes first. Who asks while a portrait is being prepared waits for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._portraits: OrderedDict[str, asyncio.Task[PreparedPortrait]] = OrderedDict()

    async def get(self, persona: Persona, size: int, load: Callable[[], Awaitable[bytes]]) -> PreparedPortrait:
        """The persona's portrait, prepared for videos of this size. load: gives the picture (PNG) where it is needed.

        Raises what `load` and the engine do; a failure is not kept.
        """
        key = json.dumps([persona.required_portrait, persona.face, size, persona.liveliness, persona.gaze])
        task = self._portraits.get(key)
        if task is None:
            task = self._portraits[key] = asyncio.create_task(self._prepare(persona, size, load))
            task.add_done_callback(partial(self._forget_failure, key))
            while len(self._portraits) > KEPT:
                self._portraits.popitem(last=False)
        self._portraits.move_to_end(key)
        return await asyncio.shield(task)

    def _forget_failure(self, key: str, task: asyncio.Task[PreparedPortrait]) -> None:
        failed = task.cancelled() or task.exception() is not None
        if failed and self._portraits.get(key) is task:
            del self._portraits[key]

    async def _prepare(self, persona: Persona, size: int, load: Callable[[], Awaitable[bytes]]) -> PreparedPortrait:
        return await asyncio.to_thread(_prepared, self._engine, await load(), persona, size)


def _prepared(engine: Engine, data: bytes, persona: Persona, size: int) -> PreparedPortrait:
    from shared.lipsync.face import Face
    from shared.lipsync.picture import Picture
    from shared.media.image import decode

    return engine.prepare(Picture(decode(data), Face.load(persona.face)), size, persona.style)
