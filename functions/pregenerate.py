"""Every minute: have the loops made that personas lack, whatever kept them from being made at once."""

from __future__ import annotations

import asyncio
import logging

import modal

from shared.core import telemetry
from shared.core.containers import secrets, thin_image
from shared.core.settings import SUPABASE, Settings
from shared.core.store import Store
from shared.runners import pregenerate as pregeneration
from shared.runners.services import Services

app = modal.App("personaforge-pregenerate")
log = logging.getLogger("personaforge.pregenerate")


@app.function(
    image=thin_image,
    secrets=secrets,
    schedule=modal.Cron("* * * * *"),
    timeout=120,
    max_containers=1,
    scaledown_window=2,
)
async def pregenerate() -> int:
    """Returns how many were begun."""
    telemetry.configure()
    settings = Settings.from_environment()
    settings.validate(*SUPABASE)
    async with Store.open(settings) as store, Services.open(store) as services:
        begun = await pregeneration.begin_missing(services)
    log.info("pregenerated", extra={"begun": begun})
    await asyncio.to_thread(telemetry.flush)
    return begun
