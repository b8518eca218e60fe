"""What is kept of a person goes with them: all of it to read, all of it away."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.stack import ROOT, Stack
from shared.accounts.personal_data import TABLES
from tests.support.operator import rest
from tests.support.person import Person


@pytest.fixture
def somebody(sign_up: Callable[..., Person], portrait_png: bytes) -> Person:
    """With a persona, a talk and an upload."""
    person = sign_up()
    persona = person.persona(portrait_png)
    person.follow(person.talk(persona["id"], message="Who are you? Answer in 6 words."))
    person.http.post("/v1/files", files={"content": ("voice.png", portrait_png, "image/png")}).raise_for_status()
    return person


def wait_for_loops(person: Person) -> None:
    """Idle loops are made by themselves, once there is a portrait."""
    limit = time.monotonic() + 60
    while not person.http.get("/v1/personas").json()["results"][0]["poster"]:
        assert time.monotonic() < limit
        time.sleep(0.2)


def erase(person: Person, confirm: str = "") -> httpx.Response:
    return person.http.delete("/v1/account", params={"confirm": confirm or person.id})


def test_everything_that_is_kept_can_be_taken_along(somebody: Person) -> None:
    """By table, with what was said, what it cost, and addresses at which the files can be read; no token of ours."""
    answer = somebody.http.get("/v1/account/export").raise_for_status()
    assert "attachment" in answer.headers["content-disposition"]
    found: dict[str, list[dict[str, Any]]] = answer.json()
    assert set(found) == set(TABLES)
    assert [one["name"] for one in found["personas"]] == ["Ada"]
    assert any("Who are you?" in str(one) for one in found["messages"])
    assert {one["kind"] for one in found["usage"]} >= {"reserve", "charge"}
    assert all(row["owner"] == somebody.id for rows in found.values() for row in rows)
    assert len(found["files"]) >= 4
    for file in found["files"]:
        assert len(httpx.get(file["url"], trust_env=False).raise_for_status().content) == file["bytes"]
    assert "refresh_token" not in answer.text


def test_every_table_with_an_owner_is_in_the_export() -> None:
    """A table that is added later cannot be forgotten."""
    tables = re.findall(r"CREATE TABLE public\.(\w+) \((.*?)\n\);", (ROOT / "supabase/schema.sql").read_text(), re.S)
    assert {name for name, columns in tables if " owner uuid" in columns} == set(TABLES)


def test_an_erasure_leaves_the_books_alone(somebody: Person, sign_up: Callable[..., Person]) -> None:
    """Rows and files are gone, others' are not; the ledger is there without what it was about, and nothing is left
    to spend."""
    other = sign_up()
    other.persona()
    wait_for_loops(somebody)
    files = somebody.http.get("/v1/account/export").json()["files"]
    assert erase(somebody, other.id).status_code == 422
    done = erase(somebody)
    assert done.status_code == 200, done.text
    assert done.json() == {"files": len(files), "user_deleted": False}  # Supabase Lite cannot
    left = {name: rows for name, rows in somebody.http.get("/v1/account/export").json().items() if rows}
    assert set(left) == {"accounts", "usage", "month_usage"}
    assert all(line["prediction_id"] is None for line in left["usage"])
    assert float(left["accounts"][0]["balance"]) == 0
    booked = sum(float(line["credits"]) for line in left["usage"])
    assert booked + 1_000_000 == pytest.approx(0)  # which the test had given past the ledger
    assert all(httpx.get(one["url"], trust_env=False).status_code >= 400 for one in files)
    assert len(other.http.get("/v1/personas").json()["results"]) == 1
    assert erase(somebody).status_code == 200, "again, without a second welcome"
    assert float(somebody.http.get("/v1/account/export").json()["accounts"][0]["balance"]) == 0


def test_what_still_runs_is_stopped_first(sign_up: Callable[..., Person], portrait_png: bytes) -> None:
    """A talk that is under way ends, its receipt is booked, and then everything goes."""
    person = sign_up()
    persona = person.persona(portrait_png)
    job = person.talk(persona["id"], message="Tell me something in 200 words.")
    with person.http.stream("GET", job["urls"]["stream"]) as answer:
        next(answer.iter_bytes())
        for _ in range(20):
            if (done := erase(person)).status_code == 200:
                break
            assert done.status_code == 409
            assert done.json()["detail"].startswith("Something of yours is still being made")
    assert done.status_code == 200
    assert person.http.get("/v1/account/export").json()["predictions"] == []


def test_a_months_limit_is_kept_by_account_and_by_all_together(stack: Stack, sign_up: Callable[..., Person]) -> None:
    """What would go over it is refused with 402 that says when it begins anew; what is given back counts no more."""
    person = sign_up()
    persona = person.persona()
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"]}}
    with rest(stack) as client:
        client.patch("/accounts", params={"owner": f"eq.{person.id}"}, json={"month_limit": 70}).raise_for_status()
        assert person.http.post("/v1/predictions", json=body).status_code == 201
        refused = person.http.post("/v1/predictions", json=body)
        assert (refused.status_code, refused.json()["code"]) == (402, "out_of_credits")
        assert "limit of 70 credits a month" in refused.json()["detail"]
        client.patch("/accounts", params={"owner": f"eq.{person.id}"}, json={"month_limit": None}).raise_for_status()
        client.post("/month_limits", json={"name": "everybody", "credits": 1}).raise_for_status()
        try:
            refused = person.http.post("/v1/predictions", json=body)
        finally:
            client.delete("/month_limits", params={"name": "eq.everybody"}).raise_for_status()
        assert refused.status_code == 402
        assert "what its owner allows" in refused.json()["detail"]
    assert person.http.post("/v1/predictions", json=body).status_code == 201
