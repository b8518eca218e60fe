"""The job that can be trusted: never counted twice, never taken for whole when it is not, never stuck."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from shared.predictions.heartbeat import INTERVAL
from tests.support.container import Container
from tests.support.operator import files, name_of, path_of, reconcile, rest, wait_until_settled
from tests.support.person import Person
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow


def test_polling_a_running_job_asks_no_database_and_a_finished_one_once(
    container: Container, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """A thousand polls of a running hosted job: 0 requests to Supabase. Each of a finished one: 1."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"]}}
    with container.client(person) as http:
        job = http.post("/v1/predictions", json=body).raise_for_status().json()
        with container.proxy.counting() as passed, ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: http.get(job["urls"]["get"]).json()["status"], range(1000)))
        assert set(answers) == {"processing"}
        assert passed == []
        http.post(job["urls"]["cancel"]).raise_for_status()
        time.sleep(1)  # Replicate tells of it by a webhook, which reads the row as well
        with container.proxy.counting() as passed:
            assert http.get(job["urls"]["get"]).json()["status"] == "canceled"
        assert len(passed) == 1


def test_many_who_poll_a_job_at_once_share_one_look_at_the_provider(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None], tmp_path: Path
) -> None:
    """Forty at once, and Replicate is slow: it is asked once or twice. Who asks after the end is told of the end."""
    fault("replicate", path="/v1/models", stuck=True)
    replicate = Proxy(stack.addresses["replicate"])
    container = Container(stack, tmp_path / "container.log", REPLICATE_BASE_URL=replicate.url)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"]}}
    try:
        with container.client(person) as http, ThreadPoolExecutor(41) as pool:
            job = http.post("/v1/predictions", json=body).raise_for_status().json()

            def look(_: int = 0) -> str:
                return str(http.get(job["urls"]["get"]).json()["status"])

            replicate.slow["GET"] = 1.5
            with replicate.counting() as asked:
                assert set(pool.map(look, range(40))) == {"processing"}
            assert 1 <= len(asked) <= 2
            replicate.slow["GET"] = 3
            early = pool.submit(look)
            time.sleep(0.5)
            replicate.slow.clear()
            # Ended by somebody else, as by a webhook in another container, while the early look is on its way.
            person.http.post(f"/v1/predictions/{job['id']}/cancel").raise_for_status()
            assert look() == "canceled"
            assert early.result() == "processing"
    finally:
        container.close()
        replicate.close()


def test_polling_a_running_talk_asks_no_database_and_its_end_is_seen_at_once(
    container: Container, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """A thousand polls of a running talk: 0 requests to Supabase, but for its own portrait and looks."""
    body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
    fault("anthropic", path="/v1", stall_after=12)
    with container.client(person) as http, ThreadPoolExecutor(9) as pool:
        job = http.post("/v1/predictions", json=body).raise_for_status().json()
        listening = pool.submit(lambda: http.get(job["urls"]["stream"]).status_code)
        time.sleep(1.0)
        started = time.monotonic()
        with container.proxy.counting() as passed:
            answers = list(pool.map(lambda _: http.get(job["urls"]["get"]).json()["status"], range(1000)))
        took = time.monotonic() - started
        assert set(answers) == {"processing"}
        looks = [one for one in passed if not one.startswith("GET /storage/")]
        assert set(looks) <= {"GET /rest/v1/predictions"}
        assert len(looks) <= took / INTERVAL + 1
        assert len(passed) - len(looks) <= 1
        running = http.get(job["urls"]["get"]).json()
        http.post(job["urls"]["cancel"]).raise_for_status()
        ended = http.get(job["urls"]["get"]).json()
        assert ended["status"] == "canceled"
        assert running["started_at"] == ended["started_at"]
        with pytest.raises(httpx.HTTPError):
            listening.result()


@pytest.mark.parametrize("slow", ["POST /storage/v1/object/personaforge", "POST /rest/v1/rpc/settle_prediction"])
def test_hanging_up_while_the_talk_is_being_kept_loses_nothing(
    container: Container, stack: Stack, person: Person, persona: dict[str, Any], slow: str
) -> None:
    """The listener leaves during the upload or the settlement: succeeded with its file, or no file at all."""
    before = files(stack, person)
    container.proxy.slow[slow] = 1.5
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "say": "Short."}}
    with container.client(person) as http:
        job = http.post("/v1/predictions", json=body).json()
        with pytest.raises(httpx.ReadTimeout), http.stream("GET", job["urls"]["stream"], timeout=1.1) as answer:
            for _ in answer.iter_raw():
                pass
        done = wait_until_settled(person, {"urls": {"get": f"/v1/predictions/{job['id']}"}})
    time.sleep(2)
    new = files(stack, person) - before
    assert done["status"] == "succeeded"
    assert new == {name_of(done["output"]), name_of(done["captions"])}
    assert httpx.get(done["output"].replace(container.proxy.url, stack.settings["SUPABASE_URL"])).status_code == 200


