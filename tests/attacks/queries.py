"""Queries of lists."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote

from tests.attacks import Attack, Target


def attacks(_: Target) -> Iterator[Attack]:
    def cursor(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode()

    row = "11111111-2222-4333-8444-555555555555"
    cursors = {
        "a word": "x",
        "not UTF-8": quote(b"\xff"),
        "a list": cursor("[]"),
        "brackets": cursor("[" * 100),
        "infinity": cursor(f'["infinity", "{row}", false]'),
        "year 0": cursor(f'["0000-01-01", "{row}", false]'),
        "no time": cursor(f'["\\",or(id.neq.x)", "{row}", false]'),
        "no id": cursor('["2026-01-01T00:00:00Z", "*", false]'),
        "far away": cursor(f'["9999-12-31T23:59:59+00:00", "{row}", true]'),
        "very long": "a" * 5000,
    }
    for path in ("/v1/predictions", "/v1/personas", "/v1/gallery"):
        for name, value in cursors.items():
            yield Attack("queries", f"cursor {name} of {path}", "GET", f"{path}?cursor={value}", (200, 422))
    times = (
        "infinity", "-infinity", "soon", "0", "9" * 30, "2026-13-01", "2026-01-01T00:00:00+99:00", "1e9", "",
        "0001-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
    )  # fmt: skip
    for value in times:
        for name in ("created_after", "created_before"):
            yield Attack(
                "queries", f"{name} {value[:12]!r}", "GET", f"/v1/predictions?{name}={quote(value)}", (200, 422)
            )
    for query in ("persona=x", "persona=*", "source=x", "select=*", "cursor=", "persona=&persona=", "a[]=1", "%00=%00"):
        yield Attack("queries", query, "GET", f"/v1/gallery?{query}", (200, 422))
    yield Attack("queries", "a search for brackets", "QUERY", "/v1/models", (200,), content=b'"' + b"[" * 9000)
