"""fal runs hosted models: short clips with speech and sound. Jobs in its queue, over plain HTTP.

Its SDK repeats a submission on every lost answer, up to ten times: each would be paid. Here it is sent once.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any

import httpx

from shared.core import telemetry
from shared.core.errors import ForgeError, ProviderFailed, ProviderTimeout, provider_error
from shared.core.settings import Settings
from shared.providers.job import Job, download, json_object, status

NAME = "fal"
APP = r"^[\w-]+/[\w-]+$"  # the first two names of a model, under which its jobs are found
AGE = 300  # seconds old that a webhook may be, as fal's documentation asks
KEYS_AGE = 86_400  # seconds for which its public keys may be kept


class Fal:
    """A JobProvider. A job's id is its path at fal, such as `fal-ai/ovi/requests/{request_id}`."""

    name = NAME

    def __init__(self, settings: Settings) -> None:
        """Raises SettingMissing without a key, which only clips need."""
        self._base = settings.fal_base_url.rstrip("/")
        self._keys_url = settings.fal_keys_url
        headers = {"Authorization": f"Key {settings.fal_key}"}
        self._client = httpx.AsyncClient(headers=headers, timeout=30)
        self._plain = httpx.AsyncClient(timeout=30, follow_redirects=True)  # files and keys: never with our token
        self._keys: list[bytes] = []
        self._keys_until = 0.0
        self._reading_keys = asyncio.Lock()

    async def close(self) -> None:
        await self._client.aclose()
        await self._plain.aclose()

    async def start(self, model: str, inputs: dict[str, Any], webhook: str | None = None) -> Job:
        """One attempt. webhook: where fal says that it is completed; it names the request, but not the app."""
        app = "/".join(model.split("/")[:2])  # fal's addresses of jobs leave out what follows
        parameters = {"fal_webhook": f"{webhook}?app={app}"} if webhook else {}
        found = await self._ask("submit", "POST", f"{self._base}/{model}", json=inputs, params=parameters)
        request_id = found.get("request_id")
        if not isinstance(request_id, str) or not request_id:
            raise ProviderFailed(NAME, "fal's answer is not what its interface promises.")
        return Job(f"{app}/requests/{request_id}", "starting")

    async def look(self, job_id: str) -> Job:
        """COMPLETED is no success: the result itself says what became of it."""
        address = f"{self._base}/{job_id}"
        found = await self._ask("status", "GET", f"{address}/status", polls=True, params={"logs": "1"})
        state = status(NAME, found.get("status"))
        if state != "succeeded":
            return Job(job_id, state, logs=_logs(found))
        if found.get("error"):
            return Job(job_id, "failed", error=_reason(found))
        with telemetry.call(NAME, "result"):
            answer = await self._send("GET", address)
        if answer.is_success:
            video = json_object(NAME, answer).get("video")
            seconds = (found.get("metrics") or {}).get("inference_time")
            output = video.get("url") if isinstance(video, dict) else None
            return Job(job_id, "succeeded", str(output) if output else None, None, seconds)
        refused = answer.status_code in (400, 422) or "x-fal-error-type" in answer.headers
        if not refused:  # a key that is wrong by now, or too many requests: the clip is there all the same
            raise provider_error(NAME, answer.status_code, f"fal answered {answer.status_code}.")
        return Job(job_id, "failed", error=_reason(json_object(NAME, answer)))

    async def cancel(self, job_id: str) -> None:
        with telemetry.call(NAME, "cancel"):
            answer = await self._send("PUT", f"{self._base}/{job_id}/cancel")
        if answer.status_code not in (200, 202, 400, 404):  # 400: completed already
            raise provider_error(NAME, answer.status_code, f"fal answered {answer.status_code}.")

    async def fetch(self, address: str) -> bytes:
        return await download(NAME, self._plain, address)

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a webhook is fal's, and not older than five minutes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        names = ("request-id", "user-id", "timestamp", "signature")
        request_id, user_id, stamp, signature = (headers.get(f"x-fal-webhook-{name}", "") for name in names)
        try:
            if abs(time.time() - int(stamp)) > AGE:
                return False
            signed = bytes.fromhex(signature)
        except ValueError:
            return False
        message = "\n".join([request_id, user_id, stamp, hashlib.sha256(body).hexdigest()]).encode()
        for key in await self._public_keys():
            try:
                Ed25519PublicKey.from_public_bytes(key).verify(signed, message)
            except (InvalidSignature, ValueError):
                continue
            return True
        return False

    async def _public_keys(self) -> list[bytes]:
        async with self._reading_keys:  # once, however many webhooks come at once
            if time.monotonic() > self._keys_until:
                try:
                    answer = await self._plain.get(self._keys_url)
                    found = answer.raise_for_status().json()["keys"]
                    self._keys = [urlsafe_b64decode(key["x"] + "==") for key in found if key.get("crv") == "Ed25519"]
                except Exception as error:
                    raise translate(error) from error
                self._keys_until = time.monotonic() + KEYS_AGE
            return self._keys

    async def _ask(
        self, operation: str, method: str, address: str, *, polls: bool = False, **options: Any
    ) -> dict[str, Any]:
        with telemetry.call(NAME, operation, polls=polls):
            answer = await self._send(method, address, **options)
            if answer.is_error:
                raise provider_error(
                    NAME, answer.status_code, f"fal answered {answer.status_code}.", answer.headers.get("retry-after")
                )
            return json_object(NAME, answer)

    async def _send(self, method: str, address: str, **options: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(30):
                return await self._client.request(method, address, **options)
        except Exception as error:
            raise translate(error) from error


def translate(error: Exception) -> ForgeError:
    """The error for one of httpx's."""
    if isinstance(error, ForgeError):
        return error
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return ProviderTimeout(NAME, "fal did not answer in time.")
    if isinstance(error, (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict)):
        return ProviderFailed(NAME, "The connection to fal failed.")
    if isinstance(error, (httpx.InvalidURL, ValueError, KeyError)):
        return ProviderFailed(NAME, "fal's answer is not what its interface promises.")
    return ForgeError("An unexpected error in the adapter of fal; it has been logged.")


def _logs(found: dict[str, Any]) -> str:
    lines = found.get("logs")
    told = [line.get("message") for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    return "\n".join(line for line in told if isinstance(line, str))[-2000:]


def _reason(found: dict[str, Any]) -> str:
    """Why it failed, without what was sent."""
    kind, detail = found.get("error_type"), found.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        kind = kind or detail[0].get("type")
        detail = detail[0].get("msg")
    if kind == "content_policy_violation":
        return "It refused this scene. Change the words and try again."
    return str(detail or found.get("error") or "no reason given")[:300]
