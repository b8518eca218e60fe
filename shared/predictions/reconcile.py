"""Ends what nobody else ended: overdue jobs, work that nobody took, files that nobody refers to, webhooks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from shared.core import telemetry
from shared.core.errors import ForgeError
from shared.core.store import Store
from shared.predictions import webhook
from shared.predictions.lifecycle import Lifecycle
from shared.predictions.prediction import Prediction

log = logging.getLogger("personaforge.reconcile")
Action = Callable[[Prediction], Awaitable[None]]


@dataclass
class Summary:
    """What one pass did."""

    settled: int = 0
    spawned: int = 0
    removed: int = 0
    delivered: int = 0
    failed: int = 0  # left for the next pass


async def reconcile(
    store: Store,
    lifecycle: Lifecycle,
    end: Action,
    spawn: Action,
    spawned_models: Iterable[str],
    file_minutes: int = 10,
) -> Summary:
    """One pass. Safe to run twice at once: settling, claiming and removing are.

    end: settles an overdue prediction, as its model's runner does. spawn: has a worker take a waiting one, of the
    models spawned_models. file_minutes: age from which a file without a referrer is not on its way any more.
    """
    summary = Summary()
    summary.settled = await _each(await lifecycle.overdue(), end, summary)
    summary.spawned = await _each(await lifecycle.waiting(*spawned_models), spawn, summary)
    try:
        if paths := await store.call("unreferenced_files", {"p_minutes": file_minutes}):
            await store.remove(*paths)
            summary.removed = len(paths)
    except ForgeError as error:  # webhooks do not wait for files
        summary.failed += 1
        log.warning("unreferenced files could not be removed: %s", error.detail)
    summary.delivered = await webhook.deliver(store)
    return summary


async def _each(predictions: list[Prediction], action: Action, summary: Summary) -> int:
    done = 0
    for prediction in predictions:
        telemetry.set_job(str(prediction.id))
        try:
            await action(prediction)
            done += 1
        except Exception as error:  # one prediction must not keep the others from ending
            summary.failed += 1
            expected = isinstance(error, ForgeError)
            log.warning("a prediction could not be reconciled", exc_info=None if expected else error)
    return done
