"""What a listener has not taken yet is kept in bounded memory."""

from __future__ import annotations

import asyncio
import random
import tracemalloc

import pytest

from shared.talk.backlog import CHUNK, IN_MEMORY, Backlog


def test_whatever_the_pace_the_bytes_are_the_same() -> None:
    """Writer and reader take turns by chance; nothing is lost, doubled or reordered."""
    lot = random.Random(3)  # noqa: S311
    parts = [lot.randbytes(lot.randrange(1, 3 * CHUNK)) for _ in range(200)]

    async def write(backlog: Backlog) -> None:
        for part in parts:
            backlog.put(part)
            if lot.random() < 0.7:
                await asyncio.sleep(0)
        backlog.end()

    async def read() -> bytes:
        backlog, taken = Backlog(), bytearray()
        writing = asyncio.create_task(write(backlog))
        while (data := await backlog.get()) is not None:
            assert 0 < len(data) <= CHUNK
            taken += data
            if lot.random() < 0.5:
                await asyncio.sleep(0)
        await writing
        return bytes(taken)

    assert asyncio.run(read()) == b"".join(parts)


def test_what_is_not_taken_lies_in_a_file() -> None:
    """Twenty megabytes wait, and the process holds little more than one of them."""
    tracemalloc.start()
    backlog = Backlog()
    for _ in range(20 * 16):
        backlog.put(bytes(1 << 16))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * IN_MEMORY
    backlog.close()


@pytest.mark.parametrize("close", ["end", "close"])
def test_after_its_end_nothing_is_taken_in(close: str) -> None:
    """What a renderer still hands over then is dropped."""
    backlog = Backlog()
    getattr(backlog, close)()
    backlog.put(b"late")
    assert asyncio.run(backlog.get()) is None
