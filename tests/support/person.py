"""Somebody who uses the backend, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import jwt

from local.stack import Stack

WOMAN = "a friendly young woman with fair skin, auburn hair in a bun, no glasses, no hat, a teal sweater"


class Person:
    """A signed-up user and their HTTP client, with credits and limits that a whole test run does not reach."""

    def __init__(self, stack: Stack, **account: int) -> None:
        self.token = stack.user(f"{uuid4().hex}@example.com")
        self.id = str(jwt.decode(self.token, options={"verify_signature": False})["sub"])
        secret = stack.settings["SUPABASE_SECRET_KEY"]
        allowed = {"balance": 1_000_000, "running_limit": 1000, "minute_limit": 10_000, **account}
        httpx.post(
            f"{stack.settings['SUPABASE_URL']}/rest/v1/accounts",
            json={"owner": self.id, **allowed},
            headers={"apikey": secret, "Authorization": f"Bearer {secret}"},
            trust_env=False,
        ).raise_for_status()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.http = httpx.Client(base_url=stack.url, headers=headers, timeout=60, trust_env=False)

    def persona(self, portrait: bytes | None = None, **fields: str) -> dict[str, Any]:
        given = {"name": "Ada", "description": "An astronomer who loves the moons of Jupiter.", **fields}
        made = self.http.post("/v1/personas", json=given).raise_for_status().json()
        if portrait is not None:
            where = f"/v1/personas/{made['id']}/portrait"
            made = self.http.put(where, content=portrait, params={"consent": "true"}).raise_for_status().json()
        return dict(made)

    def talk(self, persona: str, **given: Any) -> dict[str, Any]:
        """Create a talk that waits for its stream."""
        body = {"model": "personaforge/talk", "input": {"persona": persona, **given}, "stream": True}
        return dict(self.http.post("/v1/predictions", json=body).raise_for_status().json())

    def follow(self, job: dict[str, Any]) -> bytes:
        with self.http.stream("GET", job["urls"]["stream"]) as answer:
            answer.read()
            answer.raise_for_status()
            return answer.content

    def look(self, job: dict[str, Any]) -> dict[str, Any]:
        return dict(self.http.get(job["urls"]["get"]).raise_for_status().json())
