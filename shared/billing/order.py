"""An order of credits: noted before Stripe hears of it, then following what Stripe says."""

from __future__ import annotations

import logging
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.billing.packs import Pack
from shared.core.auth import User
from shared.core.errors import NotFound, StoreUnavailable
from shared.core.store import Store
from shared.core.time import Time
from shared.providers.stripe import Stripe

log = logging.getLogger("personaforge.billing")
Status = Literal["open", "pending", "paid", "failed", "expired", "mismatch"]
_ATTEMPTS = 5  # to write what Stripe says; another only when somebody else wrote meanwhile


class Order(BaseModel):
    """One row. amount, refunded, disputed: in the currency's smallest unit."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: UUID
    pack: str
    credits: float
    amount: int
    currency: str
    live: bool
    status: Status
    session: str | None
    refunded: int
    disputed: int
    receipt_url: str | None
    invoice_url: str | None
    seen: int
    created_at: Time
    paid_at: Time | None


async def begin(store: Store, stripe: Stripe, user: User, name: str, pack: Pack, page: str) -> tuple[Order, str]:
    """A new order, and the address where it is paid. page: where the payer comes back to.

    Raises TooManyRequests, ProviderFailed.
    """
    given = {
        "p_pack": name, "p_credits": pack.credits, "p_amount": pack.amount, "p_currency": pack.currency,
        "p_live": stripe.live, "p_owner": str(user.id),
    }  # fmt: skip
    order = Order.model_validate(await store.call("create_order", given))
    session, url = await stripe.begin(str(order.id), f"{pack.credits:,} credits", pack.amount, pack.currency, page)
    written = await _write(store, order, session, "open", {})
    return written or order, url


async def follow(store: Store, stripe: Stripe, order_id: UUID, session: str | None = None) -> Order:
    """The order as Stripe has it now, its credits booked accordingly. session: where the order's own is not known yet.

    Raises NotFound, ProviderFailed, StoreUnavailable.
    """
    for _ in range(_ATTEMPTS):
        query = store.as_service().from_("orders").select("*").eq("id", str(order_id))
        rows = await store.rows(query.limit(1))
        if not rows:
            raise NotFound("There is no such order.")
        order = Order.model_validate(rows[0])
        known = order.session or session
        if known is None or order.live != stripe.live:  # of the other mode: its key is not here any more
            return order
        payment = await stripe.payment(known)
        status: Status = payment.status
        paid_for = (payment.order, payment.live, payment.amount, payment.currency)
        if status == "paid" and paid_for != (str(order.id), order.live, order.amount, order.currency):
            log.error("order %s: Stripe's session %s is not what was ordered", order.id, known)
            status = "mismatch"
        told = (known, status, min(payment.refunded, order.amount), min(payment.disputed, order.amount))
        links = (payment.receipt_url or order.receipt_url, payment.invoice_url or order.invoice_url)  # come later
        before = (order.session, order.status, order.refunded, order.disputed)
        if (told, links) == (before, (order.receipt_url, order.invoice_url)):
            return order
        found = {
            "p_refunded": payment.refunded, "p_disputed": payment.disputed, "p_receipt_url": payment.receipt_url,
            "p_invoice_url": payment.invoice_url,
        }  # fmt: skip
        if written := await _write(store, order, known, status, found):
            return written
    raise StoreUnavailable("This order changes too often just now. Retry in a moment.")


async def _write(store: Store, order: Order, session: str, status: Status, found: dict[str, Any]) -> Order | None:
    """None when somebody else wrote since the order was read."""
    given = {"p_id": str(order.id), "p_seen": order.seen, "p_session": session, "p_status": status}
    rows = await store.call("follow_order", {**given, "p_refunded": 0, "p_disputed": 0, **found})
    return Order.model_validate(rows[0]) if rows else None
