"""Which talks are being made right now: known without the database, so that polling one costs it nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from functools import lru_cache
from typing import Any, Protocol

import modal

from shared.core.store import Row

log = logging.getLogger("personaforge.running")
FRESH = 6.0  # seconds that a note counts: a container that died renews none
OVER = 3600.0  # seconds that a talk's end is remembered, longer than any note of it can be on its way
PATIENCE = 1.0  # seconds for the notes to answer; the database knows as well


class HeartbeatStore(Protocol):
    """Where notes are kept, for all containers to see."""

    async def get(self, key: str) -> Any: ...

    async def put(self, key: str, value: Any) -> None: ...


class Heartbeats:
    """A talk says again and again that it is being made; whoever is asked for its status looks here first.

    A note never says how a talk ended. Whoever settles it says first that its notes count no more, those that are on
    their way too, and from then on the row is read. Notes that cannot be reached cost reads of the row; if that
    happens just at the settlement, a status may be FRESH seconds late.
    """

    def __init__(self, notes: HeartbeatStore, fresh: float = FRESH) -> None:
        self._notes, self._fresh = notes, fresh

    async def say(self, row: Row) -> None:
        """This talk is being made."""
        note = {"status": row["status"], "started_at": row["started_at"], "until": time.time() + self._fresh}
        await self._try(self._notes.put(row["id"], note))

    async def seen(self, row_id: str) -> Row | None:
        """What is known of a talk that is being made; None when it is not, or when nobody can say."""
        note, over = await asyncio.gather(*(self._try(self._notes.get(key)) for key in (row_id, _over(row_id))))
        if over or note is None or note["until"] < time.time():
            return None
        return {"status": note["status"], "started_at": note["started_at"]}

    async def end(self, row_id: str) -> None:
        """It is going to be settled: what was or will be said of it counts no more."""
        await self._try(self._notes.put(_over(row_id), {"until": time.time() + OVER}))

    async def _try(self, asked: Any) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):  # not wait_for: Python 3.11's may swallow a cancellation
                return await asked
        except Exception as error:
            log.warning("the notes of running talks: %s", type(error).__name__)
            return None


def _over(row_id: str) -> str:
    return f"{row_id} over"


@lru_cache(1)
def running() -> Heartbeats:
    """On Modal a Dict that all containers share; on a laptop all functions share a process."""
    return Heartbeats(_Local() if modal.is_local() else _OnModal())


class _Local:
    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        return self._kept.get(key)

    async def put(self, key: str, value: Any) -> None:
        now = time.time()
        self._kept = {kept: one for kept, one in self._kept.items() if one["until"] > now} | {key: value}


class _OnModal:
    def __init__(self) -> None:
        self._kept = modal.Dict.from_name("personaforge-running", create_if_missing=True)

    async def get(self, key: str) -> Any:
        return await self._kept.get.aio(key)

    async def put(self, key: str, value: Any) -> None:
        await self._kept.put.aio(key, value)
