"""Who is calling: Supabase access tokens, verified here without asking Supabase."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import jwt

from shared.core.errors import StoreUnavailable, Unauthenticated
from shared.core.settings import Settings

_KEYS_LIVE = 600  # seconds; rotated keys overlap for longer than that
_LEEWAY = 10  # seconds by which clocks may differ
_KEYS_RETRY = 10  # seconds between two attempts to read them


@dataclass(frozen=True)
class User:
    """The caller: their uuid, and the token with which the store is asked on their behalf."""

    id: UUID
    token: str


class Authenticator:
    """Verifies HS256 tokens with the project's secret, ES256 and RS256 ones with its published keys (JWKS)."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._secret = settings.supabase_jwt_secret
        self._jwks_url = f"{settings.supabase_url}/auth/v1/.well-known/jwks.json"
        self._http = http
        self._keys: dict[str, Any] = {}
        self._fetched = self._tried = -float(_KEYS_LIVE)
        self._down = False
        self._fetching = asyncio.Lock()

    async def user(self, authorization: str | None) -> User:
        """The user of an Authorization header. Raises Unauthenticated with what is wrong with it."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() not in ("bearer", "token") or not token:  # Replicate's older clients say Token
            raise Unauthenticated("Send the user's Supabase access token as `Authorization: Bearer <token>`.")
        try:
            claims = await self._claims(token)
            return User(UUID(claims["sub"]), token)
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("The access token has expired. Refresh the session and retry.") from error
        except (
            jwt.PyJWTError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:  # also of a key of another kind
            raise Unauthenticated("The access token is not valid for this project.") from error

    async def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid", "")
        key: Any
        if algorithm == "HS256" and self._secret:
            key = self._secret
        elif algorithm in ("ES256", "RS256"):
            key = await self._key(key_id)
        else:
            raise jwt.InvalidAlgorithmError(str(algorithm))
        return jwt.decode(
            token, key, algorithms=[algorithm], audience="authenticated", leeway=_LEEWAY,
            options={"require": ["exp", "sub"]},
        )  # fmt: skip

    async def _key(self, key_id: str) -> Any:
        now = time.monotonic()
        if key_id in self._keys and now - self._fetched < _KEYS_LIVE:
            return self._keys[key_id]
        async with self._fetching:
            # Unknown key ids are looked up again, but a flood of forged ones, or of failures, is not passed on.
            if time.monotonic() - self._tried > _KEYS_RETRY:
                self._tried = time.monotonic()
                self._down = not await self._fetch()
        if key_id in self._keys:
            return self._keys[key_id]  # also when they are old and Supabase does not answer
        if self._down:
            raise StoreUnavailable("Supabase did not answer with its signing keys.")
        raise jwt.InvalidKeyError(key_id)

    async def _fetch(self) -> bool:
        """Read the published keys; returns whether they could be had."""
        try:
            answer = await self._http.get(self._jwks_url, timeout=5)
            published: list[Any] = []
            if answer.status_code != 404:  # a project that signs with its secret alone publishes none
                answer.raise_for_status()
                published = answer.json()["keys"]
            found = jwt.PyJWKSet.from_dict({"keys": published}).keys if published else []
        except (httpx.HTTPError, jwt.PyJWTError, ValueError, KeyError, TypeError):
            return False
        self._keys = {key.key_id: key.key for key in found if key.key_id}
        self._fetched = time.monotonic()
        return True
