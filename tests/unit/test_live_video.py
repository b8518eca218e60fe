"""A listener who takes nothing is let go of."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from shared.predictions.work import HUNG_UP, Ending
from shared.runners import live_video
from shared.runners.live_video import LiveVideo
from shared.talk.backlog import Backlog


class _Listener:
    """A connection that takes some messages and then no more."""

    def __init__(self, takes: int) -> None:
        self.takes, self.taken = takes, 0

    async def send(self, _: Any) -> None:
        if self.taken == self.takes:
            await asyncio.Event().wait()
        self.taken += 1


async def _ended_with(listener: _Listener, seconds: float | None) -> list[Ending]:
    """What a talk is told when this listener has it. seconds: its length once it is made, None while it is not."""
    told: list[Ending] = []
    backlog = Backlog()
    work = SimpleNamespace(backlog=backlog, whole=True, seconds=seconds or 0.0)
    ended = asyncio.Event()

    def stop(ending: Ending) -> None:
        told.append(ending)
        ended.set()

    task: asyncio.Task[Any] = asyncio.create_task(ended.wait())
    if seconds is not None:
        ended.set()
    for _ in range(100):
        backlog.put(bytes(1 << 16))
    watching: asyncio.Task[Any] = asyncio.create_task(asyncio.Event().wait())
    execution: Any = SimpleNamespace(work=work, stop=stop)
    response = LiveVideo(execution, task, b"first", watching)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(response({}, _never, listener.send), 5)
    assert watching.cancelled()
    assert await backlog.get() is None  # what was left for it is gone
    return told


async def _never() -> Any:
    await asyncio.Event().wait()


@pytest.mark.parametrize("takes", [0, 1, 20])
def test_who_takes_nothing_is_let_go_and_its_talk_ends(takes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first byte, after the head, or in the middle."""
    monkeypatch.setattr(live_video, "PATIENCE", 0.2)
    listener = _Listener(takes)
    assert asyncio.run(_ended_with(listener, None)) == [HUNG_UP]
    assert listener.taken == takes


def test_who_takes_too_long_for_a_finished_talk_is_let_go_and_the_talk_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made is kept: nothing is ended then."""
    monkeypatch.setattr(live_video, "PATIENCE", 0.2)
    assert asyncio.run(_ended_with(_Listener(5), 0.1)) == []
