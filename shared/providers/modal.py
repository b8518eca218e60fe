"""Modal runs what nobody waits for: workers, the heartbeats that all containers share, and the GPU.

The SDK reads MODAL_SERVER_URL and its token from the environment: Modal's own on Modal, a stand-in's on a laptop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Literal, TypeVar

import modal

from shared.core import telemetry
from shared.core.errors import ForgeError, NotFound, ProviderBusy, ProviderFailed, ProviderRefused, ProviderTimeout

NAME = "modal"
APP = "personaforge"
PATIENCE = 5.0  # seconds: the SDK sets no limit of its own to these calls
T = TypeVar("T")


class Modal:
    """Spawn functions and look at them; get and put shared values. Connections are made when they are first used."""

    def __init__(self) -> None:
        self._heartbeats: modal.Dict | None = None
        self._functions: dict[str, modal.Function[..., Any, Any]] = {}

    async def spawn(self, function: str, argument: str) -> str:
        """Start a function of this deployment that nobody waits for; returns the call's id. Raises ProviderFailed."""
        if function not in self._functions:
            self._functions[function] = modal.Function.from_name(APP, function)
        call = await self._run(f"spawn {function}", self._functions[function].spawn.aio(argument))
        return str(call.object_id)

    async def status(self, call_id: str) -> Literal["running", "succeeded", "failed"]:
        """What became of a spawned call. Raises NotFound for one that Modal does not know."""
        call = modal.FunctionCall.from_id(call_id)
        try:
            async with asyncio.timeout(PATIENCE):
                await call.get.aio(timeout=0)
        except TimeoutError:
            return "running"
        except modal.exception.NotFoundError as error:
            raise NotFound("Modal has no such call.") from error
        except modal.exception.ConnectionError as error:
            raise translate(error) from error
        except Exception:
            return "failed"  # the function's own error, which it has logged
        return "succeeded"

    async def get(self, key: str) -> Any:
        """A shared value; None when there is none."""
        return await self._run("get", self._dict().get.aio(key))

    async def put(self, key: str, value: Any) -> None:
        """Share a value with all containers. Entries that nobody reads are gone after a week."""
        await self._run("put", self._dict().put.aio(key, value))

    def _dict(self) -> modal.Dict:
        if self._heartbeats is None:
            self._heartbeats = modal.Dict.from_name("personaforge-heartbeats", create_if_missing=True)
        return self._heartbeats

    async def _run(self, operation: str, request: Awaitable[T]) -> T:
        with telemetry.span(NAME, operation):
            try:
                async with asyncio.timeout(PATIENCE):
                    return await request
            except Exception as error:
                if isinstance(error, modal.exception.NotFoundError):  # a handle outlives what it stood for
                    self._heartbeats, self._functions = None, {}
                raise translate(error) from error


def stream_from_gpu(speaker: Any, queue: modal.Queue) -> AsyncIterator[tuple[int, bytes]]:
    """What the GPU's class (functions/lipsync.py) yields for speech that comes through the queue."""
    gpu = modal.Cls.from_name(APP, "Lipsync")()
    chunks: AsyncIterator[tuple[int, bytes]] = gpu.stream.remote_gen.aio(speaker, queue)
    return chunks


def translate(error: Exception) -> ForgeError:
    """The error for one of the SDK's."""
    import grpclib

    exception = modal.exception
    if isinstance(error, (TimeoutError, exception.TimeoutError)):
        return ProviderTimeout(NAME, "Modal did not answer in time.")
    if isinstance(error, (exception.ResourceExhaustedError, exception.ServiceError, exception.InternalError)):
        return ProviderBusy(NAME, "Modal is busy.")
    if isinstance(error, (exception.AuthError, exception.PermissionDeniedError)):
        return ProviderRefused(NAME, "Modal refused the token. Set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET.")
    if isinstance(error, exception.NotFoundError):
        return ProviderRefused(NAME, f"Modal has no such thing of {APP}. Deploy it: modal deploy modal_app.py.")
    if isinstance(error, (exception.ConnectionError, grpclib.exceptions.StreamTerminatedError, OSError)):
        return ProviderFailed(NAME, "Modal could not be reached.")
    return ProviderFailed(NAME, f"Modal could not do it ({type(error).__name__}).")
