"""Kept files, at the addresses that people are given."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.person import Person

pytestmark = pytest.mark.slow


def get(address: str, **headers: str) -> httpx.Response:
    return httpx.get(
        address, headers={name.replace("_", "-"): value for name, value in headers.items()}, trust_env=False
    )


def test_a_kept_video_is_served_in_parts_and_only_once(person: Person, persona: dict[str, Any]) -> None:
    """Range gives the parts that a player seeks to, If-None-Match spares what it has; captions are text/vtt."""
    job = person.talk(persona["id"], say="Seek to the end of this.")
    person.follow(job)
    done = person.look(job)
    whole = get(done["output"])
    size = len(whole.content)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    first = get(done["output"], range="bytes=0-99")
    assert (first.status_code, first.headers["content-range"]) == (206, f"bytes 0-99/{size}")
    rest = get(done["output"], range="bytes=100-")
    assert first.content + rest.content == whole.content
    assert get(done["output"], range="bytes=-10").content == whole.content[-10:]
    beyond = get(done["output"], range=f"bytes={size}-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    again = get(done["output"], if_none_match=whole.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert get(done["output"], if_none_match='"another"').status_code == 200
    assert get(done["output"], range="bytes=0-99", if_range='"another"').content == whole.content
    captions = get(done["captions"])
    assert captions.headers["content-type"].startswith("text/vtt")
    assert captions.text.startswith("WEBVTT")
    assert get(done["output"].replace(".mp4?", ".mp5?"), range="bytes=0-9").status_code in (400, 403, 404)