def test_hanging_up_while_a_failure_is_being_settled_loses_nothing(
    container: Container, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude refuses, the listener leaves during the settlement: failed with that reason, not at the deadline."""
    container.proxy.slow["rpc/settle_prediction"] = 1.5
    body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
    fault("anthropic", path="/v1", status=401)
    with container.client(person) as http:
        job = http.post("/v1/predictions", json=body).json()
        with pytest.raises(httpx.ReadTimeout):
            http.get(job["urls"]["stream"], timeout=1.1)
    done = wait_until_settled(person, {"urls": {"get": f"/v1/predictions/{job['id']}"}}, 6)
    assert (done["status"], done["receipt"]["error_code"]) == ("failed", "provider_refused")


def test_a_stopped_server_settles_the_talks_it_was_making(
    container: Container, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """SIGTERM in the middle of a talk: the job is failed with the reason before the process is gone."""
    fault("anthropic", path="/v1", stall_after=24)
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
    with container.client(person) as http:
        job = http.post("/v1/predictions", json=body).json()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: http.get(job["urls"]["stream"]))
            time.sleep(1.5)
            container.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.HTTPError):
                reading.result(20)
    container.process.wait(15)
    done = person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}})
    assert (done["status"], done["receipt"]["error_code"]) == ("failed", "stopped")


def test_a_listener_who_leaves_before_the_first_byte_is_noticed(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude stalls, the listener leaves: canceled within a moment, not after Claude's time-out."""
    job = person.talk(persona["id"], message="Hello?")
    fault("anthropic", path="/v1", stall_after=2)
    with pytest.raises(httpx.ReadTimeout):
        person.http.get(job["urls"]["stream"], timeout=2.2)
    assert wait_until_settled(person, job, 5)["status"] == "canceled"


def test_talks_that_wait_for_claude_do_not_keep_others_from_talking(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Six talks stalled in mid-answer, and a seventh speaks at once."""
    jobs = [person.talk(persona["id"], message="Hello?") for _ in range(6)]
    fault("anthropic", path="/v1", stall_after=12, calls=6)

    def stalled(job: dict[str, Any]) -> None:
        with pytest.raises(httpx.ReadTimeout):
            person.http.get(job["urls"]["stream"], timeout=8)

    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(stalled, job) for job in jobs]
        time.sleep(2)
        started = time.monotonic()
        person.follow(person.talk(persona["id"], say="Not me."))
        took = time.monotonic() - started
        for one in waiting:
            one.result()
    assert took < 4


def test_an_answer_that_ends_early_but_cleanly_is_not_taken_for_whole(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude's stream without its last events is a failure, however politely the connection closed."""
    job = person.talk(persona["id"], message="Tell me about ice in 40 words.")
    fault("anthropic", path="/v1", end_after=14)
    with pytest.raises(httpx.HTTPError):
        person.follow(job)
    done = wait_until_settled(person, job)
    assert (done["status"], "broke off" in done["error"]) == ("failed", True)
    assert done["receipt"]["provider_ids"]["anthropic"].startswith("msg_")


def test_waiting_for_a_stuck_hosted_job_ends_in_time(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """`Prefer: wait=1` answers 202 with the id, also with a silly number of digits."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"]}}
    answer = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    assert person.http.post(answer.json()["urls"]["cancel"]).json()["status"] == "canceled"
    silly = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=" + "9" * 150})
    assert silly.status_code in (201, 202)


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_a_nul_character_is_refused_by_name(person: Person, persona: dict[str, Any], text: str) -> None:
    """What Postgres cannot keep is a 422 and not a database that did not answer."""
    answers = [
        person.http.post("/v1/personas", json={"name": text}),
        person.http.post("/v1/predictions", json={"model": "talk", "input": {"persona": persona["id"], "say": text}}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert "NUL" in answer.json()["detail"]


def test_what_storage_refuses_to_remove_is_removed_later(
    container: Container, stack: Stack, person: Person, portrait_png: bytes
) -> None:
    """A persona goes while storage is down: 204, its files are on the list, and reconciliation works that off."""
    persona = person.persona(portrait_png)
    address = persona["portrait"]
    container.proxy.refuse = {"DELETE /storage"}
    with container.client(person) as http:
        assert http.delete(f"/v1/personas/{persona['id']}").status_code == 204
    assert httpx.get(address, trust_env=False).status_code == 200
    path = path_of(address)
    with rest(stack) as service:
        (left,) = service.get("/files", params={"path": f"eq.{path}"}).json()
        assert left["referrer"] is None
        early = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
        service.patch("/files", params={"path": f"eq.{path}"}, json={"created_at": early}).raise_for_status()
        reconcile(stack)
        assert service.get("/files", params={"path": f"eq.{path}"}).json() == []
    assert httpx.get(address, trust_env=False).status_code in (400, 404)
