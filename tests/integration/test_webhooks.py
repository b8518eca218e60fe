"""Webhooks out, checked by the receivers' own verifiers, and in, forged, replayed and out of order."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import replicate
import replicate.webhook
from standardwebhooks import Webhook, WebhookVerificationError

from local.stack import Stack
from tests.support.container import Container
from tests.support.operator import account, files, path_of, reconcile, rest, row_of, signed, wait_until_settled
from tests.support.person import Person
from tests.support.receiver import Receiver

pytestmark = pytest.mark.slow


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def told(person: Person, persona: dict[str, Any], url: str, **more: Any) -> dict[str, Any]:
    """A talk that runs by itself and tells `url`."""
    body = {"model": "talk", "webhook": url, "input": {"persona": persona["id"], "say": "Tell them."}, **more}
    made = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"})
    return dict(made.raise_for_status().json())


def deliveries(stack: Stack, persona: dict[str, Any]) -> list[dict[str, Any]]:
    with rest(stack) as service:
        where = {"prediction_id": f"eq.{row_of(stack, persona)['id']}", "order": "created_at"}
        return list(service.get("/webhook_deliveries", params=where).raise_for_status().json())


def make_due(stack: Stack, delivery: dict[str, Any], **change: Any) -> None:
    with rest(stack) as service:
        change = {"next_at": datetime.now(UTC).isoformat(), **change}
        where = {"id": f"eq.{delivery['id']}"}
        service.patch("/webhook_deliveries", params=where, json=change).raise_for_status()


def test_start_and_end_arrive_signed_as_both_verifiers_want_it(
    stack: Stack, person: Person, persona: dict[str, Any], receiver: Receiver
) -> None:
    """The library's verifier and Replicate's own accept them; a changed body they do not."""
    made = told(person, persona, f"{receiver.url}/hook", webhook_events_filter=["start", "output", "completed"])
    got = {one.headers["personaforge-event"]: one for one in receiver.wait(3)}
    assert set(got) == {"start", "output", "completed"}
    last = got["completed"]
    client = replicate.Client(api_token=person.token, base_url=stack.url)
    secret = client.webhooks.default.secret()
    client._client.close()
    told_them, shown = Webhook(secret.key).verify(last.body, last.headers), person.look(made)
    for one in (told_them, shown):  # each container signs addresses for itself
        one |= {name: path_of(one[name]) for name in ("output", "captions")}
    assert told_them == shown
    replicate.webhook.Webhooks.validate(headers=last.headers, body=last.body.decode(), secret=secret, tolerance=60)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret.key).verify(last.body + b" ", last.headers)
    assert last.path == "/hook"
    assert len({one.headers["webhook-id"] for one in receiver.seen}) == 3
    assert all(one["delivered_at"] and one["status"] == 200 for one in deliveries(stack, persona))


def test_only_the_events_that_were_asked_for_are_sent(
    stack: Stack, person: Person, persona: dict[str, Any], receiver: Receiver
) -> None:
    """`webhook_events_filter` names them; a failed job is completed too."""
    told(person, persona, receiver.url, webhook_events_filter=["completed"])
    assert [json.loads(one.body)["status"] for one in receiver.wait(1)] == ["succeeded"]
    silent = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "say": "…"}}
    job = person.http.post("/v1/predictions", json={**silent, "webhook": receiver.url}).json()
    assert person.http.get(job["urls"]["stream"]).status_code == 422
    assert {json.loads(one.body)["status"] for one in receiver.wait(3)[1:]} <= {"failed", "processing"}
    assert {one["event"] for one in deliveries(stack, persona)} == {"start", "completed"}
    assert told(person, persona, receiver.url, webhook_events_filter=[])["status"] == "succeeded"
    time.sleep(0.5)
    assert len(receiver.seen) == 3
    assert deliveries(stack, persona) == []


def test_progress_is_told_and_shown_as_replicates_clients_read_it(
    stack: Stack, person: Person, persona: dict[str, Any], receiver: Receiver, fault: Callable[..., None]
) -> None:
    """While a long text is spoken slowly: `logs` events, and logs that replicate-python takes for progress."""
    fault("elevenlabs", path="/v1", delay_s=1.5, calls=8)
    say = "This is said slowly, sentence after sentence. It goes on for a while. Then it ends, as all things do."
    body = {"model": "talk", "webhook": receiver.url, "webhook_events_filter": ["logs"]}
    job = person.http.post("/v1/predictions", json={**body, "input": {"persona": persona["id"], "say": say}}).json()
    found: list[float] = []
    client = replicate.Client(api_token=person.token, base_url=stack.url)
    while (running := client.predictions.get(job["id"])).status in ("starting", "processing"):
        found += [running.progress.percentage] if running.progress else []
        time.sleep(0.3)
    client._client.close()
    assert 0 < found[0] < 1
    assert found == sorted(found)
    assert person.look(job)["status"] == "succeeded"
    told_of = [json.loads(one.body) for one in receiver.wait(1)]
    assert all(one["status"] in ("processing", "succeeded") and "%|" in one["logs"] for one in told_of)


def test_a_receiver_that_is_down_is_tried_again_for_a_day(
    stack: Stack, person: Person, persona: dict[str, Any], receiver: Receiver
) -> None:
    """The schedule repeats it, with the same id, ever later, eight times; what arrived is not sent again."""
    receiver.statuses = [500, 302]
    told(person, persona, receiver.url, webhook_events_filter=["completed"])
    receiver.wait(1)
    time.sleep(0.5)
    (first,) = deliveries(stack, persona)
    assert (first["attempts"], first["status"], first["delivered_at"]) == (1, 500, None)
    assert 30 < (datetime.fromisoformat(first["next_at"]) - datetime.now(UTC)).total_seconds() < 61
    make_due(stack, first)
    reconcile(stack)
    (second,) = deliveries(stack, persona)
    assert (second["attempts"], second["status"]) == (2, 302)
    make_due(stack, second, attempts=7)
    receiver.statuses = [503]
    reconcile(stack)
    (given_up,) = deliveries(stack, persona)
    assert (given_up["attempts"], given_up["next_at"], given_up["delivered_at"]) == (8, None, None)
    make_due(stack, given_up, attempts=0)
    reconcile(stack)
    (arrived,) = deliveries(stack, persona)
    assert arrived["delivered_at"]
    assert arrived["next_at"] is None
    assert len({one.headers["webhook-id"] for one in receiver.seen}) == 1
    count = len(receiver.seen)
    reconcile(stack)
    assert len(receiver.seen) == count


def test_a_receiver_that_is_gone_is_left_alone(
    stack: Stack, person: Person, persona: dict[str, Any], receiver: Receiver
) -> None:
    """410 ends the attempts; one that cannot be reached is on record with the reason."""
    receiver.statuses = [410]
    told(person, persona, receiver.url, webhook_events_filter=["completed"])
    receiver.wait(1)
    time.sleep(0.5)
    assert [(one["status"], one["next_at"]) for one in deliveries(stack, persona)] == [(410, None)]
    told(person, persona, "http://127.0.0.1:9/", webhook_events_filter=["completed"])
    time.sleep(1)
    (unreachable,) = deliveries(stack, persona)
    assert "could not be reached" in unreachable["error"]
    assert unreachable["next_at"]


def test_an_address_that_is_never_visited_is_refused_at_once(person: Person, persona: dict[str, Any]) -> None:
    """No job is made for a webhook into a private network."""
    for url in ("http://example.com/hook", "https://10.0.0.1/", "file:///etc/passwd", "https://a:b@example.com/", "x"):
        body = {"model": "talk", "webhook": url, "input": {"persona": persona["id"], "say": "No."}}
        refused = person.http.post("/v1/predictions", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "address_refused"), url


def start_portrait(http: httpx.Client, persona: dict[str, Any], prompt: str) -> dict[str, Any]:
    body = {"model": "portrait", "input": {"persona": persona["id"], "prompt": prompt}}
    return dict(http.post("/v1/predictions", json=body).raise_for_status().json())


def test_a_hosted_job_is_settled_by_the_webhook_when_nobody_polls(
    stack: Stack, person: Person, persona: dict[str, Any]
) -> None:
    """The row is finished although no one asked; its receipt says what it cost and how long it took."""
    start_portrait(person.http, persona, "an old sailor")
    limit = time.monotonic() + 15
    while (row := row_of(stack, persona))["status"] == "processing" and time.monotonic() < limit:
        time.sleep(0.2)
    assert row["status"] == "succeeded"
    receipt = row["receipt"]
    assert receipt["cost_usd"] == 0.04
    assert receipt["total_ms"] >= receipt["compute_ms"] > 0
    assert receipt["cold"] is False
    assert receipt["provider_ids"]["replicate"] == row["provider_id"]


def test_what_is_not_signed_by_replicate_changes_nothing(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """No signature, a wrong one, an old one, headers that are none: 401. An id that is not ours: 404."""
    fault("replicate", path="/v1/models", stuck=True)
    job = start_portrait(person.http, persona, "a baker")
    url = f"{stack.url}/v1/webhooks/replicate/{job['id']}"
    body = json.dumps({"id": row_of(stack, persona)["provider_id"], "status": "succeeded"}).encode()
    wrong = base64.b64encode(b"guess").decode()
    broken = {"webhook-id": "x", "webhook-timestamp": "soon", "webhook-signature": "v1"}
    for headers in ({}, signed(stack, body, key=wrong), signed(stack, body, age=400), signed(stack, b"{}"), broken):
        assert httpx.post(url, content=body, headers=headers, trust_env=False).status_code == 401
    forged = httpx.post(url[:-4] + "AAAA", content=body, headers=signed(stack, body), trust_env=False)
    assert forged.status_code == 404
    # Truly signed, but it says more than is so: the provider itself is asked.
    early = httpx.post(url, content=body, headers=signed(stack, body), trust_env=False)
    assert (early.status_code, person.look(job)["status"]) == (204, "processing")
    person.http.post(job["urls"]["cancel"])


def test_deliveries_that_come_twice_late_or_in_any_order_are_harmless(
    stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes
) -> None:
    """One settlement, one file, one charge, whatever arrives afterwards."""
    person = sign_up()  # whose other files do not come and go meanwhile
    persona = person.persona(portrait_png)
    job = start_portrait(person.http, persona, "a fisher")
    done = wait_until_settled(person, job)
    kept, paid = files(stack, person), account(stack, person)
    for status in ("succeeded", "processing", "starting", "failed", "canceled", "succeeded"):
        body = json.dumps({"id": done["receipt"]["provider_ids"]["replicate"], "status": status}).encode()
        url = f"{stack.url}/v1/webhooks/replicate/{job['id']}"
        assert httpx.post(url, content=body, headers=signed(stack, body), trust_env=False).status_code == 204
    assert person.look(job) == done
    assert (files(stack, person), account(stack, person)) == (kept, paid)


def test_a_lost_answer_to_creating_a_hosted_job_is_repaired_by_its_webhook(
    stack: Stack, person: Person, portrait_png: bytes, tmp_path: Path
) -> None:
    """The container dies before it could note the provider's id: the webhook brings it."""
    persona = person.persona(portrait_png)
    container = Container(stack, tmp_path / "container.log", FORGE_URL=stack.url)
    try:
        container.proxy.stop_at = "rpc/attach_provider"
        with container.client(person) as http:
            http.timeout = httpx.Timeout(1.0)
            with pytest.raises(httpx.ReadTimeout):
                start_portrait(http, persona, "a weaver")
        container.process.kill()
        limit = time.monotonic() + 15
        while (row := row_of(stack, persona))["status"] in ("starting", "processing") and time.monotonic() < limit:
            time.sleep(0.2)
        assert (row["status"], bool(row["provider_id"])) == ("succeeded", True)
    finally:
        container.close()


