"""Stripe: pages where credits are paid, what became of a payment, events. Its SDK is loaded only here."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from shared.core import telemetry
from shared.core.errors import (
    ForgeError,
    InvalidInput,
    ProviderFailed,
    ProviderTimeout,
    Unauthenticated,
    provider_error,
)
from shared.core.settings import Settings

if TYPE_CHECKING:
    import stripe

T = TypeVar("T")
log = logging.getLogger("personaforge.stripe")
TIMEOUT = 10.0  # seconds; the SDK's own is 80
SELDOM = 2.0  # seconds between two questions about one order by whoever waits for it
TOLERANCE = 300  # seconds that a webhook's time may be off; the SDK looks only into the past
EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "charge.refunded",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
    "charge.dispute.closed",
)
_QUIET = "checkout.session.expired"  # changes no ledger: not asked for again
# Of a dispute: a warning takes no money, and what was won is given back. Any other state withholds it.
_FREE = ("won", "warning_needs_response", "warning_under_review", "warning_closed")


@dataclass(frozen=True)
class Payment:
    """What became of a session. amount, refunded, disputed: in the currency's smallest unit."""

    order: str | None
    status: Literal["open", "pending", "paid", "failed", "expired"]
    amount: int
    currency: str
    live: bool
    refunded: int = 0
    disputed: int = 0
    receipt_url: str | None = None
    invoice_url: str | None = None


@dataclass(frozen=True)
class News:
    """Of an event: which order it is about, and its session where it names one. Never more: Stripe is asked itself."""

    order: str | None
    session: str | None


