"""Headers that say too much, or what they cannot mean."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import Attack, Target


def attacks(target: Target) -> Iterator[Attack]:
    body = {"model": "talk", "stream": True, "input": {"persona": target.persona, "say": "Hi."}}
    for value in (
        "-1s",
        "0",
        "4s",
        "2h",
        "99999999999s",
        "1h1h",
        "1e3",
        "now",
        "\u0661s".encode().decode("latin-1"),
        "5" * 19,
        "",
    ):
        yield Attack(
            "headers", f"Cancel-After {value!r}", "POST", "/v1/predictions", (422,), {"Cancel-After": value}, body
        )
    for value in ("wait=-1", "wait=99999999999999", "wait=1e9", "wait=0", "wait;" * 30, "respond-async", "x" * 5000):
        yield Attack(
            "headers", f"Prefer {value[:20]!r}", "POST", "/v1/predictions", (201, 202, 422), {"Prefer": value}, body
        )
    for value in ("", "k" * 201, "k" * 5000, "\xe9", "a, b"):
        headers = {"Idempotency-Key": value}
        yield Attack(
            "headers",
            f"Idempotency-Key {value[:9]!r} {len(value)}",
            "POST",
            "/v1/predictions",
            (201, 422, 409),
            headers,
            body,
        )
    for name, value in {
        "Content-Length": "0",
        "Expect": "100-continue",
        "X-Forwarded-Host": "evil.example",
        "X-HTTP-Method-Override": "DELETE",
        "Accept": "application/xml",
        "Accept-Encoding": "gzip;q=9999",
        "Origin": "null",
        "Range": "bytes=0-0,1-1,2-2",
        "traceparent": "00-" + "f" * 5000,
    }.items():
        yield Attack("headers", name, "GET", "/v1/predictions", (), {name: value})
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"):
        for path in ("/v1/predictions", "/v1/gallery", f"/v1/talk/{target.waiting}"):
            yield Attack("headers", f"{method} {path[:12]}", method, path, (400, 405, 422))
