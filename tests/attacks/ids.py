"""Ids that nobody gave out, wherever an address holds one."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from tests.attacks import Attack, Target


def attacks(target: Target) -> Iterator[Attack]:
    ids = {
        "a word": "nothing",
        "a number": "0",
        "nil": "00000000-0000-0000-0000-000000000000",
        "somebody": "11111111-2222-4333-8444-555555555555",
        "dots": "%2e%2e",
        "a path": "..%2f..%2fetc%2fpasswd",
        "null character": "%00",
        "not UTF-8": "%ff%fe",
        "quote": "'%22;--",
        "very long": "a" * 3000,
        "star": "*",
        "cut": target.finished[:-3],
        "changed": target.finished[:-1] + ("A" if target.finished[-1] != "A" else "B"),
        "twice": target.finished * 2,
        "full width": quote("\uff11\uff12\uff13"),
    }
    paths = {
        "prediction": ("GET", "/v1/predictions/{}"),
        "cancel": ("POST", "/v1/predictions/{}/cancel"),
        "talk": ("GET", "/v1/talk/{}"),
        "persona": ("GET", "/v1/personas/{}"),
        "removal": ("DELETE", "/v1/personas/{}"),
        "file": ("GET", "/v1/files/{}"),
        "model": ("GET", "/v1/models/personaforge/{}"),
        "version": ("GET", "/v1/models/personaforge/talk/versions/{}"),
        "webhook": ("POST", "/v1/webhooks/replicate/{}"),
    }
    refused = (400, 401, 404, 405, 409, 422)
    for name, value in ids.items():
        for place, (method, path) in paths.items():
            yield Attack("ids", f"{name} as {place}", method, path.format(value), refused)
    opened = f"/v1/talk/{target.finished}"
    yield Attack("ids", "a talk that has ended, opened", "GET", opened, (409,))
    yield Attack("ids", "a talk that has ended, as events", "GET", opened, (409,), {"Accept": "text/event-stream"})
