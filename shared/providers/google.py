"""Google's sign-in for servers: a person's consent, and access tokens from it. Over plain HTTP: three requests."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from shared.core import telemetry
from shared.core.errors import ForgeError, ProviderBusy, ProviderFailed, ProviderTimeout, provider_error
from shared.core.settings import Settings
from shared.providers.job import json_object

NAME = "google"
# force-ssl: upload, update, captions, thumbnails, reading back; youtube.upload may not change what it uploaded.
SCOPES = (
    "https://www.googleapis.com/auth/youtube.force-ssl",
    "https://www.googleapis.com/auth/yt-analytics.readonly",
)

# What films earn: asked for, and done without where it is not given or the channel earns nothing.
MONETARY = "https://www.googleapis.com/auth/yt-analytics-monetary.readonly"


class NeedsReconnect(ForgeError):
    """The consent is gone: withdrawn, unused for months, or given to an app in testing for more than a week."""

    code, status, title = "needs_reconnect", 409, "The account has to be connected again"


@dataclass(frozen=True)
class Grant:
    """What a person has consented to. scopes: they may have ticked fewer than were asked."""

    access_token: str
    refresh_token: str
    scopes: frozenset[str]


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The body of a refusal, where it is one."""
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class Google:
    """Every call raises ProviderFailed."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._id, self._secret = settings.youtube_client_id, settings.youtube_client_secret
        self._consent, self._tokens, self._http = settings.google_consent_url, settings.google_token_url, http

    @property
    def on(self) -> bool:
        return bool(self._id and self._secret)

    def consent_address(self, state: str, verifier: str, redirect: str) -> str:
        """Where the person consents. verifier: of PKCE, kept until they come back."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        # Without `offline` there is no refresh token, and without `consent` none for who has consented before.
        asked = {
            "client_id": self._id, "redirect_uri": redirect, "response_type": "code",
            "scope": " ".join((*SCOPES, MONETARY)),
            "access_type": "offline", "prompt": "consent", "include_granted_scopes": "true", "state": state,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return f"{self._consent}?{urlencode(asked)}"

    async def exchange(self, code: str, verifier: str, redirect: str) -> Grant:
        """Raises NeedsReconnect for a code that was used, is old, or was not asked for by us."""
        found = await self._ask(
            grant_type="authorization_code", code=code, code_verifier=verifier, redirect_uri=redirect
        )
        if not found.get("refresh_token"):
            raise NeedsReconnect("Google gave no lasting consent. Connect the channel again.")
        return Grant(str(found["access_token"]), str(found["refresh_token"]), frozenset(str(found["scope"]).split()))

    async def access_token(self, refresh_token: str) -> str:
        """A new one, good for an hour. Raises NeedsReconnect."""
        found = await self._ask(grant_type="refresh_token", refresh_token=refresh_token)
        return str(found["access_token"])

    async def revoke(self, refresh_token: str) -> None:
        """Give the consent back; one that is gone already included."""
        answer = await self._post("revoke", {"token": refresh_token})
        if answer.status_code not in (200, 400):
            raise provider_error(NAME, answer.status_code, "Google did not take the consent back.")

    async def _ask(self, **form: str) -> dict[str, Any]:
        answer = await self._post("token", {"client_id": self._id, "client_secret": self._secret, **form})
        if answer.is_success:
            return json_object(NAME, answer)
        found = error_of(answer)
        if found.get("error") == "invalid_grant":  # also where a clock is wrong
            raise NeedsReconnect("Google does not know this consent any more. Connect the channel again.")
        if answer.status_code >= 500:
            raise ProviderBusy(NAME, "Google gives no token just now.", provider_status=answer.status_code)
        why = found.get("error")
        raise provider_error(
            NAME, answer.status_code, f"Google refused a token ({why if isinstance(why, str) else 'it says not why'})."
        )

    async def _post(self, path: str, form: dict[str, str]) -> httpx.Response:
        with telemetry.call(NAME, path):
            try:
                return await self._http.post(f"{self._tokens}/{path}", data=form)
            except httpx.TimeoutException as error:
                raise ProviderTimeout(NAME, "Google did not answer in time.") from error
            except httpx.HTTPError as error:
                raise ProviderFailed(NAME, "The connection to Google failed.") from error
