"""Outgoing webhooks as Standard Webhooks say: signed, tried again for a day, each attempt on record."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from shared.core.errors import ForgeError
from shared.core.fetch import Fetcher
from shared.core.store import Row, Store
from shared.predictions.prediction import Prediction, to_api

log = logging.getLogger("personaforge.webhook")
LONGEST = 45.0  # seconds for one round of deliveries: the schedule begins another every minute
EVENTS = ("start", "output", "logs", "completed")


@dataclass(frozen=True)
class Delivery:
    """One event of one prediction or project, due to be delivered to `url`."""

    id: str
    event: str
    owner: UUID
    url: str
    about: Prediction | Row

    @classmethod
    def from_row(cls, row: Row) -> Delivery:
        if row["prediction"] is None:
            project = row["project"]
            return cls(row["id"], row["event"], UUID(project["owner"]), project["input"]["webhook"], project)
        prediction = Prediction.from_row(row["prediction"])
        assert prediction.webhook
        return cls(row["id"], row["event"], prediction.owner, prediction.webhook, prediction)


def secret(owner: UUID, key: str) -> str:
    """With which an owner checks what we send: `whsec_` and base64. Derived, so that there is nothing to keep."""
    derived = hmac.new(key.encode(), f"webhook {owner}".encode(), hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(derived).decode()}"


async def deliver(store: Store, about: UUID | None = None) -> int:
    """Try what is due, of one prediction or project or of all; returns how many arrived. Safe to run twice at once."""
    arrived, ends = 0, time.monotonic() + LONGEST
    arguments = {"p_about": str(about) if about else None}
    async with Fetcher.open(store.settings) as fetcher:
        while time.monotonic() < ends:
            rows = await store.call("due_deliveries", arguments)
            if not rows:
                break
            due = [Delivery.from_row(row) for row in rows]
            results = await asyncio.gather(*(_attempt(store, fetcher, one) for one in due), return_exceptions=True)
            arrived += results.count(True)
            for error in results:
                if isinstance(error, Exception):  # its next attempt is set already
                    log.error("a webhook could not be tried", exc_info=error)
    return arrived


async def _attempt(store: Store, fetcher: Fetcher, delivery: Delivery) -> bool:
    status, problem = None, None
    try:
        status = await fetcher.post(delivery.url, *await _signed(store, delivery))
    except ForgeError as error:
        problem = error.detail
    now = datetime.now(UTC).isoformat()
    arrived = status is not None and 200 <= status < 300
    change: Row = {"status": status, "error": problem}
    if arrived:
        change |= {"delivered_at": now, "next_at": None}
    elif status == 410:  # the receiver says that it wants no more
        change |= {"next_at": None}
    log.log(logging.INFO if arrived else logging.WARNING, "webhook %s: %s", delivery.id, problem or status)
    await store.rows(store.as_service().from_("webhook_deliveries").update(change).eq("id", delivery.id))
    return arrived


async def _signed(store: Store, delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    from standardwebhooks import Webhook

    about = delivery.about
    body = (await to_api(about, store)).model_dump_json() if isinstance(about, Prediction) else _told(about, store)
    message, now = f"msg_{delivery.id}", datetime.now(UTC)
    key = secret(delivery.owner, store.settings.forge_signing_key)
    return body.encode(), {
        "content-type": "application/json",
        "webhook-id": message,
        "personaforge-event": delivery.event,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key).sign(message, now, body),
    }


def _told(project: Row, store: Store) -> str:
    """Where a project of the studio stands; the rest is where it is asked for."""
    names = ("id", "status", "stage", "waiting_for", "gate_until", "round", "error", "updated_at")
    urls = {"get": f"{store.settings.forge_url}/v1/projects/{project['id']}"}
    return json.dumps({**{name: project[name] for name in names}, "urls": urls})
