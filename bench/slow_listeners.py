"""Many who take their video slowly, while others talk: what they cost the others, and each process in memory.

    uv run python -m bench.slow_listeners [--json] [--seconds 40] [--talkers 50] [--listeners 200]

First talkers and status calls alone; then the same again beside listeners, each of whom opened a stream and takes a
kilobyte of it a second.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bench.load import Person, Seen, keep_talking, make_person, p95, poll_at, stuck_job
from bench.machine import parser, report
from local.portrait import draw
from local.stack import Stack

RATE = 25  # status calls a second, as in bench.load
TAKEN = 1024  # bytes a second
AT_ONCE = 8  # of one person's: the limit of an account
SAY = "I take my time, and I listen to every single word of what you have to tell me about the sea and its salt. " * 3


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--seconds", type=int, default=40)
    arguments.add_argument("--talkers", type=int, default=50)
    arguments.add_argument("--listeners", type=int, default=200)
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), postgres=True) as stack:
        figures, details = asyncio.run(_measure(stack, args.seconds, args.talkers, args.listeners))
    report(args, figures, details)


async def _measure(stack: Stack, seconds: int, talkers: int, listeners: int) -> tuple[dict[str, Any], list[str]]:
    png = draw("a friendly woman with auburn hair")
    people = [make_person(stack, png) for _ in range(talkers)]
    owners = [make_person(stack, png) for _ in range(-(-listeners // AT_ONCE))]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(600)) as http:
        running = await stuck_job(http, stack, people[0])
        alone = await _load(http, stack, people, running, seconds)
        opened = []
        for place in range(listeners):
            opened.append(asyncio.create_task(_listen_slowly(http, stack, owners[place // AT_ONCE])))
            if place % AT_ONCE == AT_ONCE - 1:
                await _settled(http, stack, owners[place // AT_ONCE])
        async with _watch_memory(stack) as memory:
            beside = await _load(http, stack, people, running, seconds)
        left = sum(1 for task in opened if task.done())
        for task in opened:
            task.cancel()
        await asyncio.gather(*opened, return_exceptions=True)
    largest = max(memory, key=lambda name: memory[name])
    figures = {
        "talkers": talkers,
        "listeners": listeners,
        "listeners_gone": left,
        "errors": len(alone.errors) + len(beside.errors),
        "largest_process_mb": round(memory[largest] / 1e6),
        "p95_alone_ms": round(p95(alone.status_ms), 1),
        "p95_beside_ms": round(p95(beside.status_ms), 1),
        "p95_beside_over_alone": round(p95(beside.status_ms) / p95(alone.status_ms), 2),
    }
    details = [
        f"memory at most: {', '.join(f'{name} {used / 1e6:.0f} MB' for name, used in sorted(memory.items()))}",
        f"talks: {len(alone.talks)} alone, {len(beside.talks)} beside {listeners} slow listeners",
        *(f"error: {error}" for error in sorted({*alone.errors, *beside.errors})[:10]),
    ]
    return figures, details


async def _load(http: aiohttp.ClientSession, stack: Stack, people: list[Person], running: str, seconds: int) -> Seen:
    seen, stop = Seen(), time.monotonic() + seconds
    talking = [asyncio.create_task(keep_talking(http, stack.url, one, stop, seen)) for one in people]
    await poll_at(http, running, people[0], RATE, stop, seen)
    await asyncio.gather(*talking)
    return seen


async def _listen_slowly(http: aiohttp.ClientSession, stack: Stack, owner: Person) -> None:
    """Open a stream on a connection with the smallest of buffers, and take a little of it every second."""
    body = {"model": "talk", "stream": True, "input": {"persona": owner.persona, "say": SAY}}
    async with http.post(f"{stack.url}/v1/predictions", json=body, headers=owner.headers) as answer:
        answer.raise_for_status()
        address = str((await answer.json())["urls"]["stream"])
    host, port = stack.url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, (host, int(port)))
        path = address.removeprefix(stack.url)
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {owner.token}\r\n\r\n"
        await loop.sock_sendall(connection, head.encode())
        while await loop.sock_recv(connection, TAKEN):  # noqa: ASYNC110  # it is slow, it waits for nothing
            await asyncio.sleep(1)


async def _settled(http: aiohttp.ClientSession, stack: Stack, owner: Person) -> None:
    """Wait until everything of a person's is made: what is measured is the taking."""
    while True:
        async with http.get(f"{stack.url}/v1/predictions", headers=owner.headers) as answer:
            found = [one["status"] for one in (await answer.json())["results"]]
        if len(found) >= AT_ONCE and not {"starting", "processing"} & set(found):
            return
        await asyncio.sleep(0.3)


@asynccontextmanager
async def _watch_memory(stack: Stack) -> AsyncIterator[dict[str, int]]:
    """The most that each process of the stack has held, in bytes of its own; of a family the largest one."""
    most: dict[str, int] = {}

    async def watch() -> None:
        while True:
            for name, pid in stack.pids.items():
                for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
                    with suppress(psutil.Error):
                        most[name] = max(most.get(name, 0), process.memory_full_info().uss)
            await asyncio.sleep(1)

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield most
    finally:
        task.cancel()


if __name__ == "__main__":
    main()
