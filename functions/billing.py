"""/v1/billing: the balance and its ledger, credits to buy, what Stripe says of payments."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal
from uuid import UUID

import modal
from fastapi import Depends, FastAPI, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from shared.billing import order as orders
from shared.billing.order import Order
from shared.billing.packs import PACKS
from shared.core.containers import payments_image, secrets
from shared.core.errors import Conflict, NotFound, ProviderFailed, SettingMissing
from shared.core.settings import Settings
from shared.core.time import Time
from shared.core.web import KIB, Context, ContextDep, CurrentUser, function_app
from shared.providers.stripe import Stripe

app = modal.App("personaforge-billing")
log = logging.getLogger("personaforge.billing")
PAGE = 50


class Offer(BaseModel):
    """A pack that can be bought. amount: in the currency's smallest unit."""

    pack: str
    credits: int
    amount: int
    currency: str


class Limit(BaseModel):
    """name: running, for predictions at the same time, or minute, for predictions begun within one."""

    name: str
    limit: int
    used: int


class Billing(BaseModel):
    """An account at a glance. A credit is a tenth of a US cent."""

    balance: float = Field(description="What can be spent.")
    held: float = Field(description="For work in progress; what it does not use comes back.")
    month: dict[str, float] = Field(description="Credits charged since the first of the month, by model.")
    limits: list[Limit]
    mode: Literal["off", "test", "live"] = Field(description="off: credits are not sold here.")
    packs: list[Offer]


class LedgerLine(BaseModel):
    """credits: above zero where they came in. balance: of what is settled, after this line."""

    id: int
    at: Time
    kind: Literal["grant", "charge", "purchase", "refund", "dispute", "erasure"]
    credits: float
    balance: float
    model: str | None = Field(description="A model without its owner, such as talk, or film.")
    persona: str | None
    about: str | None = Field(description="A film's idea, a clip's scene.")
    pack: str | None


class LedgerPage(BaseModel):
    """Newest first. before: ask for what lies before it; null at the end."""

    before: int | None
    results: list[LedgerLine]


class OrderList(BaseModel):
    """Newest first, the last fifty."""

    results: list[Order]


class Purchase(BaseModel):
    """What to buy."""

    model_config = ConfigDict(extra="forbid")
    pack: Literal["small", "medium", "large"]


class Checkout(BaseModel):
    """Where to pay."""

    order: Order
    url: str


@asynccontextmanager
async def _open(context: Context) -> AsyncIterator[Stripe]:
    stripe = Stripe(context.settings)
    try:
        yield stripe
    finally:
        await stripe.close()


async def _stripe(context: ContextDep) -> Stripe:
    stripe: Stripe = context.services
    return stripe


StripeDep = Annotated[Stripe, Depends(_stripe)]


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("billing", body_limit=256 * KIB, open_bodies=True, settings=settings, services=_open)

    @web.get("/v1/billing")
    async def look(context: ContextDep, stripe: StripeDep, user: CurrentUser) -> Billing:
        found = await context.store.call("billing", {}, user)
        packs = [Offer(pack=name, **vars(one)) for name, one in PACKS.items()] if stripe.sells else []
        return Billing(**found, mode=("live" if stripe.live else "test") if stripe.sells else "off", packs=packs)

    @web.get("/v1/billing/ledger")
    async def ledger(
        context: ContextDep, user: CurrentUser, before: Annotated[int | None, Query(ge=0, le=2**62)] = None
    ) -> LedgerPage:
        rows: list[Any] = await context.store.call("ledger", {"p_before": before, "p_limit": PAGE}, user)
        lines = [LedgerLine.model_validate(row) for row in rows]
        return LedgerPage(before=lines[-1].id if len(lines) == PAGE else None, results=lines)

    @web.get("/v1/billing/orders")
    async def list_orders(context: ContextDep, user: CurrentUser) -> OrderList:
        query = context.store.as_user(user).from_("orders").select("*").order("created_at", desc=True).limit(PAGE)
        return OrderList(results=[Order.model_validate(row) for row in await context.store.rows(query)])

    @web.get("/v1/billing/orders/{order}")
    async def get_order(order: UUID, context: ContextDep, stripe: StripeDep, user: CurrentUser) -> Order:
        """Whoever comes back from paying may be faster than Stripe's webhook: it is asked."""
        query = context.store.as_user(user).from_("orders").select("*").eq("id", str(order)).limit(1)
        rows = await context.store.rows(query)
        if not rows:
            raise NotFound("There is no such order of yours.")
        found = Order.model_validate(rows[0])
        if found.status in ("open", "pending") and stripe.may_ask(str(order)):
            try:
                found = await orders.follow(context.store, stripe, order)
            except ProviderFailed as error:  # what is known is told; the webhook brings the rest
                log.warning("order %s was not looked at: %s", order, error.detail)
        return found

    @web.post("/v1/billing/checkout", status_code=201)
    async def checkout(body: Purchase, context: ContextDep, stripe: StripeDep, user: CurrentUser) -> Checkout:
        """Note an order and have Stripe show a page where it is paid."""
        if not stripe.sells:
            raise Conflict("Credits are not sold here. See Selling credits in docs/operations.md.")
        page = f"{context.settings.forge_url}/credits"
        made, url = await orders.begin(context.store, stripe, user, body.pack, PACKS[body.pack], page)
        return Checkout(order=made, url=url)

    @web.post("/v1/billing/stripe", status_code=204)
    async def hear(
        request: Request, context: ContextDep, stripe: StripeDep, stripe_signature: Annotated[str, Header()] = ""
    ) -> None:
        """A webhook of Stripe's. What it says is a hint only: Stripe is asked, so that deliveries may come twice, late,
        or in any order. Answered with an error it comes again, for three days."""
        if not stripe.on or not context.settings.stripe_webhook_secret:
            raise SettingMissing("STRIPE_SECRET_KEY or STRIPE_WEBHOOK_SECRET is not set.")
        news = await stripe.news(await request.body(), stripe_signature)
        if news.order:  # else it is about something else that this account sells
            # An order that is not there may be a moment later: 404, and Stripe comes again.
            await orders.follow(context.store, stripe, UUID(news.order), news.session)

    return web


@app.function(image=payments_image, secrets=secrets, timeout=60, max_containers=10)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-billing")
def billing() -> FastAPI:
    return build()
