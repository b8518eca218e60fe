"""Every day: ask Stripe for what its webhooks may not have told us."""

from __future__ import annotations

import asyncio
import logging
import time
from uuid import UUID

import modal

from shared.billing import order as orders
from shared.core import telemetry
from shared.core.containers import payments_image, secrets
from shared.core.errors import ForgeError, NotFound
from shared.core.settings import SUPABASE, Settings
from shared.core.store import Store
from shared.providers.stripe import Stripe

app = modal.App("personaforge-payments")
log = logging.getLogger("personaforge.payments")
MOST, AT_ONCE = 2000, 8  # open orders in one run, the oldest first, and requests under way
BACK = 4 * 24 * 3600  # seconds: Stripe repeats a webhook for three days


@app.function(
    image=payments_image,
    secrets=secrets,
    schedule=modal.Cron("17 3 * * *"),
    timeout=600,
    max_containers=1,
    scaledown_window=2,
)
async def payments(back: int = BACK) -> int:
    """Follows what had events lately, and what is still open. Returns how many orders that were. back: in seconds."""
    telemetry.configure()
    settings = Settings.from_environment()
    settings.validate(*SUPABASE)
    stripe = Stripe(settings)
    if not stripe.on:
        return 0
    async with Store.open(settings) as store:
        try:
            query = store.as_service().from_("orders").select("id,session").in_("status", ["open", "pending"])
            query = query.eq("live", stripe.live).not_.is_("session", "null").order("created_at").limit(MOST)
            found = {row["id"]: row["session"] for row in await store.rows(query)}
            try:
                news = await stripe.since(int(time.time()) - back)
                found |= {order: one.session or found.get(order) for order, one in news.items()}
            except ForgeError as error:  # what is open is followed all the same
                log.error("Stripe's events are not known: %s", error.detail)
            at_once = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(_follow(store, stripe, order, session, at_once) for order, session in found.items()))
        finally:
            await stripe.close()
    log.info("payments", extra={"orders": len(found)})
    await asyncio.to_thread(telemetry.flush)
    return len(found)


async def _follow(store: Store, stripe: Stripe, order: str, session: str | None, at_once: asyncio.Semaphore) -> None:
    async with at_once:
        try:
            await orders.follow(store, stripe, UUID(order), session)
        except (NotFound, ValueError):
            log.error("Stripe has a payment for order %s, which does not exist", order)
        except ForgeError as error:
            log.error("order %s could not be followed: %s", order, error.detail)
