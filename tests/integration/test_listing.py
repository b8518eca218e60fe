"""What Replicate's clients list and search."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

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