class Stripe:
    """Amounts are in the currency's smallest unit. Every call raises ProviderFailed."""

    def __init__(self, settings: Settings) -> None:
        self._key, self._secret = settings.stripe_secret_key, settings.stripe_webhook_secret
        self._url, self._home = settings.stripe_base_url, settings.forge_url
        self._asked: dict[str, float] = {}
        self._test_sales = settings.forge_test_sales == "yes"

    @property
    def on(self) -> bool:
        return bool(self._key)

    @property
    def sells(self) -> bool:
        """In test mode anybody pays with a test card, and what credits buy is real: that has to be wanted."""
        return self.on and (self.live or self._test_sales)

    def may_ask(self, order: str) -> bool:
        """Whether this order was not asked about in the last seconds: a page that waits must not use up requests."""
        now = time.monotonic()
        self._asked = {one: at for one, at in self._asked.items() if now - at < SELDOM}
        return self.on and self._asked.setdefault(order, now) == now

    @property
    def live(self) -> bool:
        return self._key.startswith(("sk_live_", "rk_live_"))

    @cached_property
    def _client(self) -> stripe.StripeClient:
        import stripe

        http = stripe.HTTPXClient(timeout=TIMEOUT, allow_sync_methods=False)
        return stripe.StripeClient(
            self._key, base_addresses={"api": self._url}, http_client=http, max_network_retries=2
        )

    async def close(self) -> None:
        if "_client" in self.__dict__:
            requestor: Any = self._client._requestor
            await requestor._client.close_async()

    async def begin(self, order: str, product: str, amount: int, currency: str, page: str) -> tuple[str, str]:
        """A page where the order is paid: the session's id and the page's address. Asked again, it is the same one."""
        made = await self._call(
            self._client.v1.checkout.sessions.create_async(
                params={
                    "mode": "payment",
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": currency,
                                "unit_amount": amount,
                                "product_data": {"name": product},
                            },
                        }
                    ],
                    "client_reference_id": order,
                    "metadata": {"personaforge_order": order, "personaforge": self._home},
                    "payment_intent_data": {"metadata": {"personaforge_order": order, "personaforge": self._home}},
                    "invoice_creation": {"enabled": True},
                    "adaptive_pricing": {"enabled": False},  # what is paid is compared with what was ordered
                    "success_url": f"{page}?order={order}",
                    "cancel_url": f"{page}?left={order}",
                },
                options={"idempotency_key": f"checkout:{order}"},
            )
        )
        if not made.url:
            raise ProviderFailed("stripe", "It gave no address to pay at.")
        return made.id, made.url

    async def payment(self, session: str) -> Payment:
        """What became of a session, now: with what was paid back and what is disputed."""
        found = await self._call(
            self._client.v1.checkout.sessions.retrieve_async(
                session, params={"expand": ["line_items", "payment_intent.latest_charge", "invoice"]}
            )
        )
        intent: Any = found.payment_intent
        charge: Any = intent.latest_charge if intent else None
        invoice: Any = found.invoice
        disputed = 0
        if charge and charge.disputed:
            disputes = await self._call(
                self._client.v1.disputes.list_async(params={"payment_intent": intent.id, "limit": 100})
            )
            disputed = sum(one.amount for one in disputes.data if one.status not in _FREE)
        status: Literal["open", "pending", "paid", "failed", "expired"] = "open"
        if found.payment_status == "paid":
            status = "paid"
        elif found.status == "expired":
            status = "expired"
        elif found.status == "complete":  # a debit, which takes days
            broken = intent is not None and intent.status in ("requires_payment_method", "canceled")
            status = "failed" if broken else "pending"
        return Payment(
            order=found.client_reference_id, status=status, amount=found.amount_total or 0,
            currency=found.currency or "", live=found.livemode,
            refunded=charge.amount_refunded if charge else 0, disputed=disputed,
            receipt_url=charge.receipt_url if charge else None,
            invoice_url=invoice.hosted_invoice_url if invoice else None,
        )  # fmt: skip

    async def news(self, body: bytes, signature: str) -> News:
        """Of a webhook. body: raw, as it was signed. Raises Unauthenticated, InvalidInput."""
        import stripe

        try:
            event = self._client.construct_event(body, signature, self._secret, tolerance=TOLERANCE)
            stamp = int(dict(part.split("=", 1) for part in signature.split(","))["t"])
        except stripe.SignatureVerificationError as error:
            raise Unauthenticated("The webhook's signature is missing, wrong, or older than five minutes.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidInput("The body is no event of Stripe's that is understood here.") from error
        if stamp > time.time() + TOLERANCE:
            raise Unauthenticated("The webhook's time lies in the future.")
        try:
            if event.livemode != self.live:
                raise InvalidInput("An event of Stripe's test mode where the key is live, or the other way round.")
            return await self._about(event.data.object) if event.type in EVENTS else News(None, None)
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidInput("The body is no event of Stripe's that is understood here.") from error

    async def since(self, moment: int) -> dict[str, News]:
        """What events of that time (seconds since 1970) and later were about, by order. One that cannot be read is
        left out."""
        found: dict[str, News] = {}
        after, more = "", True
        while more:
            events = self._client.v1.events.list_async(
                params={
                    "created": {"gte": moment},
                    "types": [one for one in EVENTS if one != _QUIET],
                    "limit": 100,
                    **({"starting_after": after} if after else {}),
                }
            )
            page = await self._call(events)
            for event in page.data:
                try:
                    news = await self._about(event.data.object)
                except (ForgeError, AttributeError, KeyError, TypeError) as error:
                    log.error("an event of Stripe's is left out: %s (%s)", event.id, type(error).__name__)
                    continue
                if news.order and not (news.order in found and found[news.order].session):
                    found[news.order] = news
            after, more = page.data[-1].id if page.data else "", page.has_more
        return found

    async def _about(self, about: Any) -> News:
        """Of an object: our order, or nothing where it is of another shop, or another deployment, of this account."""
        metadata = about.metadata.to_dict() if getattr(about, "metadata", None) else {}
        intent_id = getattr(about, "payment_intent", None)
        if "personaforge" not in metadata and isinstance(intent_id, str):  # refunds and disputes do not have it
            intent = await self._call(self._client.v1.payment_intents.retrieve_async(intent_id))
            metadata = intent.metadata.to_dict() if intent.metadata else {}
        if metadata.get("personaforge") != self._home:
            return News(None, None)
        return News(metadata.get("personaforge_order"), about.id if about.object == "checkout.session" else None)

    async def _call(self, request: Awaitable[T]) -> T:
        import stripe

        with telemetry.span("stripe", "call"):
            try:
                return await request
            except stripe.APIConnectionError as error:
                raise ProviderTimeout("stripe", "It could not be reached in time.") from error
            except stripe.StripeError as error:
                raise provider_error(
                    "stripe", error.http_status or 500, _WORDS.get(error.http_status or 500, "It refused the request.")
                ) from error


# Not Stripe's own words: they name the key.
_WORDS = {
    400: "It refused the request as wrong.",
    401: "It does not know our key. Look at STRIPE_SECRET_KEY.",
    403: "Our key lacks a right. It needs checkout sessions, payment intents, charges, invoices, disputes, events.",
    404: "It does not know this payment.",
    429: "It is asked too often just now.",
}
