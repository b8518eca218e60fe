"""A video made elsewhere: what each end does when the other is gone. The far end here is the real one, at cpu speed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from local.portrait import draw
from shared.core.errors import ProviderFailed
from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.engine import SETTLE
from shared.lipsync.picture import read_picture
from shared.media.types import RATE, Speech
from shared.talk.remote import LONGEST, RemoteVideoRenderer, RenderServer, Speaker, far_end, near_end

SPEAKER = Speaker("persona", "nobody/portrait.png", {}, 512)


class CpuServer(RenderServer):
    """A render server with one prepared portrait, and the engine that needs no weights."""

    def __init__(self) -> None:
        self._prepared = CpuEngine().prepare(read_picture(draw("a woman", 512)), 512)

    async def _portrait(self, speaker: Speaker) -> Any:  # noqa: ARG002
        return self._prepared


@pytest.fixture(scope="module")
def server() -> CpuServer:
    return CpuServer()


def words(seconds: float) -> Speech:
    return Speech((np.random.default_rng(0).normal(size=round(seconds * RATE)) * 3000).astype(np.int16))


class Wire:
    """A queue there, a numbered generator back, both ends real. `first`: the number it begins with."""

    def __init__(self, server: CpuServer, first: int = 0) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.server, self.first = server, first
        self.ended: str | None = None

    async def video(self) -> AsyncIterator[tuple[int, bytes]]:
        number = self.first
        try:
            async for data in self.server.render(SPEAKER, far_end(self.queue.get)):
                yield number, data
                number += 1
            self.ended = "whole"
        except BaseException as error:
            self.ended = type(error).__name__
            raise

    def open(self, _: Speaker, pieces: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
        return near_end(self.queue.put, self.far(), pieces)

    async def far(self) -> AsyncIterator[tuple[int, bytes]]:
        """The far end runs on its own, as in another container: closing this generator does not reach it."""
        out: asyncio.Queue[Any] = asyncio.Queue()

        async def run() -> None:
            try:
                async for message in self.video():
                    out.put_nowait(message)
                out.put_nowait(None)
            except BaseException as error:
                out.put_nowait(error)

        self.task = asyncio.create_task(run())
        while (message := await out.get()) is not None:
            if isinstance(message, BaseException):
                raise message
            yield message


async def until(true: Callable[[], Any]) -> None:
    for _ in range(100):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came")


def test_long_speech_travels_in_pieces_and_comes_back_as_one_film(
    server: CpuServer, decode: Callable[[bytes], Any]
) -> None:
    """More than a message holds: the video is as long as all of it."""

    async def run() -> tuple[bytes, int]:
        made = bytearray()
        renderer = RemoteVideoRenderer(Wire(server).open, SPEAKER, made.extend)
        renderer.append(words(LONGEST / RATE + 1.5))
        renderer.append(words(0.5))
        renderer.finish()
        await renderer.run()
        return bytes(made), renderer.frames

    data, frames = asyncio.run(run())
    assert len(decode(data).frames) == frames == 2 + 7 * 25 + SETTLE


def test_a_listener_who_leaves_stops_the_far_end(server: CpuServer) -> None:
    """The far end is told, and neither a task nor a thread of it goes on."""

    async def run() -> str | None:
        wire = Wire(server)
        renderer = RemoteVideoRenderer(wire.open, SPEAKER, lambda _: None)
        renderer.append(words(1))  # and never an end
        running = asyncio.create_task(renderer.run())
        await asyncio.sleep(0.5)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: wire.ended)
        await wire.task
        left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
        assert not {task for task in left if "speak" in repr(task) or "_feed" in repr(task)}
        return wire.ended

    assert asyncio.run(run()) == "ConnectionAbortedError"


def test_a_sender_that_dies_ends_the_far_end(server: CpuServer) -> None:
    """Nobody waits for words that never come."""

    async def broken() -> AsyncIterator[Speech]:
        yield words(0.4)
        raise TimeoutError("nothing for two minutes")

    async def run() -> None:
        with pytest.raises(TimeoutError, match="two minutes"):
            async for _ in server.render(SPEAKER, broken()):
                pass

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_queue_that_fails_is_seen_at_once(server: CpuServer) -> None:
    """The near end does not wait for bytes of speech that never left."""

    async def refuse(_: Any) -> None:
        raise ConnectionError("no queue")

    async def run() -> None:
        wire = Wire(server)
        renderer = RemoteVideoRenderer(lambda _, pieces: near_end(refuse, wire.far(), pieces), SPEAKER, lambda _: None)
        renderer.append(words(1))
        with pytest.raises(ConnectionError, match="no queue"):
            await renderer.run()
        wire.task.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_container_that_was_replaced_is_not_taken_for_the_same_film(server: CpuServer) -> None:
    """Its numbers do not go on from the last: two halves of different videos are no video."""

    async def run() -> None:
        renderer = RemoteVideoRenderer(Wire(server, first=5).open, SPEAKER, lambda _: None)
        renderer.append(words(0.5))
        renderer.finish()
        with pytest.raises(ProviderFailed, match="replaced"):
            await renderer.run()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_a_far_end_that_does_not_answer_is_given_up() -> None:
    """A cold container: another engine is faster than to wait for it."""

    async def silent(_: Speaker, pieces: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
        async for _piece in pieces:
            await asyncio.sleep(60)
            yield b""

    async def run() -> None:
        renderer = RemoteVideoRenderer(silent, SPEAKER, lambda _: None, patience=0.3)
        renderer.append(words(0.5))
        with pytest.raises(TimeoutError):
            await renderer.run()

    asyncio.run(asyncio.wait_for(run(), 5))
