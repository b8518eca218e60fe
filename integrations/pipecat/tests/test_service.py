"""The service in a real pipeline, before an output transport that plays in real time and notes when."""

from __future__ import annotations

import asyncio
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numbered import Numbered, read, read_sound, syllables
from pipecat.frames.frames import EndFrame, Frame, InterruptionFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from pipecat_personaforge import PersonaForgeVideoService

PORTRAIT = Path(__file__).parents[2] / "portrait.png"
RATE, CHUNK = 24_000, 960  # samples of 40 ms


class Player(BaseOutputTransport):
    """Plays sound at its pace. pictures and sounds: when each was shown or began to sound, and its number."""

    def __init__(self, params: TransportParams) -> None:
        super().__init__(params)
        self.pictures: list[tuple[float, int]] = []
        self.sounds: list[tuple[float, int]] = []
        self._until = 0.0

    async def start(self, frame: Any) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: Any) -> bool:
        now = asyncio.get_running_loop().time()
        self._until = max(self._until, now) if now - self._until > 0.1 or not self._until else self._until
        self.sounds.append((self._until, read_sound(frame.audio)))
        self._until += len(frame.audio) / 2 / frame.sample_rate
        await asyncio.sleep(max(0.0, self._until - asyncio.get_running_loop().time()))
        return True

    async def write_video_frame(self, frame: Any) -> None:
        rgb = np.frombuffer(frame.image, np.uint8).reshape(512, 512, 3)
        self.pictures.append((asyncio.get_running_loop().time(), read(rgb[:, :, 1])))


class Bot:
    """A pipeline of the service and the player, spoken to three times as fast as it talks."""

    async def __aenter__(self) -> Bot:
        params = TransportParams(
            audio_out_enabled=True, video_out_enabled=True, video_out_is_live=False, video_out_width=512,
            video_out_height=512, video_out_framerate=30,
        )  # fmt: skip
        self.player = Player(params)
        self.service = PersonaForgeVideoService(Numbered(PORTRAIT.read_bytes(), generated=True))
        self.worker = PipelineWorker(
            Pipeline([self.service, self.player]), params=PipelineParams(), cancel_on_idle_timeout=False
        )
        runner = WorkerRunner()
        await runner.add_workers(self.worker)
        self._run = asyncio.create_task(runner.run())
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.push(EndFrame())
        await asyncio.wait_for(self._run, 60)

    async def push(self, frame: Frame) -> None:
        await self.worker.queue_frame(frame)

    async def say(self, seconds: float) -> None:
        sound = syllables(seconds, RATE)
        await self.push(TTSStartedFrame())
        for place in range(0, len(sound), CHUNK):
            await self.push(TTSAudioRawFrame(sound[place : place + CHUNK], RATE, 1))
            if place // CHUNK % 10 == 9:
                await asyncio.sleep(0.2 / 3)
        await self.push(TTSStoppedFrame())

    async def said(self, count: int) -> None:
        while len(self.player.sounds) < count:
            await asyncio.sleep(0.05)

    def skews(self) -> np.ndarray[Any, Any]:
        """Milliseconds by which each picture was later than its sound."""
        first: dict[int, float] = {}
        for when, number in self.player.pictures:
            first.setdefault(number, when)
        return np.array([(first[number] - when) * 1000 for when, number in self.player.sounds if number in first])


async def _talk(seconds: float) -> dict[str, float]:
    async with Bot() as bot:
        memory = []
        talking = asyncio.create_task(bot.say(seconds))
        while len(bot.player.sounds) < seconds * 25:
            memory.append(psutil.Process().memory_info().rss / 2**20)
            await asyncio.sleep(0.5)
        await talking
        numbers = [number for _, number in bot.player.sounds]
        assert numbers == [*range(1, len(numbers) + 1)], "no sound is lost or out of order"
        skews = bot.skews()
        tenth = max(1, len(skews) // 10)
        return {
            "shown": len(skews) / len(numbers), "skew": float(np.median(skews)),
            "p95": float(np.percentile(np.abs(skews), 95)),
            "drift": float(np.median(skews[-tenth:]) - np.median(skews[:tenth])),
            "grown": memory[-1] - memory[len(memory) // 3],
        }  # fmt: skip


def test_each_picture_is_shown_with_its_sound() -> None:
    """Within 40 ms as a rule, without a drift, and memory stays."""
    found = asyncio.run(_talk(8))
    assert found["shown"] > 0.9
    assert abs(found["skew"]) <= 40
    assert abs(found["drift"]) <= 20
    assert found["grown"] < 100


def test_an_interruption_is_silence_and_back_to_listening() -> None:
    """No sound of it begins 100 ms later, no picture of it is shown once it listens, and the next answer is said."""

    async def run() -> None:
        async with Bot() as bot:
            for _ in range(3):
                talking = asyncio.create_task(bot.say(6))
                await asyncio.sleep(1.5)
                talking.cancel()
                now = asyncio.get_running_loop().time()
                await bot.push(InterruptionFrame())
                await asyncio.sleep(1)
                assert max(when for when, _ in bot.player.sounds) < now + 0.1
                idle = min(when for when, number in bot.player.pictures if when > now and number == 0)
                assert idle < now + 0.25
                assert not [number for when, number in bot.player.pictures if when > idle and number]
            before = len(bot.player.sounds)
            await bot.say(1)
            await asyncio.wait_for(bot.said(before + 25), 10)

    asyncio.run(run())


def test_while_nobody_talks_there_are_pictures_and_no_sound() -> None:
    """At least ten different ones a second."""

    async def run() -> None:
        async with Bot() as bot:
            await asyncio.sleep(2)
            assert bot.player.sounds == []
            assert len(bot.player.pictures) > 20
            assert max(b - a for (a, _), (b, _) in pairwise(bot.player.pictures)) < 0.3

    asyncio.run(run())


def test_a_picture_without_a_face_is_refused() -> None:
    """When the service is made, with what to do."""
    from shared.core.errors import PictureUnusable

    with pytest.raises(PictureUnusable):
        PersonaForgeVideoService(b"no picture")


if __name__ == "__main__":
    print(asyncio.run(_talk(float(sys.argv[1]) if len(sys.argv) > 1 else 60)))
