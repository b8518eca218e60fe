"""Ends what nobody else ended: overdue jobs are settled, files without a row removed, webhooks told again."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from shared.core import telemetry
from shared.core.errors import ForgeError
from shared.core.store import Row, Store
from shared.predictions import lifecycle, webhook
from shared.providers.replicate import Replicate
from shared.runners import hosted

log = logging.getLogger("personaforge.reconcile")


@dataclass
class Swept:
    """What one sweep did."""

    settled: int = 0
    removed: int = 0
    delivered: int = 0
    failed: int = 0  # left for the next sweep


async def sweep(store: Store, replicate: Replicate, *, orphan_minutes: int = 10) -> Swept:
    """One pass. Safe to run twice at once: settling and removing are."""
    swept = Swept()
    await _settle(store, replicate, swept)
    try:
        if orphans := await store.call("orphaned_files", {"p_minutes": orphan_minutes}):
            await store.remove(*orphans)
            swept.removed = len(orphans)
    except ForgeError as error:  # what is to be told does not wait for what is to be removed
        swept.failed += 1
        log.warning("orphaned files could not be removed: %s", error.detail)
    swept.delivered = await webhook.deliver(store)
    return swept


async def _settle(store: Store, replicate: Replicate, swept: Swept) -> None:
    for row in await store.call("overdue_predictions", {}):
        telemetry.about(row["id"])
        try:
            await _end(store, replicate, row)
            swept.settled += 1
        except Exception as error:  # one prediction must not keep the others from ending
            swept.failed += 1
            known = isinstance(error, ForgeError)
            log.warning("an overdue prediction could not be settled", exc_info=None if known else error)


async def _end(store: Store, replicate: Replicate, row: Row) -> None:
    if not row["provider_id"]:
        await lifecycle.expire(store, row)
        return
    try:
        job = await replicate.look(row["provider_id"])
    except ForgeError:
        await lifecycle.expire(store, row)
        raise
    await hosted.finish(store, replicate, row, job)
