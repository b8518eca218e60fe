"""Replicate runs hosted models: portraits and lip-sync. Jobs there, polled by whoever wants to know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from shared.core import telemetry
from shared.core.errors import ForgeError, ProviderFailed, ProviderTimeout, provider_error
from shared.core.settings import Settings
from shared.providers.job import Job, download, status

if TYPE_CHECKING:
    from shared.media.types import Samples
    from shared.providers.catalogue import HostedModel

NAME = "replicate"
T = TypeVar("T")


class Replicate:
    """A JobProvider. Starting is never repeated: it might run twice."""

    name = NAME

    def __init__(self, settings: Settings) -> None:
        import replicate

        self._secret = settings.replicate_webhook_secret
        self._reading_secret = asyncio.Lock()
        self._client = replicate.Client(api_token=settings.replicate_api_token, base_url=settings.replicate_base_url)
        self._plain = httpx.AsyncClient(timeout=30, follow_redirects=True)  # files: never with our token

    async def close(self) -> None:
        await self._plain.aclose()
        await self._client._async_client.aclose()  # the SDK has no way to close it

    async def start(self, model: str, inputs: dict[str, Any], webhook: str | None = None) -> Job:
        """Start `owner/name` or `owner/name:version`. webhook: where Replicate says that it is completed."""
        options: dict[str, Any] = {"webhook": webhook, "webhook_events_filter": ["completed"]} if webhook else {}
        if ":" in model:
            call = self._client.predictions.async_create(version=model.split(":")[1], input=inputs, **options)
        else:
            call = self._client.models.predictions.async_create(model=model, input=inputs, **options)
        return _job(await self._run("create", call, 30))

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Whether a webhook is Replicate's, and not older than five minutes."""
        from standardwebhooks import Webhook, WebhookVerificationError

        async with self._reading_secret:  # once, however many webhooks come at once
            if not self._secret:
                self._secret = await self._read_secret()
        try:
            Webhook(self._secret).verify(body, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError):  # ValueError: a header that is none at all
            return False
        return True

    async def _read_secret(self) -> str:
        return str((await self._run("secret", self._client.webhooks.default.async_secret(), 15)).key)

    async def look(self, job_id: str) -> Job:
        return _job(await self._run("get", self._client.predictions.async_get(job_id), 15, polls=True))

    async def cancel(self, job_id: str) -> None:
        await self._run("cancel", self._client.predictions.async_cancel(job_id), 15)

    async def upload(self, data: bytes, name: str) -> str:
        """Give Replicate a file; returns the address to pass as an input."""
        file = BytesIO(data)
        file.name = name
        uploaded = await self._run("upload", self._client.files.async_create(file, filename=name), 60)
        return str(uploaded.urls["get"])

    async def lipsync_inputs(self, model: HostedModel, picture: bytes, samples: Samples) -> dict[str, Any]:
        """What a lip-sync model is given: picture (PNG) and sound, uploaded."""
        from shared.media.audio import encode_wav

        image, audio = await asyncio.gather(
            self.upload(picture, "portrait.png"), self.upload(encode_wav(samples), "voice.wav")
        )
        return model.given(picture=image, sound=audio)

    async def fetch(self, address: str) -> bytes:
        return await download(NAME, self._plain, address)

    @staticmethod
    async def _run(operation: str, call: Awaitable[T], seconds: float, *, polls: bool = False) -> T:
        with telemetry.call(NAME, operation, polls=polls):
            try:
                async with asyncio.timeout(seconds):
                    return await call
            except Exception as error:
                raise translate(error) from error


def translate(error: Exception) -> ForgeError:
    """The error for one of the SDK's."""
    from replicate.exceptions import ReplicateError, ReplicateException

    if isinstance(error, ReplicateError):
        status = error.status or 502
        return provider_error(NAME, status, f"Replicate answered {status} ({error.title or 'no title'}).")
    if isinstance(error, ReplicateException):
        return ProviderFailed(NAME, "The model failed.")
    if isinstance(error, (httpx.TimeoutException, TimeoutError)):
        return ProviderTimeout(NAME, "Replicate did not answer in time.")
    if isinstance(error, (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict)):
        return ProviderFailed(NAME, "The connection to Replicate failed.")
    if isinstance(error, (httpx.InvalidURL, ValueError, KeyError)):
        return ProviderFailed(NAME, "Replicate's answer is not what its interface promises.")
    return ForgeError("An unexpected error in the adapter of Replicate; it has been logged.")


def _job(prediction: Any) -> Job:
    output = prediction.output
    if isinstance(output, list) and output:
        output = output[0]
    seconds = (prediction.metrics or {}).get("predict_time")
    return Job(
        prediction.id, status(NAME, prediction.status), str(output) if output else None, prediction.error, seconds
    )
