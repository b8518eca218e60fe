"""Work that nobody listens to: spawned by id, done elsewhere, settled once, whatever becomes of who asked for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.talk.runtime import TALKS
from tests.support import forked
from tests.support.container import Container
from tests.support.operator import reconcile, rest, row_of, wait_until_settled
from tests.support.person import Person

pytestmark = pytest.mark.slow
UNAVAILABLE = 14  # of gRPC; Modal's client makes four attempts


def create(http: httpx.Client, persona: dict[str, Any], say: str = "Made while nobody listens.") -> dict[str, Any]:
    body = {"model": "talk", "input": {"persona": persona["id"], "say": say}}
    return dict(http.post("/v1/predictions", json=body).raise_for_status().json())


def test_a_front_container_that_dies_ends_nobodys_talk(
    container: Container, person: Person, persona: dict[str, Any], decode: Callable[[bytes], Any]
) -> None:
    """It has spawned the work and is killed at once; the talk is made and kept."""
    with container.client(person) as http:
        job = create(http, persona)
    container.process.kill()
    assert job["status"] == "starting"
    done = wait_until_settled(person, {"urls": {"get": f"/v1/predictions/{job['id']}"}}, 30)
    assert (done["status"], done["receipt"]["engine"]) == ("succeeded", "cpu")
    assert decode(httpx.get(done["output"], trust_env=False).content).video_seconds > 1


def test_a_spawn_that_is_lost_is_made_up_for(
    stack: Stack, person: Person, portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """Modal cannot be reached: the prediction waits, and reconciliation has a worker take it."""
    persona = person.persona(portrait_png)
    fault("modal", path="FunctionMap", calls=4, status=UNAVAILABLE)
    job = create(person.http, persona)
    time.sleep(2)
    assert person.look(job)["status"] == "starting"
    reconcile(stack)
    assert row_of(stack, persona)["status"] == "starting", "it may still be on its way"
    with rest(stack) as service:
        earlier = {"created_at": "2026-01-01T00:00:00Z"}
        where = {"persona_id": f"eq.{persona['id']}", "system": "is.false"}
        service.patch("/predictions", params=where, json=earlier).raise_for_status()
    reconcile(stack)  # or the schedule of the stack itself, just before
    limit = time.monotonic() + 30
    while (row := row_of(stack, persona))["status"] != "succeeded" and time.monotonic() < limit:
        time.sleep(0.2)
    assert row["status"] == "succeeded"


def test_a_worker_that_is_spawned_twice_works_once(stack: Stack, person: Person, portrait_png: bytes) -> None:
    """The second finds it taken, or finished, and leaves it alone."""
    persona = person.persona(portrait_png)
    job = create(person.http, persona)
    row = row_of(stack, persona)["id"]
    wait_until_settled(person, job, 30)
    assert forked.call("worker", stack.settings, row) == "taken"
    assert row_of(stack, persona)["status"] == "succeeded"


def test_a_talk_that_fails_in_the_worker_says_why(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """The reason is in the prediction, as for a listener."""
    fault("elevenlabs", path="/v1", status=401, code="quota_exceeded")
    done = wait_until_settled(person, create(person.http, persona), 30)
    assert (done["status"], done["receipt"]["error_code"]) == ("failed", "provider_refused")
    assert done["error"].startswith("elevenlabs")


def test_cancelling_reaches_the_worker(person: Person, persona: dict[str, Any], fault: Callable[..., None]) -> None:
    """Whoever works on it looks every two seconds, stops, and says what was used."""
    fault("anthropic", path="/v1", stall_after=12)
    body = {"model": "talk", "input": {"persona": persona["id"], "message": "Tell me about comets."}}
    job = person.http.post("/v1/predictions", json=body).raise_for_status().json()
    limit = time.monotonic() + 20
    while person.look(job)["status"] != "processing" and time.monotonic() < limit:
        time.sleep(0.2)
    assert person.http.post(job["urls"]["cancel"]).json()["status"] == "canceled"
    assert person.look(job)["receipt"]["error_code"] == "canceled"


def test_beyond_what_a_container_carries_a_talk_waits_its_turn_and_says_so(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None], tmp_path: Path
) -> None:
    """Twelve talks are under way and stall: the next one waits, its logs say why, and then it is made."""
    container = Container(stack, tmp_path / "container.log")
    fault("anthropic", path="/v1", calls=TALKS, stall_after=2)
    try:
        with container.client(person) as http, ThreadPoolExecutor(TALKS + 1) as pool:
            jobs = []
            for number in range(TALKS + 1):
                text = {"message": "Hello?"} if number < TALKS else {"say": "At last."}
                body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], **text}}
                jobs.append(http.post("/v1/predictions", json=body).raise_for_status().json())
            streams = []
            for job in jobs:
                streams.append(pool.submit(http.get, job["urls"]["stream"]))
                time.sleep(0.1)
            last, limit = jobs[-1], time.monotonic() + 15
            while not (shown := http.get(last["urls"]["get"]).json())["logs"] and time.monotonic() < limit:
                time.sleep(0.2)
            assert shown["status"] == "processing"
            assert f"makes {TALKS} talks" in shown["logs"]
            assert not streams[-1].done()
            http.post(jobs[0]["urls"]["cancel"]).raise_for_status()
            assert streams[-1].result(20).status_code == 200
            done = wait_until_settled(person, last)
            assert (done["status"], done["logs"]) == ("succeeded", "")
            assert done["receipt"]["queued_ms"] > 500
            for job in jobs[1:-1]:
                pool.submit(http.post, job["urls"]["cancel"])
    finally:
        container.close()
