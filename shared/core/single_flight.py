"""Many who want the same at once share one request for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """One request at a time for each key; all who ask meanwhile share the next one.

    So nobody gets what was seen before they asked, and many who poll one job cost its provider no more than one does.
    """

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    async def run(self, key: K, request: Callable[[], Awaitable[T]]) -> T:
        """The result of `request()`, or its error. It goes on when the caller leaves."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._in_turn(key, request))
        return await asyncio.shield(task)

    async def _in_turn(self, key: K, request: Callable[[], Awaitable[T]]) -> T:
        if former := self._running.get(key):
            await asyncio.wait([former])
        task = self._running[key] = self._next.pop(key)
        task.add_done_callback(lambda done: self._finished(key, done))
        return await request()

    def _finished(self, key: K, task: asyncio.Task[Any]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # perhaps nobody waits for it any more
