"""Replicate runs hosted models: portraits and lip-sync. Jobs there, polled by whoever wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, TypeVar

import httpx

from shared.core import telemetry
from shared.core.errors import ProviderFailed, ProviderTimeout, of_status
from shared.core.settings import Settings

NAME = "replicate"
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """A prediction at Replicate. `output` is the address of its file, alive for an hour."""

    id: str
    status: Literal["starting", "processing", "succeeded", "failed", "canceled"]
    output: str | None
    error: str | None
    seconds: float | None = None  # of computing


class Replicate:
    """Create, look, cancel, fetch. Creating is never repeated: it might run twice."""

    def __init__(self, settings: Settings) -> None:
        import replicate

        self.portrait_model = settings.replicate_portrait_model
        self.lipsync_model = settings.replicate_lipsync_model
        self._secret = settings.replicate_webhook_secret
        self._client = replicate.Client(api_token=settings.replicate_api_token, base_url=settings.replicate_base_url)
        self._plain = httpx.AsyncClient(timeout=30, follow_redirects=True)  # files: never with our token

    async def close(self) -> None:
        await self._plain.aclose()

    async def start(self, model: str, given: dict[str, Any], webhook: str | None = None) -> Job:
        """Start `owner/name` or `owner/name:version`. webhook: where Replicate says that it is completed."""
        told: dict[str, Any] = {"webhook": webhook, "webhook_events_filter": ["completed"]} if webhook else {}
        if ":" in model:
            call = self._client.predictions.async_create(version=model.split(":")[1], input=given, **told)
        else:
            call = self._client.models.predictions.async_create(model=model, input=given, **told)
        return _job(await self._run("create", call, 30))

    async def signed(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a webhook is Replicate's, and not older than five minutes."""
        from standardwebhooks import Webhook, WebhookVerificationError

        if not self._secret:
            self._secret = (await self._run("secret", self._client.webhooks.default.async_secret(), 15)).key
        try:
            Webhook(self._secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: a header that is none at all
            return False
        return True

    async def look(self, job_id: str) -> Job:
        return _job(await self._run("get", self._client.predictions.async_get(job_id), 15))

    async def cancel(self, job_id: str) -> None:
        await self._run("cancel", self._client.predictions.async_cancel(job_id), 15)

    async def upload(self, data: bytes, name: str) -> str:
        """Give Replicate a file; returns the address to pass as an input."""
        file = BytesIO(data)
        file.name = name
        made = await self._run("upload", self._client.files.async_create(file, filename=name), 60)
        return str(made.urls["get"])

    async def fetch(self, address: str, most: int = 100 * 1024 * 1024) -> bytes:
        """Download an output. Raises ProviderFailed when it is gone or larger than `most` bytes."""
        with telemetry.call(NAME, "fetch"):
            try:
                async with asyncio.timeout(60), self._plain.stream("GET", address) as answer:
                    if answer.status_code != 200:
                        raise of_status(NAME, answer.status_code, f"Its output answered {answer.status_code}.")
                    data = bytearray()
                    async for chunk in answer.aiter_bytes():
                        data += chunk
                        if len(data) > most:
                            raise ProviderFailed(NAME, f"Its output has more than {most // 2**20} MiB.")
                    return bytes(data)
            except (httpx.TimeoutException, TimeoutError) as error:
                raise ProviderTimeout(NAME, "Its output did not arrive in time.") from error
            except httpx.HTTPError as error:
                raise ProviderFailed(NAME, "Its output could not be fetched.") from error

    @staticmethod
    async def _run(operation: str, call: Awaitable[T], seconds: float) -> T:
        from replicate.exceptions import ReplicateError

        with telemetry.call(NAME, operation):
            try:
                async with asyncio.timeout(seconds):
                    return await call
            except ReplicateError as error:
                status = error.status or 502
                raise of_status(NAME, status, f"Replicate answered {status} ({error.title or 'no title'}).") from error
            except (httpx.TimeoutException, TimeoutError) as error:
                raise ProviderTimeout(NAME, "Replicate did not answer in time.") from error
            except httpx.HTTPError as error:
                raise ProviderFailed(NAME, "The connection to Replicate failed.") from error
            except ValueError as error:
                raise ProviderFailed(NAME, "Replicate's answer is not what its interface promises.") from error


def _job(found: Any) -> Job:
    output = found.output[0] if isinstance(found.output, list) and found.output else found.output
    seconds = (found.metrics or {}).get("predict_time")
    return Job(found.id, found.status, str(output) if output else None, found.error, seconds)
