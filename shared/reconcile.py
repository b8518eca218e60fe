"""Ends what nobody else ended: overdue predictions are settled, files without a row are removed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from shared import hosted, prediction
from shared.errors import ForgeError
from shared.prediction import PredictionId
from shared.providers.replicate import Replicate
from shared.store import Row, Store

log = logging.getLogger("personaforge.reconcile")


@dataclass
class Swept:
    """What one sweep did."""

    settled: int = 0
    removed: int = 0
    failed: int = 0  # left for the next sweep


async def sweep(store: Store, replicate: Replicate, *, orphan_minutes: int = 10) -> Swept:
    """One pass. Safe to run twice at once: settling and removing are."""
    swept = Swept()
    for row in await store.call("overdue_predictions", {}):
        try:
            await _end(store, replicate, row)
            swept.settled += 1
        except ForgeError as error:
            swept.failed += 1
            log.warning("prediction %s is overdue and could not be settled: %s", row["id"], error.detail)
    if orphans := await store.call("orphaned_files", {"p_minutes": orphan_minutes}):
        await store.remove(*orphans)
        swept.removed = len(orphans)
    return swept


async def _end(store: Store, replicate: Replicate, row: Row) -> None:
    if not row["provider_id"]:
        await prediction.expire(store, row)
        return
    try:
        job = await replicate.look(row["provider_id"])
    except ForgeError:
        await prediction.expire(store, row)
        raise
    await hosted.finish(store, replicate, PredictionId.of(row), job)
