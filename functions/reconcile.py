"""Every minute: settle what is overdue, remove what is orphaned."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict

import modal

from shared.core import telemetry
from shared.core.containers import image, secrets
from shared.core.settings import Settings
from shared.core.store import Store
from shared.predictions.reconcile import sweep
from shared.providers.replicate import Replicate

app = modal.App("personaforge-reconcile")
log = logging.getLogger("personaforge.reconcile")


@app.function(image=image, secrets=secrets, schedule=modal.Cron("* * * * *"), timeout=120)
async def reconcile(orphan_minutes: int = 10) -> dict[str, int]:
    telemetry.configure()
    settings = Settings.from_environment()
    replicate = Replicate(settings)
    try:
        async with Store.open(settings) as store:
            swept = asdict(await sweep(store, replicate, orphan_minutes=orphan_minutes))
    finally:
        await replicate.close()
    log.info("reconciled", extra=swept)
    await asyncio.to_thread(telemetry.flush)
    return swept
