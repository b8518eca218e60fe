"""Which predictions our own containers work on right now, known without asking the database."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from typing import Any, Protocol
from uuid import UUID

from shared.core.errors import ForgeError

log = logging.getLogger("personaforge.heartbeat")
INTERVAL = 2.0  # seconds between two heartbeats
FRESH = 3 * INTERVAL  # seconds that one counts: a container that died sends none
SETTLED = 3600.0  # seconds that an end is remembered: longer than any heartbeat can be on its way
PATIENCE = 1.0  # seconds for the store of heartbeats to answer; the database knows as well


class HeartbeatStore(Protocol):
    """Where heartbeats are kept, for all containers to see. Raises ForgeError when it cannot be reached."""

    async def get(self, key: str) -> Any: ...

    async def put(self, key: str, value: Any) -> None: ...


@dataclass(frozen=True)
class Heartbeat:
    """What a container says of the prediction it works on. started_at: ISO 8601."""

    status: str
    started_at: str | None
    logs: str = ""


class Heartbeats:
    """Sent again and again by whoever works on a prediction; whoever is asked for its status looks here first.

    A heartbeat never says how a prediction ended. Whoever settles it says first that its heartbeats count no more, also
    those that are on their way, and from then on the row is read. A store of heartbeats that cannot be reached costs
    reads of the row; if that happens just at the settlement, a status may be FRESH seconds late.
    """

    def __init__(self, store: HeartbeatStore, fresh: float = FRESH) -> None:
        self._store, self._fresh = store, fresh

    async def send(self, prediction: UUID, heartbeat: Heartbeat) -> None:
        """This prediction is being worked on."""
        await self._attempt(self._store.put(str(prediction), {**asdict(heartbeat), "until": time.time() + self._fresh}))

    async def latest(self, prediction: UUID) -> Heartbeat | None:
        """None when nobody works on it, or when that cannot be known."""
        key = str(prediction)
        beat, ended = await asyncio.gather(*(self._attempt(self._store.get(one)) for one in (key, _ended(key))))
        if ended or beat is None or beat["until"] < time.time():
            return None
        return Heartbeat(beat["status"], beat["started_at"], beat["logs"])

    async def end(self, prediction: UUID) -> None:
        """It is going to be settled: its heartbeats, also later ones, count no more."""
        await self._attempt(self._store.put(_ended(str(prediction)), {"until": time.time() + SETTLED}))

    async def _attempt(self, request: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):  # not wait_for: Python 3.11's may swallow a cancellation
                return await request
        except (ForgeError, TimeoutError) as error:
            log.warning("heartbeats cannot be reached: %s", getattr(error, "detail", "no answer"))
            return None


def _ended(key: str) -> str:
    return f"{key} ended"
