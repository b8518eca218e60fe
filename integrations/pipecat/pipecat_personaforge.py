"""A Pipecat service that gives a bot a face. Its place is between the TTS and `transport.output()`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InterruptionFrame,
    OutputImageRawFrame,
    OutputTransportReadyFrame,
    SystemFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.ai_service import AIService
from pipecat.services.settings import ServiceSettings
from pipecat.utils.frame_queue import FrameQueue

from shared.lipsync.live import LiveFace, Pair
from shared.media.nv12 import TO_YUV
from shared.media.types import Pixels

_SLICE = 0.4  # seconds of speech rendered in one go: an interruption waits for no more
# OpenCV's own conversion takes every NV12 for BT.601; ours is BT.709.
_TO_RGB = np.linalg.inv(np.vstack([TO_YUV, [0, 0, 0, 1]]))[[2, 1, 0]].astype(np.float32)


class PersonaForgeVideoService(AIService):
    """Turns the bot's speech into pictures with that same speech; shows somebody who listens in between."""

    def __init__(self, portrait: bytes | LiveFace, lead: float = 0.4) -> None:
        """portrait: a PNG, JPEG or WebP. lead: seconds of pictures that the transport may hold, 20 MB each as RGB.

        Raises PictureUnusable for a picture that cannot speak.
        """
        super().__init__(settings=ServiceSettings(model=None))
        self._face = portrait if isinstance(portrait, LiveFace) else LiveFace(portrait)
        self._lead, self._period = lead, 1 / self._face.fps
        self._resampler = create_stream_resampler()
        self._queue = FrameQueue(frame_getter=lambda frame: frame)  # what follows the speech, in its order
        self._task: asyncio.Task[None] | None = None
        self._ready = False
        self._until = 0.0  # on the loop's clock: when the transport has played what it was given
        self._context: str | None = None

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            await self._halt()
            self._queue.reset()
            self._face.reset()
            self._until, self._context = 0.0, None
            await self.push_frame(frame, direction)
            self._work()
        elif isinstance(frame, OutputTransportReadyFrame):
            self._ready = True
            self._work()
            await self.push_frame(frame, direction)
        elif isinstance(frame, CancelFrame):
            await self._halt()
            await self.push_frame(frame, direction)
        elif direction is FrameDirection.DOWNSTREAM and not isinstance(frame, SystemFrame) and self._task:
            # Everything keeps its place behind the speech before it: words that are not spoken never enter the context.
            if isinstance(frame, TTSAudioRawFrame) and self._context is None:
                self._context = frame.context_id or ""
                await self.start_ttfb_metrics()
            self._queue.put_nowait(frame)
            if isinstance(frame, EndFrame):
                await self._queue.join()
                await self._halt()
        else:
            await self.push_frame(frame, direction)

    async def cleanup(self) -> None:
        await self._halt()
        await super().cleanup()

    def _work(self) -> None:
        if self._ready and self._task is None:
            self._task = self.create_task(self._show())

    async def _halt(self) -> None:
        task, self._task = self._task, None
        if task:
            await self.cancel_task(task)

    async def _show(self) -> None:
        """Push what is in the queue as it becomes due, idle pictures while there is nothing to say."""
        while True:
            try:
                frame = await asyncio.wait_for(self._queue.get(), self._period)
            except TimeoutError:
                await self._idle()
                continue
            try:
                await self._pass_on(frame)
            finally:
                self._queue.task_done()

    async def _pass_on(self, frame: Frame) -> None:
        if isinstance(frame, TTSAudioRawFrame):
            await self._speak(frame)
            return
        if isinstance(
            frame, (TTSStoppedFrame, EndFrame)
        ):  # after the last picture: the bot counts as speaking till then
            await self._say(self._face.flush, frame)
            self._context = None
        await self.push_frame(frame)

    async def _speak(self, frame: TTSAudioRawFrame) -> None:
        rate = self._face.sample_rate
        pcm, size = frame.audio, int(rate * _SLICE) * 2
        if frame.num_channels > 1:
            pcm = np.frombuffer(pcm, np.int16).reshape(-1, frame.num_channels).mean(axis=1).astype(np.int16).tobytes()
        pcm = await self._resampler.resample(pcm, frame.sample_rate, rate)
        for at in range(0, len(pcm), size):
            await self._say(partial(self._face.feed, pcm[at : at + size]), frame)

    async def _say(self, render: Callable[[], list[Pair]], cause: Frame) -> None:
        """Render, and push every picture with its sound, at most `lead` before it is due."""
        pairs = await asyncio.to_thread(lambda: [(_rgb(picture), sound) for picture, sound in render()])
        context = getattr(cause, "context_id", None)
        for rgb, sound in pairs:
            now = self.get_event_loop().time()
            await asyncio.sleep(self._until - now - self._lead)
            self._until = max(self._until, now) + self._period
            await self._picture(rgb)
            await self.push_frame(TTSAudioRawFrame(sound, self._face.sample_rate, 1, context_id=context))
            await self.stop_ttfb_metrics()

    async def _idle(self) -> None:
        if self.get_event_loop().time() > self._until:
            await self._picture(await asyncio.to_thread(lambda: _rgb(self._face.idle())))

    async def _picture(self, rgb: bytes) -> None:
        frame = OutputImageRawFrame(rgb, (self._face.size, self._face.size), "RGB")
        frame.sync_with_audio = True  # while idle as well: never before speech that is still to be played
        await self.push_frame(frame)


def _rgb(frame: Pixels) -> bytes:
    """NV12 of BT.709 as RGB."""
    size = frame.shape[1]
    chroma = cv2.resize(frame[size:].reshape(size // 2, size // 2, 2), (size, size))
    return bytes(cv2.transform(cv2.merge([frame[:size], chroma]), _TO_RGB).tobytes())
