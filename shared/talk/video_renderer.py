"""Speech goes in, video bytes come out: frames are rendered and encoded in the order in which listeners need them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from shared.lipsync.engine import SETTLE, PreparedPortrait
from shared.media.types import FPS, PER_FRAME, Pixels, Speech
from shared.media.video import LEAD_IN, FragmentedMp4
from shared.talk.scheduler import FrameScheduler, SerialTask

_AHEAD = 24  # frames rendered but not yet encoded, at most: 10 MB at 512 pixels
_TURN = 4  # frames in one turn: a few milliseconds
_HEAD_START = 12  # frames due with the first one: who has begun has half a second in hand
# Seconds before it is due from which a frame is behind, if other talks want the threads too. When answers begin and end
# close together, two cores draw a fifth less than is shown for a second or so: at 0.2, 12 talks stalled up to 250 times
# a minute; at 1.2, in no run, with every tenth frame shown twice.
_MARGIN = 1.2
_PATIENCE = 0.5  # seconds that a first frame may take: who listens already comes before who waits for that long


class Renderer(Protocol):
    """A video in the making, here or elsewhere."""

    @property
    def frames(self) -> int: ...

    @property
    def repeated(self) -> int:
        """Frames that were shown twice, as there was no time to draw the next."""
        ...

    def append(self, speech: Speech) -> None: ...

    def finish(self) -> None: ...

    async def run(self) -> None: ...


class VideoRenderer:
    """One video in the making, on the event loop: call `append` and `finish`, and await `run`."""

    def __init__(self, portrait: PreparedPortrait, write: Callable[[bytes], object]) -> None:
        """write: receives the file's bytes in order, on one of the threads."""
        self._portrait, self._write_bytes = portrait, write
        self._speech: deque[Speech | None] = deque([Speech(np.zeros(LEAD_IN * PER_FRAME, np.int16))])
        self._to_encode: deque[Speech | Pixels | None] = deque()
        render, encode = FrameScheduler.shared(waits=portrait.waits), FrameScheduler.shared(waits=False)
        self._scheduler = render
        self._render = SerialTask(render, self._render_some, lambda: self._due(self._rendered), self._fail)
        self._encode = SerialTask(encode, self._encode_some, lambda: self._due(self.frames), self._fail)
        self._session = portrait.session()
        self._frames: Iterator[Pixels] = iter(())
        self._rendered = 0
        self._all_rendered = False
        self._video: FragmentedMp4 | None = None
        self._stopped = False
        self._first_due = self._playing_since = time.monotonic() + _PATIENCE
        self._played = False
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self.frames = 0

    @property
    def repeated(self) -> int:
        return self._session.repeated

    def append(self, speech: Speech) -> None:
        """Append speech; it follows what came before without a gap."""
        self._speech.append(speech)
        self._render.wake()

    def finish(self) -> None:
        """No more speech will come."""
        self._speech.append(None)
        self._render.wake()

    async def run(self) -> None:
        """Work until `finish` was called and everything is written. Cancelling it stops the work."""
        self._render.wake()
        try:
            await self._done
        finally:
            self._stopped = True
            self._encode.wake()  # to let go of the encoder

    def _due(self, frame: int) -> float:
        """When a listener needs this frame, on the monotonic clock."""
        return self._first_due if frame < _HEAD_START else self._playing_since + frame / FPS

    def _write(self, data: bytes) -> None:
        if not self._played and b"moof" in data:
            self._played, self._playing_since = True, time.monotonic()
        self._write_bytes(data)

    def _render_some(self) -> bool:
        """Render into the line for the encoder until it is long enough; True while there is more to render now."""
        late = self._due(self._rendered) - _MARGIN < time.monotonic()
        self._session.behind = late and self._scheduler.contended
        for _ in range(_TURN):
            if self._stopped or len(self._to_encode) >= _AHEAD:
                return False  # the encoder wakes this again when it has caught up
            frame = next(self._frames, None)
            if frame is not None:
                self._to_encode.append(frame)
                self._rendered += 1
            elif self._all_rendered:
                self._to_encode.append(None)
                self._encode.wake()
                return False
            elif not self._speech:
                self._encode.wake()
                return False
            elif (speech := self._speech.popleft()) is None:
                self._to_encode.append(Speech(np.zeros(SETTLE * PER_FRAME, np.int16)))
                self._frames, self._all_rendered = self._session.finish(SETTLE), True
            else:
                self._to_encode.append(speech)
                self._frames = self._session.render(speech)
        self._encode.wake()
        return True

    def _encode_some(self) -> bool:
        if self._stopped:
            self._close()
            return False
        if self._video is None:
            self._video = FragmentedMp4(self._portrait.size, self._write)
        for _ in range(_TURN):
            if not self._to_encode:
                return False
            item = self._to_encode.popleft()
            if item is None:
                self._stopped = True
                self._close()
                self._resolve(None)
                return False
            if isinstance(item, Speech):
                self._video.add_audio(item.samples)
            else:
                self._video.add_frame(item)
                self.frames = self._video.frames
        if len(self._to_encode) < _AHEAD // 2:
            self._render.wake()
        return bool(self._to_encode)

    def _close(self) -> None:
        video, self._video = self._video, None
        if video:
            video.close()

    def _fail(self, error: BaseException) -> None:
        self._stopped = True
        self._resolve(error)

    def _resolve(self, error: BaseException | None) -> None:
        def resolve() -> None:
            if self._done.done():
                return
            if error:
                self._done.set_exception(error)
            else:
                self._done.set_result(None)

        self._loop.call_soon_threadsafe(resolve)
