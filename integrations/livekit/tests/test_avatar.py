"""The avatar in a real AgentSession, with LiveKit's own sources and synchronizer, in a room that needs no server."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.plugins.personaforge import FaceAvatar
from numbered import Numbered, read, read_sound, syllables

PORTRAIT = Path(__file__).parents[2] / "portrait.png"
RATE, CHUNK = 24_000, 480  # samples of 20 ms


class Publication:
    kind, sid = rtc.TrackKind.KIND_VIDEO, "TR_x"

    async def wait_for_subscription(self) -> None:
        """Somebody is there."""


class Participant:
    identity, kind = "agent", rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

    def __init__(self) -> None:
        self.track_publications: dict[Any, Publication] = {}

    async def publish_track(self, _: Any, options: Any) -> Publication:
        return self.track_publications.setdefault(options.source, Publication())


class Room(rtc.EventEmitter[str]):
    def __init__(self) -> None:
        super().__init__()
        self.local_participant, self.remote_participants, self.name = Participant(), {}, "room"

    def isconnected(self) -> bool:
        return True


class Conversation:
    """pictures and sounds: when each was shown or will begin to sound, and its number."""

    async def __aenter__(self) -> Conversation:
        self.session: AgentSession[Any] = AgentSession()
        self.avatar = FaceAvatar(Numbered(PORTRAIT.read_bytes(), generated=True))
        await self.avatar.start(self.session, Room())  # type: ignore[arg-type]
        await self.session.start(Agent(instructions="x"))
        self.pictures: list[tuple[float, int]] = []
        self.sounds: list[tuple[float, int]] = []
        self.positions: list[float] = []
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.avatar.aclose()
        await self.session.aclose()

    def _listen(self) -> None:
        runner: Any = self.avatar._runner
        show, play = runner._video_source.capture_frame, runner._audio_source.capture_frame

        def shown(frame: rtc.VideoFrame, **more: Any) -> None:
            luma = np.frombuffer(bytes(frame.data), np.uint8)[: 512 * 512].reshape(512, 512)
            self.pictures.append((time.perf_counter(), read(luma)))
            show(frame, **more)

        async def played(frame: rtc.AudioFrame) -> None:
            number = read_sound(bytes(frame.data))
            if number:
                self.sounds.append((time.perf_counter() + runner._audio_source.queued_duration, number))
            await play(frame)

        runner._video_source.capture_frame, runner._audio_source.capture_frame = shown, played
        output: Any = self.session.output.audio
        while output.next_in_chain:
            output = output.next_in_chain
        output.on("playback_finished", lambda event: self.positions.append(event.playback_position))

    def say(self, seconds: float) -> Any:
        async def frames() -> AsyncIterator[rtc.AudioFrame]:
            pcm = syllables(seconds, RATE)
            for place in range(0, len(pcm), 2 * CHUNK):
                part = pcm[place : place + 2 * CHUNK]
                yield rtc.AudioFrame(part, RATE, 1, len(part) // 2)
                if place // CHUNK % 20 == 18:
                    await asyncio.sleep(0.2 / 3)

        return self.session.say("hello", audio=frames())

    def skews(self) -> np.ndarray[Any, Any]:
        """Milliseconds by which each picture was later than its sound."""
        first: dict[int, float] = {}
        for when, number in self.pictures:
            first.setdefault(number, when)
        return np.array([(first[number] - when) * 1000 for when, number in self.sounds if number in first])


async def _talk(seconds: float) -> dict[str, float]:
    async with Conversation() as one:
        memory = []
        await asyncio.sleep(1)
        handle = one.say(seconds)
        waiting = asyncio.ensure_future(handle.wait_for_playout())
        while not waiting.done():
            memory.append(psutil.Process().memory_info().rss / 2**20)
            await asyncio.sleep(0.5)
        numbers = [number for _, number in one.sounds]
        assert numbers == [*range(1, len(numbers) + 1)], "no sound is lost or out of order"
        skews = one.skews()
        tenth = max(1, len(skews) // 10)
        return {
            "position": one.positions[-1], "shown": len(skews) / len(numbers), "skew": float(np.median(skews)),
            "p95": float(np.percentile(np.abs(skews), 95)),
            "drift": float(np.median(skews[-tenth:]) - np.median(skews[tenth : 2 * tenth])),
            "grown": memory[-1] - memory[len(memory) // 3],
        }  # fmt: skip


def test_each_picture_is_shown_with_its_sound() -> None:
    """Within 40 ms, without a drift; `say` returns when all was played, as long as it was; memory stays."""
    found = asyncio.run(_talk(10))
    assert round(found["position"], 3) == 10
    assert found["shown"] > 0.95
    assert abs(found["skew"]) <= 40
    assert abs(found["drift"]) <= 40
    assert found["grown"] < 60


def test_an_interruption_is_silence_and_back_to_listening() -> None:
    """Nothing of it sounds 100 ms later, it listens soon after, and the next answer is whole."""

    async def run() -> None:
        async with Conversation() as one:
            for _ in range(3):
                handle = one.say(6)
                await asyncio.sleep(1.5)
                now = time.perf_counter()
                handle.interrupt(force=True)
                await handle.wait_for_playout()
                await asyncio.sleep(0.8)
                assert max(when for when, _ in one.sounds) + 0.04 < now + 0.1
                idle = min(when for when, number in one.pictures if when > now and number == 0)
                assert idle < now + 0.35
                assert not [number for when, number in one.pictures if when > idle and number]
            handle = one.say(2)
            await handle.wait_for_playout()
            assert abs(one.positions[-1] - 2) <= 0.08

    asyncio.run(run())


def test_while_nobody_talks_there_are_pictures_and_no_sound() -> None:
    """Twenty-five a second."""

    async def run() -> None:
        async with Conversation() as one:
            await asyncio.sleep(2)
            assert one.sounds == []
            assert 40 <= len(one.pictures) <= 60
            assert max(b - a for (a, _), (b, _) in pairwise(one.pictures)) < 0.2
            await one.avatar.aclose()
            shown = len(one.pictures)
            await asyncio.sleep(0.3)
            assert len(one.pictures) <= shown + 1

    asyncio.run(run())


if __name__ == "__main__":
    print(asyncio.run(_talk(float(sys.argv[1]) if len(sys.argv) > 1 else 60)))
