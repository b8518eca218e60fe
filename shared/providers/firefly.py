"""Adobe Firefly: grounds for thumbnails, three of one prompt in one call. Over plain HTTP: it has no Python client."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx

from shared.core import telemetry
from shared.core.errors import (
    Declined,
    ForgeError,
    ProviderBusy,
    ProviderFailed,
    ProviderRefused,
    ProviderTimeout,
    provider_error,
)
from shared.core.settings import Settings
from shared.providers.job import download, json_object, status

NAME = "firefly"
SCOPE = "openid,AdobeID,session,additional_info,read_organizations,firefly_api,ff_apis"
MODEL = "image4_standard"
SIZES = {"wide": (2688, 1536), "square": (2688, 1536), "tall": (1536, 2688)}  # of its fixed list
PROMPT = 1024  # characters that it takes
POLL, LONGEST = 5.0, 120.0  # seconds: it allows four requests a minute, and may count looks
EARLY = 300  # seconds before the end of a token at which a new one is asked for


class QuotaExhausted(ProviderBusy):
    """The organisation's pictures of this month or day are used up: not a wrong key, though it is a 403 as well."""

    code, title = "quota_exhausted", "Adobe's quota is used up"


class Firefly:
    """Without a key, `on` is False."""

    def __init__(self, settings: Settings, poll: float = POLL) -> None:
        """poll: seconds between two looks."""
        self._id, self._secret, self._poll = settings.firefly_client_id, settings.firefly_client_secret, poll
        self._base, self._tokens = settings.firefly_base_url, settings.firefly_token_url
        self._http = httpx.AsyncClient(timeout=30)
        self._token, self._until = "", 0.0

    @property
    def on(self) -> bool:
        return bool(self._id and self._secret)

    async def close(self) -> None:
        await self._http.aclose()

    async def pictures(self, prompt: str, shape: str, count: int) -> list[bytes]:
        """So many variations, in one call. Their addresses live for an hour: they are fetched at once.

        Raises Declined for what its policy does not allow, QuotaExhausted, ProviderFailed.
        """
        width, height = SIZES[shape]
        body = {
            "prompt": prompt[:PROMPT], "negativePrompt": "text, letters, watermark", "numVariations": count,
            "contentClass": "photo", "size": {"width": width, "height": height},
        }  # fmt: skip
        began = await self._ask("POST", f"{self._base}/v3/images/generate-async", json=body)
        limit = time.monotonic() + LONGEST
        while True:
            found = await self._ask("GET", str(began.get("statusUrl")))
            state = status(NAME, found.get("status"))
            if state == "succeeded":
                break
            if state in ("failed", "canceled"):
                raise ProviderFailed(NAME, "Firefly made no pictures.")
            if time.monotonic() > limit:
                raise ProviderTimeout(NAME, f"Firefly made no pictures within {LONGEST:.0f} s.")
            await asyncio.sleep(self._poll)
        outputs = (found.get("result") or {}).get("outputs") or []
        addresses = [str((one.get("image") or {}).get("url") or "") for one in outputs]
        if not addresses or not all(addresses):
            raise ProviderFailed(NAME, "Firefly's answer names no pictures.")
        return list(await asyncio.gather(*(download(NAME, self._http, address) for address in addresses)))

    async def _ask(self, method: str, address: str, **request: Any) -> dict[str, Any]:
        for renewed in (False, True):
            headers = {"x-api-key": self._id, "x-model-version": MODEL}
            headers["Authorization"] = f"Bearer {await self._access(anew=renewed)}"
            answer = await self._send(method, address, headers=headers, **request)
            if answer.status_code != 401 or renewed:
                break
        if answer.is_success:
            return json_object(NAME, answer)
        raise _refusal(answer)

    async def _access(self, *, anew: bool) -> str:
        """Kept for a day, as long as it lives."""
        if anew or time.monotonic() > self._until:
            form = {"grant_type": "client_credentials", "client_id": self._id, "client_secret": self._secret}
            answer = await self._send("POST", f"{self._tokens}/ims/token/v3", data={**form, "scope": SCOPE})
            if not answer.is_success:
                raise ProviderRefused(NAME, "Adobe does not know FIREFLY_CLIENT_ID and FIREFLY_CLIENT_SECRET.")
            found = json_object(NAME, answer)
            self._token = str(found["access_token"])
            self._until = time.monotonic() + float(found.get("expires_in", 0)) - EARLY
        return self._token

    async def _send(self, method: str, address: str, **request: Any) -> httpx.Response:
        with telemetry.call(NAME, method.lower()):
            try:
                return await self._http.request(method, address, **request)
            except httpx.TimeoutException as error:
                raise ProviderTimeout(NAME, "Firefly did not answer in time.") from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ProviderFailed(NAME, "The connection to Firefly failed.") from error


def _refusal(answer: httpx.Response) -> ForgeError:
    """Its bodies are JSON or, of a request that is too large, HTML: only status and headers are read."""
    status, why = answer.status_code, answer.headers.get("x-access-error", "")
    if status == 403 and why == "quota_exhausted":
        return QuotaExhausted(NAME, "The organisation's pictures are used up.", provider_status=status)
    if status == 451 or (status == 422 and "cai_assertion" in answer.text[:500]):
        return Declined("Firefly's policy does not allow this picture. Another concept may do.")
    if status == 429:
        seconds = answer.headers.get("retry-after", "")
        return ProviderBusy(
            NAME, "It takes four requests a minute.", retry_after=int(seconds) if seconds.isdecimal() else 60
        )
    said = f" ({why})" if why.replace("_", "").isalnum() else ""
    return provider_error(NAME, status, f"Firefly answered {status}{said}.")
