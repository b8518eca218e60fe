"""Jobs at providers that run hosted models: one protocol, one polling loop, one set of failure rules."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import httpx

from shared.core import telemetry
from shared.core.errors import ForgeError, ProviderFailed, ProviderTimeout, provider_error

log = logging.getLogger("personaforge.job")
LARGEST = 100 * 1024 * 1024  # bytes of an output
POLL = 1.0  # seconds between two looks by somebody who waits
InBackground = Callable[[Coroutine[Any, Any, None]], None]


Status = Literal["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
# Every word that providers have for the state of a job, and ours. fal's COMPLETED says nothing of success: its result
# does.
STATUSES: dict[str, dict[str, Status]] = {
    "replicate": {
        "starting": "starting", "processing": "processing", "succeeded": "succeeded", "failed": "failed",
        "canceled": "canceled", "aborted": "aborted",
    },
    "fal": {"IN_QUEUE": "starting", "IN_PROGRESS": "processing", "COMPLETED": "succeeded"},
    "firefly": {
        "pending": "starting", "running": "processing", "succeeded": "succeeded", "failed": "failed",
        "cancelled": "canceled", "canceled": "canceled", "cancel_pending": "processing", "timeout": "failed",
    },
}  # fmt: skip


def status(provider: str, word: object) -> Status:
    """Ours for a provider's. A word that none of its documents has is taken for work: the deadline ends it."""
    found = STATUSES[provider].get(str(word))
    if found is None:
        log.warning("%s says %.40r of a job, which is none of the states it documents", provider, str(word))
    return found or "processing"


@dataclass(frozen=True)
class Job:
    """A job at a provider. `output` is the address of its file, alive for an hour."""

    id: str
    status: Status
    output: str | None = None
    error: str | None = None
    seconds: float | None = None  # of computing
    logs: str = ""


class JobProvider(Protocol):
    """A provider of hosted models. Every method raises ProviderFailed and its kinds."""

    name: str

    async def start(self, model: str, inputs: dict[str, Any], webhook: str | None = None) -> Job: ...

    async def look(self, job_id: str) -> Job: ...

    async def cancel(self, job_id: str) -> None: ...

    async def fetch(self, address: str) -> bytes: ...

    async def verify(self, body: bytes, headers: Mapping[str, str]) -> bool: ...

    async def close(self) -> None: ...


async def begin(
    provider: JobProvider, model: str, inputs: dict[str, Any], in_background: InBackground, webhook: str | None = None
) -> Job:
    """Start a job. Cancelled while the answer is on its way, the job is stopped as soon as its id is known."""
    starting = asyncio.ensure_future(provider.start(model, inputs, webhook))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        in_background(_cancel_started(provider, starting))
        raise


async def _cancel_started(provider: JobProvider, starting: asyncio.Future[Job]) -> None:
    with suppress(ForgeError):
        await cancel(provider, (await starting).id)


async def download(provider: str, client: httpx.AsyncClient, address: str, limit: int = LARGEST) -> bytes:
    """A provider's output. Raises ProviderFailed when it is gone or larger than `limit` bytes, ProviderTimeout."""
    with telemetry.call(provider, "fetch"):
        try:
            async with asyncio.timeout(60), client.stream("GET", address) as answer:
                if answer.status_code != 200:
                    raise provider_error(provider, answer.status_code, f"Its output answered {answer.status_code}.")
                data = bytearray()
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > limit:
                        raise ProviderFailed(provider, f"Its output has more than {limit // 2**20} MiB.")
                return bytes(data)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise ProviderTimeout(provider, "Its output did not arrive in time.") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderFailed(provider, "Its output could not be fetched.") from error


def json_object(provider: str, answer: httpx.Response) -> dict[str, Any]:
    """The JSON object that an answer holds. Raises ProviderFailed for anything else."""
    try:
        found = answer.json()
    except ValueError as error:
        raise ProviderFailed(provider, "Its answer is not JSON.") from error
    if not isinstance(found, dict):
        raise ProviderFailed(provider, "Its answer is not what its interface promises.")
    return found


async def wait(provider: JobProvider, job: Job) -> bytes:
    """The output of a job, once it is there. Polls; a look that may be repeated is. Raises ProviderFailed."""
    while job.status in ("starting", "processing"):
        await asyncio.sleep(POLL)
        try:
            job = await provider.look(job.id)
        except ForgeError as error:
            if not error.retryable:
                raise
    if job.status != "succeeded" or not job.output:
        raise ProviderFailed(provider.name, job.error or f"The job {job.status} without an output.")
    return await provider.fetch(job.output)


async def cancel(provider: JobProvider, job_id: str) -> None:
    """Ask the provider to stop; that it does not answer is no reason to keep the job open here."""
    try:
        await provider.cancel(job_id)
    except ForgeError as error:
        log.warning("job %s could not be cancelled at %s: %s", job_id, provider.name, error.detail)
