"""Work on files of strangers stays within its memory and its time."""

from __future__ import annotations

import asyncio
import os
import sys
import time

import numpy as np
import pytest

from shared.core import bounded
from shared.core.bounded import BoundedProcesses
from shared.core.errors import AudioUnusable, TooManyRequests


def grow(mebibytes: int) -> int:
    return int(np.ones(mebibytes << 20, np.uint8)[-1])


def refuse() -> None:
    raise AudioUnusable("Not this one.")


def die() -> None:
    os._exit(9)


def test_what_takes_too_much_ends_and_the_next_call_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that never returns, one that wants two gigabytes, one whose process dies: each ends with its own error."""
    monkeypatch.setattr(bounded, "SECONDS", 1.0)

    async def run() -> None:
        processes = BoundedProcesses("numpy")
        try:
            assert await processes.run(grow, 1) == 1
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await processes.run(time.sleep, 60)
            assert time.monotonic() - began < 5
            if sys.platform == "linux":
                with pytest.raises(MemoryError):
                    await processes.run(grow, 2000)
            with pytest.raises(MemoryError):
                await processes.run(die)
            with pytest.raises(AudioUnusable, match="Not this one"):
                await processes.run(refuse)
            assert await processes.run(grow, 1) == 1
        finally:
            processes.close()

    asyncio.run(run())


def test_more_calls_than_may_wait_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at work, one waiting, the fourth is told to come back."""
    monkeypatch.setattr(bounded, "WAITING", 1)

    async def run() -> None:
        processes = BoundedProcesses()
        try:
            calls = [asyncio.create_task(processes.run(time.sleep, 0.5)) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(TooManyRequests):
                await processes.run(time.sleep, 0)
            await asyncio.gather(*calls)
        finally:
            processes.close()

    asyncio.run(run())
