"""Speech goes in, video bytes come out: rendering and encoding take turns on a few threads that all films share.

Threads of their own for each film would contend for the interpreter, and with a dozen talks the event loop of the
container would answer nobody. Here each stage does a few frames at a time and stands in line again.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from shared.lipsync.engine import Prepared
from shared.media.types import PER_FRAME, Pixels, Speech
from shared.media.video import LEAD_IN, FragmentedMp4

_AHEAD = 24  # frames rendered but not yet encoded, at most
_TURN = 4  # frames in one turn


_WAITING = 32  # threads that only wait for a device


@lru_cache(2)
def _pool(waits: bool) -> ThreadPoolExecutor:
    """Those who wait have threads of their own: they would keep the others from encoding."""
    return ThreadPoolExecutor(_WAITING if waits else max(2, os.cpu_count() or 2), thread_name_prefix="film")


class _Stage:
    """Work that is never done by two threads at once, and only when there is some. `turn` says if there is more."""

    def __init__(self, turn: Callable[[], bool], failed: Callable[[BaseException], None], *, waits: bool) -> None:
        self._turn, self._failed, self._pool = turn, failed, _pool(waits)
        self._lock = threading.Lock()
        self._standing, self._again = False, False

    def poke(self) -> None:
        """There may be work."""
        with self._lock:
            self._again = True
            if self._standing:
                return
            self._standing = True
        self._pool.submit(self._run)

    def _run(self) -> None:
        with self._lock:
            self._again = False
        try:
            more = self._turn()
        except BaseException as error:
            self._failed(error)
            more = False
        with self._lock:
            self._standing = more or self._again
            if not self._standing:
                return
        self._pool.submit(self._run)


class VideoRenderer:
    """One video in the making, on the event loop: call `say` and `end`, and await `run`."""

    def __init__(self, prepared: Prepared, write: Callable[[bytes], object]) -> None:
        """write: receives the file's bytes in order, on one of the threads."""
        self._prepared, self._write = prepared, write
        self._speech: deque[Speech | None] = deque([Speech(np.zeros(LEAD_IN * PER_FRAME, np.int16))])
        self._made: deque[Speech | Pixels | None] = deque()
        self._render = _Stage(self._render_some, self._fail, waits=prepared.waits)
        self._encode = _Stage(self._encode_some, self._fail, waits=False)
        self._session = prepared.session()
        self._frames: Iterator[Pixels] = iter(())
        self._said_all = False
        self._video: FragmentedMp4 | None = None
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self.frames = 0

    def say(self, speech: Speech) -> None:
        """Append speech; it follows what was said before without a gap."""
        self._speech.append(speech)
        self._render.poke()

    def end(self) -> None:
        """Nothing more will be said."""
        self._speech.append(None)
        self._render.poke()

    async def run(self) -> None:
        """Work until the end was said and everything is written. Cancelling it stops the work."""
        self._render.poke()
        try:
            await self._done
        finally:
            self._stopped = True
            self._encode.poke()  # to let go of the encoder

    def _render_some(self) -> bool:
        """Render into the line for the encoder until it is long enough; True while there is more to render now."""
        for _ in range(_TURN):
            if self._stopped or len(self._made) >= _AHEAD:
                return False  # the encoder pokes again when it has caught up
            frame = next(self._frames, None)
            if frame is not None:
                self._made.append(frame)
            elif self._said_all:
                self._made.append(None)
                self._encode.poke()
                return False
            elif not self._speech:
                self._encode.poke()
                return False
            elif (speech := self._speech.popleft()) is None:
                self._frames, self._said_all = self._session.finish(), True
            else:
                self._made.append(speech)
                self._frames = self._session.render(speech)
        self._encode.poke()
        return True

    def _encode_some(self) -> bool:
        if self._stopped:
            self._close()
            return False
        if self._video is None:
            self._video = FragmentedMp4(self._prepared.size, self._write)
        for _ in range(_TURN):
            if not self._made:
                return False
            item = self._made.popleft()
            if item is None:
                self._stopped = True
                self._close()
                self._finish(None)
                return False
            if isinstance(item, Speech):
                self._video.sound(item.samples)
            else:
                self._video.picture(item)
                self.frames = self._video.frames
        if len(self._made) < _AHEAD // 2:
            self._render.poke()
        return bool(self._made)

    def _close(self) -> None:
        video, self._video = self._video, None
        if video:
            video.close()

    def _fail(self, error: BaseException) -> None:
        self._stopped = True
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        def tell() -> None:
            if not self._done.done():
                self._done.set_exception(error) if error else self._done.set_result(None)

        self._loop.call_soon_threadsafe(tell)
