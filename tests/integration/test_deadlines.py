"""Every job ends: by its deadline, by whoever looks, by the minutely reconciliation when a container died."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.container import Container, start_unheard
from tests.support.operator import account, files, let_the_deadline_pass, name_of, path_of, reconcile, rest, row_of
from tests.support.person import Person
from tests.support.receiver import Receiver

pytestmark = pytest.mark.slow

STEPS = {
    "before the claim": ("supabase", "rpc/claim_prediction"),
    "while Claude writes": ("anthropic", 14),
    "while the portrait is fetched": ("supabase", "GET /storage/v1/object"),
    "while the voice speaks": ("elevenlabs", 1),
    "before the upload": ("supabase", "POST /storage/v1/object"),
    "before the settlement": ("supabase", "rpc/settle_prediction"),
    "after the settlement, before its answer": ("slow", "rpc/settle_prediction"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_container_killed_at_any_step_leaves_no_job_open_and_no_file_behind(
    container: Container,
    stack: Stack,
    sign_up: Callable[..., Person],
    portrait_png: bytes,
    fault: Callable[..., None],
    step: str,
) -> None:
    """kill -9, then one reconciliation: settled, the file there or the reason, the credits right."""
    person = sign_up(balance=1000)
    persona = person.persona(portrait_png)
    before = files(stack, person)
    where, what = STEPS[step]
    with container.client(person) as http:
        body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
        job = http.post("/v1/predictions", json=body).raise_for_status().json()
        if where == "supabase":
            container.proxy.stop_at = str(what)
        elif where == "slow":
            container.proxy.slow[str(what)] = 30
        else:
            fault(where, path="/v1", stall_after=what)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: http.get(job["urls"]["stream"]))
            if where == "supabase":
                assert container.proxy.stopped.wait(15)
            elif where == "slow":
                limit = time.monotonic() + 15
                while f"POST /rest/v1/{what}" not in container.proxy.seen and time.monotonic() < limit:
                    time.sleep(0.1)
                time.sleep(0.5)  # it is done, and its answer held back
            else:
                time.sleep(2.5)
            container.process.kill()
            with pytest.raises(httpx.HTTPError):
                reading.result(20)
    let_the_deadline_pass(stack, persona)
    reconcile(stack)
    done = person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}})
    kept = files(stack, person) - before
    balance, ledger = account(stack, person)
    if where == "slow":
        assert done["status"] == "succeeded"
        assert kept == {name_of(done["output"]), name_of(done["captions"])}
        assert balance == round(1000 + ledger["charge"], 3) < 1000
    else:
        assert (done["status"], done["receipt"]["error_code"]) == ("failed", "deadline")
        assert done["error"]
        assert kept == set()
        assert (balance, ledger) == (1000, {"reserve": -60, "release": 60})
    # Once more changes nothing of it (others' talks may pass their deadlines meanwhile).
    reconcile(stack)
    assert person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}}) == done
    assert account(stack, person) == (balance, ledger)
    assert files(stack, person) - before == kept


def test_a_hosted_job_that_finished_unseen_is_kept_by_reconciliation(
    stack: Stack, person: Person, portrait_png: bytes, tmp_path: Path
) -> None:
    """No webhook came, nobody polled, the deadline passed: the provider is asked once more, its picture not lost."""
    persona = person.persona(portrait_png)
    job = start_unheard(stack, person, persona, tmp_path)
    assert row_of(stack, persona)["status"] == "processing"
    let_the_deadline_pass(stack, persona)
    reconcile(stack)
    done = person.http.get(f"/v1/predictions/{job['id']}").json()
    assert done["status"] == "succeeded"
    shown = person.http.get(f"/v1/personas/{persona['id']}").json()["portrait"]
    assert path_of(shown) == path_of(done["output"])


def test_cancel_after_sets_the_deadline_and_a_job_over_it_ends_everywhere(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """A hosted job that hangs is canceled there and here when the deadline passes that its owner chose."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"], "prompt": "a monk"}}
    job = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": "5s"}).raise_for_status().json()
    assert person.look(job)["status"] == "processing"
    time.sleep(6)
    done = person.look(job)
    assert (done["status"], done["error"], done["receipt"]["error_code"]) == ("canceled", None, "deadline")
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    there = httpx.get(f"{stack.addresses['replicate']}/v1/predictions", headers=headers, trust_env=False).json()
    assert there["results"][0]["status"] == "canceled"


@pytest.mark.parametrize("wrong", ["", "soon", "1s", "2h", "-5s", "5x"])
def test_a_duration_that_is_none_is_refused(person: Person, persona: dict[str, Any], wrong: str) -> None:
    """Cancel-After names what it takes."""
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "say": "Hi."}}
    answer = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": wrong})
    assert (answer.status_code, "5s to 1h" in answer.json()["detail"]) == (422, True)


def test_a_talk_over_its_deadline_ends_while_it_runs(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude stalls past the deadline: the stream ends as a problem and the job says why."""
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
    job = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": "5s"}).json()
    fault("anthropic", path="/v1", stall_after=2)
    answer = person.http.get(job["urls"]["stream"])
    assert answer.status_code == 504
    assert person.look(job)["receipt"]["error_code"] == "deadline"


def test_a_provider_that_hangs_keeps_no_webhook_waiting(
    stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes, tmp_path: Path, fault: Callable[..., None]
) -> None:
    """While reconciliation waits for Replicate's answer about an overdue job, a webhook that is due is sent."""
    person = sign_up()
    persona = person.persona(portrait_png)
    receiver = Receiver()
    receiver.statuses = [500]
    told = {"webhook": receiver.url, "webhook_events_filter": ["completed"]}
    body = {"model": "talk", "input": {"persona": persona["id"], "say": "Tell them."}, **told}
    person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"}).raise_for_status()
    receiver.wait(1)
    start_unheard(stack, person, persona, tmp_path)
    fault("replicate", path="/v1/predictions", delay_s=8, calls=1)
    let_the_deadline_pass(stack, persona)
    with rest(stack) as service, ThreadPoolExecutor() as thread:
        due = {"next_at": datetime.now(UTC).isoformat()}
        service.patch("/webhook_deliveries", params={"owner": f"eq.{person.id}"}, json=due).raise_for_status()
        passing = thread.submit(reconcile, stack)
        receiver.wait(2)
        assert not passing.done()
        assert passing.result()["failed"] <= 1
    receiver.close()
