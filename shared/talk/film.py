"""Speech goes in, video bytes come out: one thread renders the mouth while another encodes."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from shared.lipsync.arrays import Pixels
from shared.lipsync.engine import PER_FRAME, Prepared, Speech
from shared.video import LEAD_IN, FragmentedMp4


class _Stopped(Exception):  # not an error: the way out of both threads
    pass


_AHEAD = 24  # frames rendered but not yet encoded, at most


class Film:
    """One video in the making. Call `say` and `end` from anywhere, then await `wait`."""

    def __init__(self, prepared: Prepared, write: Callable[[bytes], object]) -> None:
        """write: receives the file's bytes in order, on the encoding thread."""
        self._prepared, self._write = prepared, write
        self._speech: queue.SimpleQueue[Speech | None] = queue.SimpleQueue()
        self._made: queue.Queue[Speech | Pixels | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self.frames = 0

    def say(self, speech: Speech) -> None:
        """Append speech; it follows what was said before without a gap."""
        self._speech.put(speech)

    def end(self) -> None:
        """Nothing more will be said."""
        self._speech.put(None)

    def stop(self) -> None:
        """Give up: both threads end soon, and the file stays incomplete."""
        self._stopped.set()
        self._speech.put(None)

    async def run(self) -> None:
        """Work until the end was said and everything is written. Cancelling it stops both threads."""
        loop = asyncio.get_running_loop()
        # Threads of its own: while Claude thinks they wait, and must not keep others from working.
        with ThreadPoolExecutor(2, thread_name_prefix="film") as pool:
            threads = [loop.run_in_executor(pool, step) for step in (self._render, self._encode)]
            try:
                await asyncio.gather(*threads)
            finally:
                self.stop()
                await asyncio.wait(threads)

    def _render(self) -> None:
        session = self._prepared.session()
        try:
            speech: Speech | None = Speech(np.zeros(LEAD_IN * PER_FRAME, np.int16))
            while speech is not None:
                self._put(speech)
                for frame in session.render(speech):
                    self._put(frame)
                speech = self._speech.get()
            for frame in session.finish():
                self._put(frame)
            self._put(None)
        except _Stopped:
            pass
        except BaseException:
            self.stop()
            raise

    def _put(self, item: Speech | Pixels | None) -> None:
        while not self._stopped.is_set():
            try:
                return self._made.put(item, timeout=0.2)
            except queue.Full:
                continue
        raise _Stopped

    def _encode(self) -> None:
        video = FragmentedMp4(self._prepared.size, self._write)
        try:
            while (item := self._take()) is not None:
                if isinstance(item, Speech):
                    video.sound(item.samples)
                else:
                    video.picture(item)
                    self.frames = video.frames
        except _Stopped:
            pass
        except BaseException:
            self.stop()
            raise
        finally:
            video.close()

    def _take(self) -> Speech | Pixels | None:
        while not self._stopped.is_set():
            try:
                return self._made.get(timeout=0.2)
            except queue.Empty:
                continue
        raise _Stopped
