"""Every minute: settle what is overdue, spawn what nobody took, remove unreferenced files, send webhooks, sign."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import asdict

import modal

from shared.core import telemetry
from shared.core.containers import media_image, secrets
from shared.core.errors import ForgeError
from shared.core.settings import REPLICATE, SUPABASE, Settings
from shared.core.store import Store
from shared.models import registry
from shared.predictions import reconcile as reconciliation
from shared.predictions.prediction import Prediction
from shared.runners.services import Services
from shared.runners.spawned import Spawned
from shared.studio.production import sweep

app = modal.App("personaforge-reconcile")
log = logging.getLogger("personaforge.reconcile")


@app.function(
    image=media_image,
    secrets=secrets,
    schedule=modal.Cron("* * * * *"),
    timeout=120,
    max_containers=2,
    scaledown_window=2,
)  # its container goes at once: kept warm from minute to minute it would be paid for all day
async def reconcile(file_minutes: int = 10) -> dict[str, int]:
    """Returns the counts of shared.predictions.reconcile.Summary."""
    telemetry.configure()
    settings = Settings.from_environment()
    settings.validate(*SUPABASE, *REPLICATE)
    async with Store.open(settings) as store, Services.open(store) as services:

        async def end(prediction: Prediction) -> None:
            await registry.find(prediction.model).runner.end_overdue(services, prediction)

        async def spawn(prediction: Prediction) -> None:
            runner = registry.find(prediction.model).runner
            assert isinstance(runner, Spawned)
            await runner.spawn(services, prediction)

        spawned = [name for name, model in registry.models().items() if isinstance(model.runner, Spawned)]
        summary = asdict(
            await reconciliation.reconcile(
                store, services.lifecycle, end, spawn, spawned, services.outputs, file_minutes
            )
        )
        try:
            summary["woken"] = await sweep(store, services.modal)
        except ForgeError as error:
            log.warning("the studio's projects are left for the next minute: %s", error.detail)
    log.info("reconciled", extra=summary)
    await asyncio.to_thread(telemetry.flush)
    return summary
