"""Threads that always do next what a listener needs first: earliest playback deadline first.

Threads of their own for each video would contend for the interpreter, and taking turns would let all stall together.
Here each video does a few frames at a time and then stands in line again, by the time at which its next frame is due.
"""

from __future__ import annotations

import heapq
import itertools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_WAITING = 32  # threads that only wait for a device
# A thread that comes back from encoding waits this long (s) for the interpreter while the event loop is busy; at
# Python's 5 ms, a container that answers many requests renders nothing.
_SWITCH_INTERVAL = 0.0005
_NICENESS = 10


class FrameScheduler:
    """A line of turns, ordered by deadline, and the threads that take them."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="frames", initializer=_yield_to_others)
        self._lock = threading.Lock()
        self._line: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        sys.setswitchinterval(_SWITCH_INTERVAL)

    @classmethod
    @cache
    def shared(cls, *, waits: bool) -> FrameScheduler:
        """The one of this process. waits: for turns that wait for a device; they would keep the others from a core."""
        return cls(_WAITING if waits else max(2, os.cpu_count() or 2))

    def submit(self, deadline: float, turn: Callable[[], None]) -> None:
        """Have a thread take this turn. deadline: on the monotonic clock, in seconds."""
        with self._lock:
            heapq.heappush(self._line, (deadline, next(self._order), turn))
        self._pool.submit(self._take_first)

    @property
    def contended(self) -> bool:
        """Whether turns wait for a thread."""
        return bool(self._line)

    def _take_first(self) -> None:
        with self._lock:
            _, _, turn = heapq.heappop(self._line)
        turn()


def _yield_to_others() -> None:
    """Whoever answers requests comes before whoever renders ahead. Linux alone has priorities of threads."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


class SerialTask:
    """Work that is never done by two threads at once, and stands in line only when there is some."""

    def __init__(
        self,
        scheduler: FrameScheduler,
        turn: Callable[[], bool],
        deadline: Callable[[], float],
        failed: Callable[[BaseException], None],
    ) -> None:
        """turn: does a little, and returns whether there is more. deadline: when the next of it is due."""
        self._scheduler, self._turn, self._deadline, self._failed = scheduler, turn, deadline, failed
        self._lock = threading.Lock()
        self._in_line, self._again = False, False

    def wake(self) -> None:
        """There may be work."""
        with self._lock:
            self._again = True
            if self._in_line:
                return
            self._in_line = True
        self._scheduler.submit(self._deadline(), self._run)

    def _run(self) -> None:
        with self._lock:
            self._again = False
        try:
            more = self._turn()
        except BaseException as error:
            self._failed(error)
            more = False
        with self._lock:
            self._in_line = more or self._again
            if not self._in_line:
                return
        self._scheduler.submit(self._deadline(), self._run)
