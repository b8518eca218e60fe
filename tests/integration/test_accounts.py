"""Made once per key, counted in credits, limited per person: decided in SQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.support.operator import account, row_of
from tests.support.person import Person

pytestmark = pytest.mark.slow


def test_the_same_key_makes_one_prediction_however_many_ask(person: Person, persona: dict[str, Any]) -> None:
    """Fifty calls at once with one key: one prediction. A repeat that waits gets its end; another body: 409."""
    key = {"Idempotency-Key": uuid4().hex}

    def create(say: str, headers: dict[str, str], model: str = "talk") -> httpx.Response:
        given = {"persona": persona["id"]} | ({"say": say} if model == "talk" else {"prompt": say})
        body = {"model": f"personaforge/{model}", "stream": model == "talk", "input": given}
        return person.http.post("/v1/predictions", json=body, headers=headers)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: create("Once.", key), range(50)))
        hosted = list(
            pool.map(
                lambda _: create("a sailor", {"Idempotency-Key": "h" + key["Idempotency-Key"]}, "portrait"), range(8)
            )
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert {answer.status_code for answer in hosted} == {201}
    assert len({answer.json()["id"] for answer in hosted}) == 1
    headers = {"Idempotency-Key": uuid4().hex, "Prefer": "wait=20"}
    body = {"model": "talk", "input": {"persona": persona["id"], "say": "The connection broke while I waited."}}
    first = person.http.post("/v1/predictions", json=body, headers={**headers, "Prefer": ""}).json()
    again = person.http.post("/v1/predictions", json=body, headers=headers).json()
    assert (again["id"], first["status"], again["status"]) == (first["id"], "starting", "succeeded")
    other = create("Twice.", key)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert create("Once.", {}).json()["id"] != answers[0].json()["id"]


def test_credits_are_reserved_charged_and_released(
    stack: Stack, sign_up: Callable[..., Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """Reserved when made, charged by the receipt when done, given back when failed; the ledger adds up."""
    person = sign_up(balance=1000)
    persona = person.persona(portrait_png)
    job = person.talk(persona["id"], say="Worth something.")
    assert account(stack, person) == (940, {"reserve": -60})
    person.follow(job)
    cost = round(person.look(job)["receipt"]["cost_usd"] * 1000, 3)
    assert cost > 0
    assert account(stack, person) == (round(1000 - cost, 3), {"reserve": -60, "release": 60, "charge": -cost})
    failing = person.talk(persona["id"], say="Worth nothing.")
    fault("elevenlabs", path="/v1", status=500, calls=3)
    assert person.http.get(failing["urls"]["stream"]).status_code == 502
    assert account(stack, person)[0] == round(1000 - cost, 3)
    poor = sign_up(balance=59)
    needy = poor.persona(portrait_png)
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": needy["id"], "say": "Please."}}
    refused = poor.http.post("/v1/predictions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (402, "out_of_credits")
    assert account(stack, poor) == (59, {})


def test_removing_a_persona_ends_its_job_and_charges_what_was_bought(
    stack: Stack, sign_up: Callable[..., Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """The job at the provider is cancelled; a picture costs four cents."""
    person = sign_up(balance=1000)
    persona = person.persona(portrait_png)
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "portrait", "input": {"persona": persona["id"]}}
    person.http.post("/v1/predictions", json=body).raise_for_status()
    there = row_of(stack, persona)["provider_id"]
    person.http.delete(f"/v1/personas/{persona['id']}").raise_for_status()
    assert account(stack, person) == (960, {"reserve": -60, "release": 60, "charge": -40})
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    url = f"{stack.addresses['replicate']}/v1/predictions/{there}"
    assert httpx.get(url, headers=headers, trust_env=False).json()["status"] == "canceled"


def test_removing_a_persona_in_mid_talk_ends_the_talk_and_charges_what_it_used(
    stack: Stack, sign_up: Callable[..., Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """The listener gets no free video: the stream breaks off within seconds."""
    person = sign_up(balance=1000)
    persona = person.persona(portrait_png)
    job = person.talk(persona["id"], message="Tell me about comets in 80 words.")
    fault("anthropic", path="/v1", stall_after=30)
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(lambda: person.http.get(job["urls"]["stream"]).status_code)
        time.sleep(2)
        person.http.delete(f"/v1/personas/{persona['id']}").raise_for_status()
        with pytest.raises(httpx.RemoteProtocolError):
            listening.result(10)
    balance, ledger = account(stack, person)
    assert ledger["charge"] < 0
    assert (balance, ledger["release"]) == (round(1000 + ledger["charge"], 3), 60)


def test_limits_on_running_and_per_minute_answer_429_with_retry_after(
    sign_up: Callable[..., Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """Also when twenty ask at once; a finished job makes room again. A stream counts from when it is opened on."""
    person = sign_up(running_limit=3)
    persona = person.persona(portrait_png)
    body: dict[str, Any] = {"model": "portrait", "input": {"persona": persona["id"]}}
    fault("replicate", path="/v1/models", stuck=True, calls=4)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: person.http.post("/v1/predictions", json=body), range(20)))
    made = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(made), len(refused)) == (3, 17)
    assert {answer.json()["code"] for answer in refused} == {"too_many_requests"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 30 for answer in refused)
    waiting = person.talk(persona["id"], say="Hi.")
    assert person.http.get(waiting["urls"]["stream"]).status_code == 429
    person.http.post(made[0]["urls"]["cancel"]).raise_for_status()
    assert person.follow(waiting)
    assert person.http.post("/v1/predictions", json=body).status_code == 201
    busy = sign_up(minute_limit=2)
    persona = busy.persona(portrait_png)
    body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "say": "Hi."}}
    codes = [busy.http.post("/v1/predictions", json=body) for _ in range(3)]
    assert [answer.status_code for answer in codes] == [201, 201, 429]
    assert 1 <= int(codes[2].headers["retry-after"]) <= 60
    busy.http.delete(f"/v1/personas/{persona['id']}").raise_for_status()
    persona = busy.persona()
    body["input"] = {"persona": persona["id"]}
    body["model"] = "portrait"
    assert busy.http.post("/v1/predictions", json=body).status_code == 429  # removing makes no room
    assert busy.http.post("/v1/personas", json={"name": "One too many"}).status_code == 429
