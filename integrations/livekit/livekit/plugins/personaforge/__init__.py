"""A LiveKit avatar that is rendered in the agent's own process and shown by the agent's own participant."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.voice.avatar import (
    AudioSegmentEnd,
    AvatarOptions,
    AvatarRunner,
    AvatarSession,
    QueueAudioOutput,
    VideoGenerator,
)

from shared.lipsync.live import LiveFace, Pair
from shared.media.types import Pixels

__all__ = ["FaceAvatar", "FaceVideo"]
_BEHIND = 2  # pictures that LiveKit's AVSynchronizer holds back: sound is held back to match
_LATE = 0.06  # seconds of sound that the room holds when all is well
_SLICE = 0.4  # seconds of speech rendered in one go: an interruption waits for no more


class FaceAvatar(AvatarSession[str]):
    """A face for an AgentSession."""

    provider = "personaforge"

    def __init__(self, portrait: bytes | LiveFace) -> None:
        """portrait: a PNG, JPEG or WebP. Raises PictureUnusable for one that cannot speak."""
        super().__init__()
        self._face = portrait if isinstance(portrait, LiveFace) else LiveFace(portrait)
        self._runner: AvatarRunner | None = None

    @property
    def avatar_identity(self) -> str:
        assert self._room is not None
        return self._room.local_participant.identity

    async def start(self, agent_session: AgentSession[Any], room: rtc.Room) -> None:
        """Before `agent_session.start`."""
        await super().start(agent_session, room)
        size, rate = self._face.size, self._face.sample_rate
        video, speech = FaceVideo(self._face), QueueAudioOutput(sample_rate=rate, wait_playback_start=True)
        options = AvatarOptions(
            video_width=size, video_height=size, video_fps=self._face.fps, audio_sample_rate=rate, audio_channels=1
        )
        self._runner = AvatarRunner(room, audio_recv=speech, video_gen=video, options=options)
        synchronizer = self._runner.av_sync
        video.queued = lambda: -synchronizer.last_audio_time  # frames carry no times here: 0 less what is queued
        await self._runner.start()
        agent_session.output.replace_audio_tail(speech)

    async def aclose(self) -> None:
        """Stop. The base class removes the avatar from its room, and that is our own agent: it is given none."""
        room, self._room = self._room, None
        if room:
            room.off("connection_state_changed", self._on_connection_state_changed)
        await super().aclose()
        runner, self._runner = self._runner, None
        if runner:
            await runner.aclose()


class FaceVideo(VideoGenerator):
    """Pictures and sound in pairs while there is speech, pictures alone while there is none.

    Whoever iterates sets the pace. No sound is given while idle: that would count as playback.
    """

    def __init__(self, face: LiveFace) -> None:
        self._face = face
        self.queued: Callable[[], float] = float  # seconds of sound that wait to be played
        self._queue: asyncio.Queue[rtc.AudioFrame | AudioSegmentEnd] = asyncio.Queue()
        self._utterance = 0  # counts interruptions: what was rendered before one is dropped

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        for part in [frame] if isinstance(frame, AudioSegmentEnd) else _slices(frame, self._face.sample_rate):
            self._queue.put_nowait(part)

    def clear_buffer(self) -> None:
        self._utterance += 1
        self._queue = asyncio.Queue()
        self._face.reset()

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        held: deque[tuple[int, bytes | AudioSegmentEnd | None]] = deque([(0, None)] * _BEHIND)
        async for now, picture, coming in self._moments():
            yield _video(picture)
            held.append((now, coming))
            utterance, sound = held.popleft()
            if sound is None or utterance != self._utterance:
                continue
            if isinstance(sound, bytes):
                if self.queued() > _LATE:  # it ran dry once, and is late since then: so let the pictures be
                    yield _video(picture)
                yield rtc.AudioFrame(sound, self._face.sample_rate, 1, len(sound) // 2)
            else:
                yield sound

    async def _moments(self) -> AsyncIterator[tuple[int, Pixels, bytes | AudioSegmentEnd | None]]:
        """Of every 40 ms: the utterance, the picture and what comes with it."""
        while True:
            utterance = self._utterance
            part = None if self._queue.empty() else self._queue.get_nowait()
            if part is not None:
                for picture, sound in await asyncio.to_thread(self._render, part, utterance):
                    if utterance == self._utterance:
                        yield utterance, picture, sound
            if not isinstance(part, rtc.AudioFrame):
                yield utterance, await asyncio.to_thread(self._face.idle), part

    def _render(self, part: rtc.AudioFrame | AudioSegmentEnd, utterance: int) -> list[Pair]:
        if utterance != self._utterance:  # interrupted while it waited for this thread
            return []
        return self._face.flush() if isinstance(part, AudioSegmentEnd) else self._face.feed(bytes(part.data))


def _slices(frame: rtc.AudioFrame, rate: int) -> list[rtc.AudioFrame]:
    """Short pieces. QueueAudioOutput has resampled them."""
    assert (frame.sample_rate, frame.num_channels) == (rate, 1)
    data, size = bytes(frame.data), int(rate * _SLICE) * 2
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return [rtc.AudioFrame(part, rate, 1, len(part) // 2) for part in parts]


def _video(frame: Pixels) -> rtc.VideoFrame:
    return rtc.VideoFrame(frame.shape[1], frame.shape[0] * 2 // 3, rtc.VideoBufferType.NV12, frame.tobytes())
