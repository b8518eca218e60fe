"""Attacks on a running backend: everything in tests/attacks, one after the other, and what does not hold."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt

from local.portrait import draw
from local.stack import Stack
from shared.core.errors import InvalidInput
from tests.attacks import Attack, Target, corpus

SLOWEST = 15.0  # seconds for an answer: decoding is stopped after 10
ORIGIN = "https://example.com"


@dataclass(frozen=True)
class Failure:
    """An attack that was not held off, and what was answered."""

    kind: str
    name: str
    request: str
    problem: str


def check_loopback(url: str) -> None:
    """Raises InvalidInput: this is for one's own machine."""
    host = httpx.URL(url).host
    try:
        near = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        near = False
    if not near:
        raise InvalidInput(f"Only a backend on this machine is attacked, and {host or url!r} is not.")


def prepare(url: str, token: str, database: str | None = None, key: str = "") -> Target:
    """Make what the attacks refer to: a persona with a portrait, a talk that has ended, one that waits."""
    with _client(url, token) as http:
        persona = http.post("/v1/personas", json={"name": "Target"}).raise_for_status().json()["id"]
        png = draw("a friendly woman with auburn hair")
        http.put(f"/v1/personas/{persona}/portrait?consent=true", content=png).raise_for_status()

        def talk(**more: Any) -> dict[str, Any]:
            body = {"model": "talk", "input": {"persona": persona, "say": "Before the attack."}, **more}
            made = http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"})
            return dict(made.raise_for_status().json())

        return Target(url, token, persona, talk()["id"], talk(stream=True)["id"], database, key)


def run(target: Target, secrets: tuple[str, ...] = ()) -> tuple[int, list[Failure]]:
    """How many were tried, and which did not hold. secrets: what no answer may contain."""
    tried, failures, kind = 0, list[Failure](), ""
    with _client(target.url, target.token) as http:
        for attack in corpus(target):
            if attack.kind != kind and kind:
                failures += _still_well(http, kind)
            kind = attack.kind
            tried += 1
            if problem := _attempt(http, target, attack, secrets):
                failures.append(Failure(attack.kind, attack.name, f"{attack.method} {attack.path[:100]}", problem))
        failures += _still_well(http, kind)
    return tried, failures


def run_on(stack: Stack) -> tuple[int, list[Failure]]:
    """Attack a stack that this machine has started, as a user whose limits do not protect it."""
    token = stack.user("attacker@example.com")
    secret, publishable = stack.settings["SUPABASE_SECRET_KEY"], stack.settings["SUPABASE_PUBLISHABLE_KEY"]
    database = f"{stack.settings['SUPABASE_URL']}/rest/v1"
    owner = jwt.decode(token, options={"verify_signature": False})["sub"]
    account = {"owner": owner, "balance": 1_000_000, "running_limit": 10_000, "minute_limit": 100_000}
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
    httpx.post(f"{database}/accounts", json=account, headers=headers, trust_env=False).raise_for_status()
    hidden = tuple(value for name, value in stack.settings.items() if name.endswith(("_SECRET", "_KEY", "_TOKEN")))
    secrets = tuple(value for value in hidden if value and value != publishable)
    return run(prepare(stack.url, token, database, publishable), secrets)


def _client(url: str, token: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}", "Origin": ORIGIN}
    return httpx.Client(base_url=url, headers=headers, timeout=SLOWEST, trust_env=False)


def _attempt(http: httpx.Client, target: Target, attack: Attack, secrets: tuple[str, ...]) -> str | None:
    """Why it did not hold."""
    content, headers = attack.content, {**attack.headers}
    if attack.json is not None:
        content = json.dumps(attack.json).encode()  # as ASCII: half a surrogate can be sent so
        headers.setdefault("Content-Type", "application/json")
    if attack.database:
        headers["apikey"] = target.key
    url = f"{target.database}{attack.path}" if attack.database else attack.path
    try:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        answer = http.request(attack.method, url, content=content, headers=sent)
    except httpx.HTTPError as error:
        return f"no answer: {type(error).__name__}"
    return "; ".join(_wrong(attack, answer, secrets)) or None


def _wrong(attack: Attack, answer: httpx.Response, secrets: tuple[str, ...]) -> Iterator[str]:
    if (answer.status_code >= 500 and not attack.database) or (
        attack.statuses and answer.status_code not in attack.statuses
    ):
        yield f"answered {answer.status_code}: {answer.text[:200]}"
    if any(secret in answer.text for secret in secrets):
        yield "a secret is in the answer"
    if attack.database or answer.status_code < 400:
        return
    if answer.headers.get("content-type") != "application/problem+json":
        yield f"an error as {answer.headers.get('content-type')}: {answer.text[:100]}"
    elif not {"title", "detail", "code", "status"} <= set(answer.json()):
        yield "a problem that does not say what is wrong"
    if answer.headers.get("access-control-allow-origin") != "*":
        yield "browsers may not read the error"


def _still_well(http: httpx.Client, kind: str) -> list[Failure]:
    """Others must be answered as before."""
    started = time.monotonic()
    try:
        status: object = http.get("/v1/personas").status_code
    except httpx.HTTPError as error:
        status = type(error).__name__
    took = time.monotonic() - started
    if status == 200 and took < 2:
        return []
    return [Failure(kind, "afterwards", "GET /v1/personas", f"answered {status} after {took:.1f} s")]
