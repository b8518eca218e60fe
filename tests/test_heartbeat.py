"""What is noted of running talks only saves the database work: it is never needed, and never says what is over."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any

import modal

from shared.predictions import heartbeat
from shared.predictions.heartbeat import Heartbeats

TALK = {"id": "a", "status": "processing", "started_at": "2026-11-21T00:00:00+00:00"}


class Broken:
    """Notes that fail, or never answer."""

    def __init__(self, pause: float) -> None:
        self._pause = pause

    async def get(self, _: str) -> Any:
        await asyncio.sleep(self._pause)
        raise modal.exception.ConnectionError("not there")

    async def put(self, key: str, _: Any) -> None:
        await self.get(key)


def test_notes_that_cannot_be_reached_are_no_error() -> None:
    """Nothing is known then, at once or after a second, and the row is read."""

    async def ask(pause: float) -> Any:
        talks = Heartbeats(Broken(pause))
        await talks.say(TALK)
        found = await talks.seen("a")
        await talks.end("a")
        return found

    assert asyncio.run(ask(0)) is None
    started = time.monotonic()
    assert asyncio.run(ask(3600)) is None
    assert time.monotonic() - started < 3 * heartbeat.PATIENCE + 1


def test_a_note_that_nobody_renews_counts_no_more() -> None:
    """A container that died says nothing any more; nor does a talk that has ended."""

    async def ask() -> None:
        talks = Heartbeats(heartbeat._Local(), fresh=1.0)
        await talks.say(TALK)
        assert await talks.seen("a") == {"status": "processing", "started_at": TALK["started_at"]}
        assert await talks.seen("b") is None
        await asyncio.sleep(1.1)
        assert await talks.seen("a") is None
        await talks.say(TALK)
        assert await talks.seen("a")
        await talks.end("a")
        assert await talks.seen("a") is None
        await talks.say(TALK)  # it was on its way when the talk was settled
        assert await talks.seen("a") is None

    asyncio.run(ask())


def test_the_notes_on_modal_are_asked_as_its_library_takes_it() -> None:
    """A Dict's get and put, awaited."""
    inspect.signature(modal.Dict.get.aio).bind(None, "a")
    inspect.signature(modal.Dict.put.aio).bind(None, "a", {})
    inspect.signature(modal.Dict.from_name).bind("personaforge-running", create_if_missing=True)
