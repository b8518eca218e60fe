"""Heartbeats only save the database work: they are never needed, and never say what is over."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

from shared.core.errors import ProviderFailed
from shared.predictions import heartbeat
from shared.predictions.heartbeat import Heartbeat, Heartbeats

ROW = UUID(int=1)
BEAT = Heartbeat("processing", "2026-11-21T00:00:00Z", "waiting")


class Kept:
    """A store of heartbeats in memory."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        return self._kept.get(key)

    async def put(self, key: str, value: Any) -> None:
        self._kept[key] = value


class Broken:
    """One that fails, or never answers."""

    def __init__(self, pause: float) -> None:
        self._pause = pause

    async def get(self, _: str) -> Any:
        await asyncio.sleep(self._pause)
        raise ProviderFailed("modal", "not there")

    async def put(self, key: str, _: Any) -> None:
        await self.get(key)


def test_heartbeats_that_cannot_be_reached_are_no_error() -> None:
    """Nothing is known then, at once or after a second, and the row is read."""

    async def ask(pause: float) -> Heartbeat | None:
        heartbeats = Heartbeats(Broken(pause))
        await heartbeats.send(ROW, BEAT)
        found = await heartbeats.latest(ROW)
        await heartbeats.end(ROW)
        return found

    assert asyncio.run(ask(0)) is None
    started = time.monotonic()
    assert asyncio.run(ask(3600)) is None
    assert time.monotonic() - started < 3 * heartbeat.PATIENCE + 1


def test_a_heartbeat_that_nobody_renews_counts_no_more() -> None:
    """A container that died sends none any more; nor does a prediction that has ended have one."""

    async def ask() -> None:
        heartbeats = Heartbeats(Kept(), fresh=1.0)
        await heartbeats.send(ROW, BEAT)
        assert await heartbeats.latest(ROW) == BEAT
        assert await heartbeats.latest(UUID(int=2)) is None
        await asyncio.sleep(1.1)
        assert await heartbeats.latest(ROW) is None
        await heartbeats.send(ROW, BEAT)
        assert await heartbeats.latest(ROW)
        await heartbeats.end(ROW)
        assert await heartbeats.latest(ROW) is None
        await heartbeats.send(ROW, BEAT)  # it was on its way when the prediction was settled
        assert await heartbeats.latest(ROW) is None

    asyncio.run(ask())
