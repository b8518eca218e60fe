"""Ends what nobody else ended: overdue jobs, work that nobody took, files that nobody refers to, webhooks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from shared.core import telemetry
from shared.core.errors import ForgeError
from shared.core.store import Store
from shared.predictions import webhook
from shared.predictions.lifecycle import Lifecycle
from shared.predictions.output import Outputs
from shared.predictions.prediction import Prediction

log = logging.getLogger("personaforge.reconcile")
_AT_ONCE = 10
_PATIENCE = 40.0  # seconds for one prediction: a pass may take two minutes
Action = Callable[[Prediction], Awaitable[None]]


@dataclass
class Summary:
    """What one pass did."""

    settled: int = 0
    spawned: int = 0
    removed: int = 0
    delivered: int = 0
    signed: int = 0
    failed: int = 0  # left for the next pass


async def reconcile(
    store: Store,
    lifecycle: Lifecycle,
    end: Action,
    spawn: Action,
    spawned_models: Iterable[str],
    outputs: Outputs,
    file_minutes: int = 10,
) -> Summary:
    """One pass. Safe to run twice at once: settling, claiming and removing are.

    end: settles an overdue prediction, as its model's runner does. spawn: has a worker take a waiting one, of the
    models spawned_models. outputs: signs what could not be signed. file_minutes: age from which a file without a
    referrer is not on its way any more.
    """
    summary = Summary()

    async def remove_files() -> None:
        if paths := await store.call("unreferenced_files", {"p_minutes": file_minutes}):
            await store.remove(*paths)
            summary.removed = len(paths)
        if paths := await store.call("withdrawn_files", {"p_minutes": file_minutes}):
            await store.withdraw(*paths)

    async def end_overdue() -> None:
        summary.settled = await _each(await lifecycle.overdue(), end, summary)

    async def spawn_waiting() -> None:
        summary.spawned = await _each(await lifecycle.waiting(*spawned_models), spawn, summary)

    async def deliver_webhooks() -> None:
        summary.delivered = await webhook.deliver(store)

    async def sign() -> None:
        summary.signed = await outputs.sign_later()

    # At once: a provider that hangs keeps neither webhooks nor files waiting.
    parts = (end_overdue(), spawn_waiting(), remove_files(), deliver_webhooks(), sign())
    for error in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(error, BaseException):
            if not isinstance(error, ForgeError):
                raise error
            summary.failed += 1
            log.warning("a part of reconciliation failed: %s", error.detail)
    return summary


async def _each(predictions: list[Prediction], action: Action, summary: Summary) -> int:
    """How many succeeded. One prediction keeps no other from ending."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(prediction: Prediction) -> bool:
        async with room:
            telemetry.set_job(str(prediction.id))
            try:
                async with asyncio.timeout(_PATIENCE):
                    await action(prediction)
            except Exception as error:
                summary.failed += 1
                expected = isinstance(error, (ForgeError, TimeoutError))
                log.warning("a prediction could not be reconciled", exc_info=None if expected else error)
                return False
            return True

    return sum(await asyncio.gather(*map(one, predictions)))
