"""Loops are made by themselves: tests wait for them."""

from __future__ import annotations

import time
from typing import Any

from tests.support.person import Person


def loops(person: Person, persona: dict[str, Any], *, other_than: str | None = None) -> dict[str, Any]:
    """The persona once it has its loops."""
    limit = time.monotonic() + 40
    while time.monotonic() < limit:
        found = person.http.get(f"/v1/personas/{persona['id']}").raise_for_status().json()
        if found["idle"] and found["idle"] != other_than:
            return dict(found)
        time.sleep(0.2)
    raise AssertionError("no loops within 40 s")
