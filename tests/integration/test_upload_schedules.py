"""Two hundred uploads, each through faults, cancellations and new workers at random: one film each, byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from local.stack import Stack
from shared.core.settings import Settings
from shared.core.store import Store
from shared.predictions.heartbeat import Heartbeats
from shared.studio.channel import Channels
from shared.studio.production import Production
from shared.studio.publisher import Publisher
from tests.integration.test_publishing import Publisher as Somebody
from tests.support import finished, forked
from tests.support.operator import rest
from tests.support.person import Person

pytestmark = pytest.mark.slow
SCHEDULES, AT_ONCE = 200, 20
GRAIN = 256 * 1024
SIZE = 2 * GRAIN + 4321  # three pieces
FAULTS: tuple[dict[str, Any], ...] = (
    {"path": "/upload/session", "code": "lost"},
    {"path": "/upload/session", "code": "partial"},
    {"path": "/upload/session", "code": "none"},
    {"path": "/upload/session", "code": "gone"},
    {"path": "/upload/session", "status": 503},
    {"path": "/upload/session", "cut_after": 0},
    {"path": "/upload/youtube", "status": 500},
    {"path": "/upload/youtube", "cut_after": 0},
    {"path": "/youtube/v3", "status": 503},
    {"path": "/token", "status": 500},
)


class Unseen:
    """Nobody looks at this progress."""

    async def get(self, _: str) -> Any:
        return None

    async def put(self, _: str, value: Any) -> None:
        pass


def test_two_hundred_random_schedules_make_two_hundred_films(stack: Stack, sign_up: Callable[[], Person]) -> None:
    """The stand-in counts one film for each project, with its bytes, and none of them was public for a moment."""
    seed = random.randrange(10**6)  # noqa: S311
    print("seed", seed)
    somebody = Somebody(stack, sign_up())
    somebody.connect()
    film = finished.film(stack, somebody.person, size=SIZE)
    with rest(stack) as service:
        service.delete("/youtube_quota", params={"used": "gte.0"}).raise_for_status()
        (row,) = service.get("/projects", params={"id": f"eq.{film['id']}"}).json()
        copies = [
            {
                "owner": row["owner"],
                "input": row["input"],
                "status": "ready",
                "stage": "publish",
                "output": row["output"],
            }
            for _ in range(SCHEDULES)
        ]
        projects = [one["id"] for one in service.post("/projects", json=copies).raise_for_status().json()]
        wanted = {"channel": somebody.channel, "title": "One of many"}
        of_each = {"owner": row["owner"], "channel_id": somebody.channel, "wanted": wanted, "privacy": "private"}
        rows = [{"project_id": one, **of_each} for one in projects]
        service.post("/publications", json=rows).raise_for_status()
    try:
        # In a process of its own: Python 3.11 counts its stack wrongly after hundreds of tasks that were cancelled.
        working = forked.process(_work, stack.settings, somebody.youtube, projects, seed)
        working.join(240)
        assert working.exitcode == 0
    finally:
        with rest(stack) as service:
            service.patch(
                "/projects",
                params={"id": f"in.({','.join(projects)})", "status": "neq.succeeded"},
                json={"status": "canceled"},
            )
    films = somebody.films()
    digest = hashlib.sha256(film["bytes"]).hexdigest()
    assert {one["sha256"] for one in films.values()} == {digest}
    tags = Counter(tag for one in films.values() for tag in one["snippet"]["tags"])
    assert tags == Counter(f"pf-{one}" for one in projects)
    assert all(one["public_since"] is None for one in films.values())


def _work(given: dict[str, str], youtube: str, projects: list[str], seed: int) -> None:
    asyncio.run(_all(Settings(given), youtube, projects, random.Random(seed)))  # noqa: S311


async def _all(settings: Settings, youtube: str, projects: list[str], dice: random.Random) -> None:
    going = asyncio.Semaphore(AT_ONCE)
    done: set[str] = set()

    async with Store.open(settings) as store, Channels.open(store, settings) as channels:
        beats = Heartbeats(Unseen())
        publisher = Publisher(store, channels, beats, settings.forge_signing_key, piece=GRAIN)

        async def spoil() -> None:
            """Faults, as long as anything is under way; and room in YouTube's day."""
            async with httpx.AsyncClient(trust_env=False) as http:
                while len(done) < len(projects):
                    await http.post(f"{youtube}/_quota", json={"started": 0})
                    await http.post(f"{youtube}/_faults", json=dice.choice(FAULTS))
                    await store.rows(store.as_service().from_("youtube_quota").delete().gte("used", 0))
                    await asyncio.sleep(0.1)
                await http.delete(f"{youtube}/_faults")

        async def one(project: str) -> None:
            async with going:
                table = store.as_service().from_("projects")
                while True:
                    (state,) = await store.rows(table.select("status,error").eq("id", project))
                    if state["status"] == "succeeded":
                        done.add(project)
                        return
                    assert state["status"] != "failed", state["error"]
                    again = {
                        "lease_until": "2020-01-01T00:00:00Z",
                        "wake_at": "2026-01-01T00:00:00Z",
                        "claims": 0,
                        "attempt": 0,
                    }
                    await store.rows(table.update(again).eq("id", project))
                    production = await Production.claim(store, UUID(project))
                    if production is None:  # a worker of the stack's own has it, woken by its schedule
                        await asyncio.sleep(0.2)
                        continue
                    working = asyncio.create_task(production.run({"publish": publisher.publish}))
                    if dice.random() < 0.4:  # its worker is ended, without a word
                        await asyncio.wait({working}, timeout=dice.uniform(0, 1.5))
                        production.by = uuid4()  # and may write nothing more
                        working.cancel()
                    await asyncio.wait({working})

        spoiling = asyncio.create_task(spoil())
        await asyncio.gather(*(one(project) for project in projects))
        await spoiling
