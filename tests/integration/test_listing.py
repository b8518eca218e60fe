"""What Replicate's clients list and search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.person import Person

pytestmark = pytest.mark.slow


def test_models_are_searched_and_their_versions_listed(person: Person) -> None:
    """QUERY with a text as its body; addresses are whole."""
    found = person.http.request("QUERY", "/v1/models", content="sound moves", headers={"Content-Type": "text/plain"})
    assert [model["name"] for model in found.json()["results"]] == ["lipsync"]
    assert person.http.request("QUERY", "/v1/models", content="zebra").json()["results"] == []
    model = person.http.get("/v1/models/personaforge/talk").json()
    assert person.http.get(model["url"]).json() == model
    versions = person.http.get("/v1/models/personaforge/talk/versions").json()["results"]
    assert versions == [model["latest_version"]]


def test_predictions_are_listed_by_when_they_were_created(person: Person, persona: dict[str, Any]) -> None:
    """From one moment, included, to another, excluded; time from creation to the end stands in `metrics`."""
    jobs = [person.talk(persona["id"], say=f"Number {number}.") for number in range(3)]
    person.follow(jobs[1])
    times = [job["created_at"] for job in jobs]

    def listed(**where: str) -> list[str]:
        answer = person.http.get(f"/v1/predictions?{urlencode(where)}").raise_for_status()
        return [one["id"] for one in answer.json()["results"]]

    assert listed(created_after=times[1], created_before=times[2]) == [jobs[1]["id"]]
    assert listed(created_after=times[1])[:2] == [jobs[2]["id"], jobs[1]["id"]]
    assert listed(source="web") == []
    assert person.http.get("/v1/predictions?created_after=soon").status_code == 422
    done = person.look(jobs[1])
    assert done["metrics"]["total_time"] >= done["metrics"]["predict_time"] > 0


def test_pages_lead_back_to_where_one_came_from(person: Person, persona: dict[str, Any]) -> None:
    """`next` and `previous` of 120 predictions, forth and back, name each once and in the same order."""
    jobs = [person.talk(persona["id"], say=f"Number {number}.") for number in range(120)]
    where = urlencode({"created_after": jobs[0]["created_at"]})
    pages = [person.http.get(f"/v1/predictions?{where}").json()]
    while pages[-1]["next"]:
        pages.append(person.http.get(pages[-1]["next"]).json())
    forth = [[one["id"] for one in page["results"]] for page in pages]
    assert [len(page) for page in forth] == [50, 50, 20]
    assert pages[0]["previous"] is None
    back = [pages[-1]]
    while back[-1]["previous"]:
        back.append(person.http.get(back[-1]["previous"]).json())
    assert [[one["id"] for one in page["results"]] for page in back] == forth[::-1]
    assert person.http.get(back[1]["next"]).json()["results"] == pages[-1]["results"]


def test_an_account_says_whose_token_it_is(sign_up: Callable[[], Person]) -> None:
    """As Replicate's GET /v1/account, with the credits that are left."""
    person = sign_up()
    found = person.http.get("/v1/account").raise_for_status().json()
    assert (found["type"], found["username"], found["balance"]) == ("user", person.id, 1_000_000)
    assert httpx.get(f"{person.http.base_url}/v1/account", trust_env=False).status_code == 401


@pytest.mark.parametrize("path", ["/v1/models", "/v1/predictions", "/v1/personas", "/v1/gallery", "/v1/account"])
def test_what_answers_get_answers_head_without_a_body(person: Person, path: str) -> None:
    """Status and type are those of GET."""
    head, whole = person.http.head(path), person.http.get(path)
    assert whole.status_code == 200, whole.text
    assert (head.status_code, head.headers["content-type"]) == (200, whole.headers["content-type"])
    assert head.content == b""
