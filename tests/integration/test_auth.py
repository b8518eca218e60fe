"""Tokens: verified here, forged ones refused, published keys used."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from local.stack import Stack
from shared.core.auth import Authenticator
from shared.core.errors import StoreUnavailable, Unauthenticated
from shared.core.settings import Settings


def claims(**change: Any) -> dict[str, Any]:
    return {"sub": str(uuid4()), "aud": "authenticated", "role": "authenticated", "exp": time.time() + 60, **change}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exp": time.time() - 10}, "expired"),
        ({"aud": "other"}, "not valid"),
        ({"sub": "root"}, "not valid"),
        ({"exp": None}, "not valid"),
    ],
    ids=["expired", "other-audience", "no-uuid", "no-expiry"],
)
def test_a_token_that_is_not_right_is_refused(stack: Stack, change: dict[str, Any], says: str) -> None:
    """401 problem+json says what is wrong, never the token."""
    body = {key: value for key, value in claims(**change).items() if value is not None}
    token = jwt.encode(body, stack.settings["SUPABASE_JWT_SECRET"], "HS256")
    answer = httpx.get(f"{stack.url}/v1/personas", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert says in answer.json()["detail"]
    assert token not in answer.text


@pytest.mark.parametrize("path", ["/v1/personas", "/v1/gallery", "/v1/predictions", "/v1/talk/x", "/v1/predictions/x"])
def test_every_address_wants_a_token(stack: Stack, path: str) -> None:
    """Without one, with a forged one, with `alg: none`, or with another scheme: 401."""
    forged = jwt.encode(claims(), "another secret, long enough to be one, really", "HS256")
    none = jwt.encode(claims(), None, algorithm="none")  # type: ignore[arg-type]
    for header in (None, f"Bearer {forged}", f"Bearer {none}", "Bearer x.y.z", "Bearer", "Basic YTpi"):
        headers = {} if header is None else {"Authorization": header}
        answer = httpx.get(f"{stack.url}{path}", headers=headers, trust_env=False)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


class Jwks:
    """A project's published keys, served over HTTP; counts how often it is asked."""

    def __init__(self) -> None:
        self.keys = {"first": ec.generate_private_key(ec.SECP256R1())}
        self.asked = 0
        self.broken = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                body = json.dumps({"keys": [outer.public(name) for name in outer.keys]}).encode()
                self.send_response(500 if outer.broken else 200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def public(self, name: str) -> dict[str, Any]:
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.keys[name].public_key()))
        return {**key, "kid": name, "alg": "ES256", "use": "sig"}

    def token(self, name: str, **change: Any) -> str:
        key = self.keys.get(name) or ec.generate_private_key(ec.SECP256R1())
        return jwt.encode(claims(**change), key, "ES256", headers={"kid": name})


@pytest.fixture
def jwks() -> Iterator[Jwks]:
    found = Jwks()
    yield found
    found.server.shutdown()
    found.server.server_close()


def run(work: Callable[[Authenticator], Any], url: str) -> None:
    import asyncio

    async def main() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            await work(Authenticator(Settings({"SUPABASE_URL": url}), http))

    asyncio.run(main())


def test_published_keys_verify_tokens_and_are_asked_for_once(jwks: Jwks) -> None:
    """ES256: a hundred tokens cost one request; HS256 is refused when the project has no secret."""

    async def work(authenticator: Authenticator) -> None:
        for _ in range(100):
            await authenticator.user(f"Bearer {jwks.token('first')}")
        assert jwks.asked == 1
        with pytest.raises(Unauthenticated):
            await authenticator.user("Bearer " + jwt.encode(claims(), "x" * 40, "HS256"))

    run(work, jwks.url)


def test_unknown_keys_do_not_become_a_flood(jwks: Jwks) -> None:
    """Forged key ids are refused without asking each time."""

    async def work(authenticator: Authenticator) -> None:
        for number in range(50):
            with pytest.raises(Unauthenticated):
                await authenticator.user(f"Bearer {jwks.token(f'forged{number}')}")
        assert jwks.asked <= 2

    run(work, jwks.url)


def test_keys_that_cannot_be_had_are_a_503_not_a_401(jwks: Jwks) -> None:
    """A user is not told to sign in again because Supabase is down."""
    jwks.broken = True

    async def work(authenticator: Authenticator) -> None:
        with pytest.raises(StoreUnavailable):
            await authenticator.user(f"Bearer {jwks.token('first')}")

    run(work, jwks.url)
