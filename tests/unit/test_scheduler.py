"""Frames are rendered in the order in which listeners need them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from shared.lipsync.engine import SETTLE
from shared.media.types import FPS, PER_FRAME, Pixels, Speech
from shared.media.video import LEAD_IN
from shared.talk.scheduler import FrameScheduler, SerialTask
from shared.talk.video_renderer import VideoRenderer


def test_turns_are_taken_by_deadline_and_not_in_the_order_in_which_they_came() -> None:
    """What is due first is done first; of two that are due at once, the one that came first."""
    scheduler, held, order = FrameScheduler(1), threading.Event(), list[str]()

    def hold() -> None:
        held.wait()

    scheduler.submit(0, hold)
    done = threading.Event()
    for deadline, name in ((30, "late"), (10, "soon"), (20, "between"), (10, "soon too")):
        scheduler.submit(deadline, lambda name=name: order.append(name))  # type: ignore[misc]
    scheduler.submit(99, done.set)
    held.set()
    assert done.wait(5)
    assert order == ["soon", "soon too", "between", "late"]


def test_a_task_is_never_in_line_twice_and_misses_no_work() -> None:
    """A hundred threads wake it: it runs one turn at a time until nothing is left."""
    scheduler, work, at_once, most = FrameScheduler(4), list(range(500)), 0, 0
    empty = threading.Event()

    def turn() -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if work:
            work.pop()
        time.sleep(0)
        at_once -= 1
        if not work:
            empty.set()
        return bool(work)

    task = SerialTask(scheduler, turn, lambda: 0.0, lambda error: pytest.fail(str(error)))
    threads = [threading.Thread(target=task.wake) for _ in range(100)]
    for thread in threads:
        thread.start()
    assert empty.wait(10)
    assert (work, most) == ([], 1)


def test_an_error_in_a_turn_is_handed_on() -> None:
    """Nothing is swallowed by a thread."""
    errors: list[BaseException] = []
    failed = threading.Event()

    def turn() -> bool:
        raise RuntimeError("no picture")

    def noted(error: BaseException) -> None:
        errors.append(error)
        failed.set()

    task = SerialTask(FrameScheduler(1), turn, lambda: 0.0, noted)
    task.wake()
    assert failed.wait(5)
    assert [str(error) for error in errors] == ["no picture"]


class Slow:
    """A portrait each of whose frames takes a while; notes which talk was drawn when."""

    waits, size = False, 64
    behind, repeated = False, 0

    def __init__(self, name: str, drawn: list[str], cost: float = 0.002) -> None:
        """cost: seconds that a frame takes."""
        self._name, self._drawn, self._cost = name, drawn, cost

    def session(self) -> Slow:
        return self

    def render(self, speech: Speech) -> Iterator[Pixels]:
        for _ in range(len(speech.samples) // PER_FRAME):
            if self.behind:
                self.repeated += 1
            else:
                time.sleep(self._cost)
            self._drawn.append(self._name)
            yield np.full((96, 64), 128, np.uint8)

    def finish(self, settle: int = 0) -> Iterator[Pixels]:
        yield from self.render(Speech(np.zeros(settle * PER_FRAME, np.int16)))


def test_who_begins_is_not_kept_waiting_by_who_is_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and a talk of a minute under way: another gets its first frames before the minute is rendered on."""
    one = FrameScheduler(1)
    monkeypatch.setattr(FrameScheduler, "shared", lambda **_: one)
    drawn: list[str] = []

    async def run() -> None:
        long = VideoRenderer(Slow("long", drawn), lambda _: None)
        long.append(Speech(np.zeros(60 * FPS * PER_FRAME // 4, np.int16)))
        long.finish()
        running = asyncio.create_task(long.run())
        await asyncio.sleep(0.5)
        begun = len(drawn)
        short = VideoRenderer(Slow("short", drawn), lambda _: None)
        short.append(Speech(np.zeros(20 * PER_FRAME, np.int16)))
        short.finish()
        await short.run()
        between = drawn[begun:].count("long")
        # In turns it would be as many of the one as of the other: 22. What was in line already is done first.
        assert between <= 8, between
        await running

    asyncio.run(run())


@pytest.mark.parametrize(("talks", "repeats"), [(1, False), (3, True)])
def test_frames_are_shown_twice_only_where_talks_keep_each_other_late(
    monkeypatch: pytest.MonkeyPatch, talks: int, repeats: bool
) -> None:
    """A talk alone whose frames take longer than they last repeats none, as nobody else wants the thread; three do."""
    one = FrameScheduler(1)
    monkeypatch.setattr(FrameScheduler, "shared", lambda **_: one)

    async def run() -> list[VideoRenderer]:
        renderers = [VideoRenderer(Slow(str(number), [], cost=0.05), lambda _: None) for number in range(talks)]
        for renderer in renderers:
            renderer.append(Speech(np.zeros(FPS * PER_FRAME, np.int16)))
            renderer.finish()
        await asyncio.gather(*(renderer.run() for renderer in renderers))
        return renderers

    renderers = asyncio.run(run())
    assert [renderer.frames for renderer in renderers] == [25 + LEAD_IN + SETTLE] * talks
    assert any(renderer.repeated for renderer in renderers) == repeats
