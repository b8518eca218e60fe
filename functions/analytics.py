"""Every day: ask YouTube who watched each film that is published."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

import modal

from shared.core import telemetry
from shared.core.containers import secrets, thin_image
from shared.core.settings import SUPABASE, Settings
from shared.core.store import Store
from shared.core.time import format_time
from shared.providers.google import NeedsReconnect
from shared.providers.youtube import QuotaUsedUp
from shared.studio import audience
from shared.studio.channel import Channels

app = modal.App("personaforge-analytics")
log = logging.getLogger("personaforge.analytics")
MOST = 1000  # films in one run, those first that were not looked at for longest


@app.function(
    image=thin_image,
    secrets=secrets,
    schedule=modal.Cron("41 4 * * *"),
    timeout=3600,
    max_containers=1,
    scaledown_window=2,
)
async def analytics() -> int:
    """Returns how many were looked at."""
    telemetry.configure()
    settings = Settings.from_environment()
    settings.validate(*SUPABASE)
    done = 0
    async with Store.open(settings) as store, Channels.open(store, settings) as channels:
        if not channels.google.on:
            return 0
        query = store.as_service().from_("publications").select("*").not_.is_("video_id", "null")
        query = query.in_("state", ["scheduled", "public", "unlisted", "private"])
        for row in await store.rows(query.order("looked_at", nullsfirst=True).limit(MOST)):
            try:
                # First, so that one that cannot be read is not the first tomorrow as well.
                looked = store.as_service().from_("publications").update({"looked_at": format_time(datetime.now(UTC))})
                await store.rows(looked.eq("project_id", row["project_id"]))
                await audience.look(store, channels, row)
                done += 1
            except QuotaUsedUp as error:
                log.error("the audience of the rest is asked for tomorrow: %s", error.detail)
                break
            except NeedsReconnect:  # which its owner sees
                continue
            except Exception:  # of one film; the others go on
                log.exception("the audience of project %s is not known", row["project_id"])
    log.info("analytics", extra={"films": done})
    await asyncio.to_thread(telemetry.flush)
    return done
