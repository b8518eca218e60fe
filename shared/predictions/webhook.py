"""Outgoing webhooks as Standard Webhooks say: signed, tried again for a day, each attempt on record."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from datetime import UTC, datetime

from shared.core.errors import ForgeError
from shared.core.fetch import Fetcher
from shared.core.store import Row, Store
from shared.predictions import prediction

log = logging.getLogger("personaforge.webhook")
LONGEST = 45.0  # seconds for one round of deliveries: the schedule begins another every minute
EVENTS = ("start", "output", "logs", "completed")  # Replicate's; ours are delivered at start and completed


def secret(owner: str, key: str) -> str:
    """With which an owner checks what we send: `whsec_` and base64. Derived, so that there is nothing to keep."""
    derived = hmac.new(key.encode(), f"webhook {owner}".encode(), hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(derived).decode()}"


async def deliver(store: Store, prediction_id: str | None = None) -> int:
    """Try everything that is due, of one prediction or of all; returns how many arrived. Safe to run twice at once."""
    arrived, ends = 0, time.monotonic() + LONGEST
    async with Fetcher.open(store.settings) as fetcher:
        while time.monotonic() < ends:
            due = await store.call("due_deliveries", {"p_prediction": prediction_id})
            if not due:
                break
            done = await asyncio.gather(*(_attempt(store, fetcher, one) for one in due), return_exceptions=True)
            arrived += done.count(True)
            for error in done:
                if isinstance(error, Exception):  # its next attempt is set already
                    log.error("a webhook could not be tried", exc_info=error)
    return arrived


async def _attempt(store: Store, fetcher: Fetcher, delivery: Row) -> bool:
    row = delivery["prediction"]
    status, problem = None, None
    try:
        status = await fetcher.post(row["webhook"], *_signed(store, delivery))
    except ForgeError as error:
        problem = error.detail
    now = datetime.now(UTC).isoformat()
    arrived = status is not None and 200 <= status < 300
    note: Row = {"status": status, "error": problem}
    if arrived:
        note |= {"delivered_at": now, "next_at": None}
    elif status == 410:  # the receiver says that it wants no more
        note |= {"next_at": None}
    log.log(logging.INFO if arrived else logging.WARNING, "webhook %s: %s", delivery["id"], problem or status)
    await store.rows(store.as_service().from_("webhook_deliveries").update(note).eq("id", delivery["id"]))
    return arrived


def _signed(store: Store, delivery: Row) -> tuple[bytes, dict[str, str]]:
    from standardwebhooks import Webhook

    row = delivery["prediction"]
    body = json.dumps(prediction.shown(row, store))
    message, now = f"msg_{delivery['id']}", datetime.now(UTC)
    signature = Webhook(secret(row["owner"], store.settings.forge_signing_key)).sign(message, now, body)
    return body.encode(), {
        "content-type": "application/json",
        "webhook-id": message,
        "personaforge-event": delivery["event"],
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
