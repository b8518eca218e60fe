"""Projects of the studio, as somebody who uses the backend has them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.support.person import Person

IDEA = "why the sea is salt"


def begin(person: Person, persona: dict[str, Any], **given: Any) -> dict[str, Any]:
    body = {"idea": IDEA, "persona": persona["id"], "seconds": 15, "shapes": ["square"], **given}
    return dict(person.http.post("/v1/projects", json=body).raise_for_status().json())


def until(
    person: Person, project: dict[str, Any], reached: Callable[[dict[str, Any]], bool], seconds: float = 90
) -> dict[str, Any]:
    """The project once it is there."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        found = dict(person.http.get(f"/v1/projects/{project['id']}").raise_for_status().json())
        if reached(found):
            return found
        assert found["status"] != "failed" or reached(found), found["error"]
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {found['status']} {found['stage']} {found['error']}")


def waits(gate: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: bool(found["status"] == "waiting" and found["waiting_for"] == gate)