def test_a_job_that_was_ended_while_it_was_being_started_is_stopped_at_the_provider(
    stack: Stack, person: Person, portrait_png: bytes, container: Container, fault: Callable[..., None]
) -> None:
    """Canceled between creating it there and noting its id here: nobody pays for what nobody wants."""
    persona = person.persona(portrait_png)
    fault("replicate", path="/v1/models", stuck=True, delay_s=1.5)
    with container.client(person) as http, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start_portrait, http, persona, "a potter")
        time.sleep(0.8)
        row = row_of(stack, persona)
        with rest(stack) as service:
            settle = {"p_id": row["id"], "p_outcome": {"status": "canceled"}}
            assert service.post("/rpc/settle_prediction", json=settle).json()["settled"]
        assert starting.result()["status"] == "canceled"
    time.sleep(0.5)
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    there = httpx.get(f"{stack.addresses['replicate']}/v1/predictions", headers=headers, trust_env=False).json()
    assert there["results"][0]["input"]["prompt"] == "a potter"
    assert there["results"][0]["status"] == "canceled"


def test_the_operator_can_send_them_again(
    stack: Stack, person: Person, persona: dict[str, Any], receiver: Receiver, tmp_path: Path
) -> None:
    """`forge replay` delivers what arrived and what did not, under the ids of before, and shows the log."""
    receiver.statuses = [200, 410]
    made = told(person, persona, receiver.url, webhook_events_filter=["start", "completed"])
    receiver.wait(2)
    time.sleep(0.5)
    settings = {key: value for key, value in stack.settings.items() if value}
    (tmp_path / ".env").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    command = [str(Path(sys.executable).with_name("forge")), "replay"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    row = row_of(stack, persona)["id"]
    again = run(row, "--json")
    assert again.returncode == 0, again.stderr
    assert [one["status"] for one in json.loads(again.stdout)] == [200, 200]
    ids = [one.headers["webhook-id"] for one in receiver.wait(4)]
    assert sorted(ids[:2]) == sorted(ids[2:])
    shown = run(person.look(made)["id"]).stdout  # the id that the API shows is as good as the row
    assert "completed" in shown
    assert all(one["id"] in shown for one in deliveries(stack, persona))
    assert max(map(len, shown.splitlines())) <= 80
    nothing = run(str(uuid4()))
    assert (nothing.returncode, "no webhooks" in nothing.stderr) == (1, True)
