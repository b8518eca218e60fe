"""Credits are bought, paid back and disputed: the ledger has each change once, however often it is reported."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from stripe import WebhookSignature

from local.stack import Stack
from tests.support import forked
from tests.support.operator import account, rest
from tests.support.person import Person

pytestmark = pytest.mark.slow


class Buyer:
    """Somebody with no credits, who buys some; and the operator of the Stripe account."""

    def __init__(self, stack: Stack, person: Person) -> None:
        self.stack, self.person, self.stripe = stack, person, stack.addresses["stripe"]

    def order(self, pack: str = "small") -> dict[str, Any]:
        made = self.person.http.post("/v1/billing/checkout", json={"pack": pack})
        assert made.status_code == 201, made.text
        return dict(made.json())

    def act(self, order: dict[str, Any], what: str) -> httpx.Response:
        """On Stripe's page. Returns where the browser is sent."""
        return httpx.post(f"{order['url']}/{what}", trust_env=False)

    def operate(self, order: dict[str, Any], what: str, **given: Any) -> dict[str, Any]:
        """Returns the event."""
        where = f"{self.stripe}/_{what}/{order['order']['session']}"
        return dict(httpx.post(where, json=given, trust_env=False).raise_for_status().json())

    def look(self, order: dict[str, Any]) -> dict[str, Any]:
        found = self.person.http.get(f"/v1/billing/orders/{order['order']['id']}")
        assert found.status_code == 200, found.text
        return dict(found.json())

    def wait(self, order: dict[str, Any], **wanted: Any) -> dict[str, Any]:
        """Until the row says so; read without asking Stripe."""
        limit = time.monotonic() + 15
        while True:
            with rest(self.stack) as service:
                (row,) = service.get("/orders", params={"id": f"eq.{order['order']['id']}"}).json()
            if all(row[name] == value for name, value in wanted.items()):
                return dict(row)
            assert time.monotonic() < limit, (wanted, row)
            time.sleep(0.05)

    def balance(self) -> float:
        return account(self.stack, self.person)[0]

    def booked(self) -> dict[str, float]:
        """Credits by kind; the account began with none."""
        return account(self.stack, self.person)[1]

    def events(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        """Of this order, as Stripe lists them."""
        headers = {"authorization": f"Bearer {self.stack.settings['STRIPE_SECRET_KEY']}"}
        listed = httpx.get(f"{self.stripe}/v1/events", params={"limit": 1000}, headers=headers, trust_env=False).json()
        return [one for one in listed["data"] if order["order"]["id"] in json.dumps(one)]

    def deliver(self, event: dict[str, Any], how: str = "") -> list[int]:
        given = {"event": event["id"], "how": how}
        answer = httpx.post(f"{self.stripe}/_deliver", json=given, trust_env=False, timeout=60)
        return list(answer.raise_for_status().json()["answers"])

    def send(self, body: bytes, **headers: str) -> httpx.Response:
        return httpx.post(f"{self.stack.url}/v1/billing/stripe", content=body, headers=headers, trust_env=False)

    def sign(self, body: bytes, stamp: int | None = None) -> str:
        secret = self.stack.settings["STRIPE_WEBHOOK_SECRET"]
        header: str = WebhookSignature.generate_signature_header(body.decode(), secret, stamp)
        return header


@pytest.fixture
def buyer(stack: Stack, sign_up: Callable[..., Person]) -> Buyer:
    return Buyer(stack, sign_up(balance=0))


def test_what_is_paid_is_there_when_the_payer_comes_back(buyer: Buyer) -> None:
    """With a receipt and an invoice, and one line in the ledger."""
    offered = buyer.person.http.get("/v1/billing").json()
    assert (offered["mode"], offered["balance"]) == ("test", 0)
    assert [one["credits"] for one in offered["packs"]] == [5000, 20000, 100000]
    order = buyer.order("medium")
    assert (order["order"]["status"], order["order"]["amount"], order["order"]["currency"]) == ("open", 2000, "usd")
    back = buyer.act(order, "pay")
    assert back.headers["location"] == f"{buyer.stack.url}/credits?order={order['order']['id']}"
    paid = buyer.look(order)
    assert (paid["status"], paid["paid_at"] is not None) == ("paid", True)
    assert paid["receipt_url"].startswith("https://pay.stripe.com/")
    assert paid["invoice_url"].startswith("https://invoice.stripe.com/")
    buyer.wait(order, status="paid")
    (line,) = buyer.person.http.get("/v1/billing/ledger").json()["results"]
    assert (line["kind"], line["credits"], line["balance"], line["pack"]) == ("purchase", 20000, 20000, "medium")
    assert buyer.person.http.get("/v1/billing").json()["balance"] == 20000
    assert [one["id"] for one in buyer.person.http.get("/v1/billing/orders").json()["results"]] == [paid["id"]]


@pytest.mark.parametrize("how", ["twice", "crowd", "rolled"])
def test_a_payment_is_booked_by_its_webhook_alone(buyer: Buyer, fault: Callable[..., None], how: str) -> None:
    """Delivered once, twice, ten times at once, or with the signatures of a secret that is being changed."""
    fault("stripe", path="/pay", code=how)
    order = buyer.order()
    buyer.act(order, "pay")
    buyer.wait(order, status="paid")
    assert buyer.booked() == {"purchase": 5000}


def test_a_hundred_deliveries_in_any_order_are_one_line_each(buyer: Buyer) -> None:
    """Of a payment, a refund and a dispute that was lost."""
    order = buyer.order("medium")
    buyer.act(order, "pay")
    buyer.wait(order, status="paid")
    buyer.operate(order, "refund", amount=500)
    buyer.operate(order, "dispute", amount=1500)
    events = buyer.events(order)
    assert {one["type"] for one in events} >= {"checkout.session.completed", "charge.refunded"}
    deliveries = random.Random(7).choices(events, k=100)  # noqa: S311
    with ThreadPoolExecutor(16) as pool:
        answers = [status for done in pool.map(buyer.deliver, deliveries) for status in done]
    assert len(answers) == 100
    buyer.wait(order, refunded=500, disputed=1500)
    with rest(buyer.stack) as service:
        lines = service.get("/usage", params={"owner": f"eq.{buyer.person.id}", "order": "id"}).json()
    assert [(one["kind"], float(one["credits"])) for one in lines] == [
        ("purchase", 20000), ("refund", -5000), ("dispute", -15000)
    ]  # fmt: skip
    assert buyer.balance() == 0


def test_a_debit_counts_when_the_bank_has_paid(buyer: Buyer) -> None:
    """Days later; until then it is pending, and one that the bank refuses has failed."""
    first, second = buyer.order(), buyer.order()
    for order in (first, second):
        buyer.act(order, "debit")
        assert buyer.look(order)["status"] == "pending"
    assert buyer.booked() == {}
    buyer.operate(first, "debit", paid=True)
    buyer.operate(second, "debit", paid=False)
    buyer.wait(first, status="paid")
    buyer.wait(second, status="failed")
    assert buyer.booked() == {"purchase": 5000}


def test_who_leaves_or_is_declined_or_waits_too_long_pays_nothing(buyer: Buyer) -> None:
    """The order stays open until Stripe closes the page."""
    order = buyer.order()
    assert buyer.act(order, "leave").headers["location"].endswith(f"/credits?left={order['order']['id']}")
    assert "declined" in buyer.act(order, "fail").headers["location"]
    assert buyer.look(order)["status"] == "open"
    buyer.operate(order, "expire")
    buyer.wait(order, status="expired")
    assert buyer.booked() == {}


def test_two_tabs_that_are_both_paid_are_two_purchases(buyer: Buyer) -> None:
    """Two sessions: both count, one line each."""
    orders = [buyer.order(), buyer.order()]
    for order in orders:
        buyer.act(order, "pay")
    for order in orders:
        buyer.wait(order, status="paid")
    assert buyer.booked() == {"purchase": 10000}


def test_refunds_and_disputes_take_credits_in_proportion(buyer: Buyer, portrait_png: bytes) -> None:
    """Below zero where they were spent, which stops new work; what a dispute took comes back when it is won."""
    order = buyer.order()
    buyer.act(order, "pay")
    buyer.wait(order, status="paid")
    with rest(buyer.stack) as service:
        spent = {"p_owner": buyer.person.id, "p_kind": "charge", "p_credits": -4000}
        service.post("/rpc/book", json=spent).raise_for_status()
    buyer.operate(order, "refund", amount=125)  # a quarter
    buyer.wait(order, refunded=125)
    assert buyer.balance() == 5000 - 4000 - 1250
    persona = buyer.person.persona(portrait_png)
    body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "say": "Hello."}}
    refused = buyer.person.http.post("/v1/predictions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (402, "out_of_credits")
    buyer.operate(order, "dispute", amount=375)
    buyer.wait(order, disputed=375)
    assert buyer.booked() == {"purchase": 5000, "charge": -4000, "refund": -1250, "dispute": -3750}
    buyer.operate(order, "dispute", close="won")
    buyer.wait(order, disputed=0)
    assert buyer.booked()["dispute"] == 0
    assert buyer.balance() == -250


def test_an_amount_that_is_not_what_was_ordered_buys_nothing(buyer: Buyer) -> None:
    """Nor does another currency, another order's session, or one of the other mode."""
    changes: list[dict[str, Any]] = [
        {"amount_total": 1}, {"currency": "jpy"}, {"client_reference_id": str(uuid4())}, {"livemode": True},
    ]  # fmt: skip
    for change in changes:
        order = buyer.order()
        buyer.operate(order, "change", **change)
        buyer.act(order, "pay")
        assert buyer.look(order)["status"] == "mismatch", change
    assert buyer.booked() == {}


def test_what_no_webhook_told_is_found_by_the_schedule(buyer: Buyer, fault: Callable[..., None]) -> None:
    """A payment, a refund, a dispute, a debit; each once."""
    fault("stripe", path="/", code="silent", calls=6)
    orders = [buyer.order(), buyer.order()]
    buyer.act(orders[0], "pay")
    buyer.act(orders[1], "debit")
    buyer.operate(orders[1], "debit", paid=True)
    buyer.operate(orders[0], "refund", amount=100)
    assert buyer.booked() == {}
    assert forked.call("payments", buyer.stack.settings) >= 2
    assert buyer.booked() == {"purchase": 10000, "refund": -1000}
    forked.call("payments", buyer.stack.settings)
    assert buyer.booked() == {"purchase": 10000, "refund": -1000}


def test_a_session_whose_number_was_not_kept_is_found_by_its_event(buyer: Buyer) -> None:
    """The container died between Stripe's answer and our row."""
    order = buyer.order()
    with rest(buyer.stack) as service:
        where = {"id": f"eq.{order['order']['id']}"}
        service.patch("/orders", params=where, json={"session": None}).raise_for_status()
    buyer.act(order, "pay")
    buyer.wait(order, status="paid", session=order["order"]["session"])
    assert buyer.booked() == {"purchase": 5000}


def test_webhooks_that_are_not_stripes_are_refused(buyer: Buyer, fault: Callable[..., None]) -> None:
    """Forged, late, ahead of time, changed, unsigned, compressed, of the other mode; nothing is booked."""
    fault("stripe", path="/pay", code="silent")
    order = buyer.order()
    buyer.act(order, "pay")
    (event,) = buyer.events(order)
    for how in ("forged", "late", "ahead"):
        assert buyer.deliver(event, how) == [401], how
    body = json.dumps(event).encode()
    good = buyer.sign(body)
    refused: list[tuple[bytes, dict[str, str], int]] = [
        (body, {}, 401),
        (body, {"stripe-signature": ""}, 401),
        (body, {"stripe-signature": "t=now,v1=00"}, 401),
        (body, {"stripe-signature": "é" * 10}, 401),
        (body + b" ", {"stripe-signature": good}, 401),
        (body, {"stripe-signature": good.replace("v1=", "v0=")}, 401),
        (b"{}", {"stripe-signature": buyer.sign(b"{}")}, 422),
        (b"[]", {"stripe-signature": buyer.sign(b"[]")}, 422),
        (b" " * 1024 * 1024, {"stripe-signature": good}, 413),
    ]
    live = json.dumps({**event, "livemode": True}).encode()
    refused.append((live, {"stripe-signature": buyer.sign(live)}, 422))
    for sent, headers, status in refused:
        encoded = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in headers.items()}
        answer = httpx.post(
            f"{buyer.stack.url}/v1/billing/stripe", content=sent, trust_env=False,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in encoded.items()],
        )  # fmt: skip
        assert answer.status_code == status, (sent[:40], headers, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert buyer.booked() == {}


def test_events_of_something_else_are_taken_and_those_of_unknown_orders_come_again(
    buyer: Buyer, fault: Callable[..., None]
) -> None:
    """What this account sells besides is none of ours; an order that is not there yet may be a moment later."""
    fault("stripe", path="/pay", code="silent")
    order = buyer.order()
    buyer.act(order, "pay")
    (event,) = buyer.events(order)
    foreign = json.loads(json.dumps(event))
    foreign["data"]["object"] |= {"metadata": {}, "payment_intent": None}
    unknown = json.loads(json.dumps(event).replace(order["order"]["id"], str(uuid4())))
    staging = json.loads(json.dumps(event).replace(buyer.stack.url, "https://staging.example.com"))
    other = {**event, "type": "customer.created", "data": {"object": {"id": "cus_1", "object": "customer"}}}
    for sent, status in ((foreign, 204), (other, 204), (staging, 204), (unknown, 404)):
        body = json.dumps(sent).encode()
        assert buyer.send(body, **{"stripe-signature": buyer.sign(body)}).status_code == status
    assert buyer.booked() == {}


@pytest.mark.parametrize(
    ("status", "code"), [(401, "provider_refused"), (403, "provider_refused"), (500, "provider_failed")]
)
def test_a_key_that_stripe_refuses_is_said_without_showing_it(
    buyer: Buyer, fault: Callable[..., None], status: int, code: str
) -> None:
    """The order stays, unpaid."""
    fault("stripe", path="/v1/checkout", status=status, calls=3)
    answer = buyer.person.http.post("/v1/billing/checkout", json={"pack": "small"})
    assert answer.json()["code"] == code
    assert buyer.stack.settings["STRIPE_SECRET_KEY"][8:] not in answer.text


def test_orders_are_their_owners_alone(buyer: Buyer, sign_up: Callable[..., Person]) -> None:
    """Neither seen nor followed by somebody else; no pack of one's own making."""
    order = buyer.order()
    stranger = sign_up(balance=0)
    assert stranger.http.get(f"/v1/billing/orders/{order['order']['id']}").status_code == 404
    assert stranger.http.get("/v1/billing/orders").json()["results"] == []
    for body in ({"pack": "huge"}, {"pack": "small", "amount": 1}, {"pack": "small", "credits": 10**9}, {}):
        assert stranger.http.post("/v1/billing/checkout", json=body).status_code == 422


def test_a_month_of_purchases_refunds_and_disputes_agrees_to_the_cent(buyer: Buyer) -> None:
    """What Stripe has kept of each payment is what the ledger has given for it."""
    dice = random.Random(13)  # noqa: S311
    orders: list[dict[str, Any]] = []
    kept: dict[str, list[int]] = {}  # by order: paid, refunded, disputed
    for _ in range(60):
        deed = dice.choice(["buy", "buy", "debit", "refund", "dispute", "won"])
        if deed in ("buy", "debit") or not orders:
            order = buyer.order(dice.choice(["small", "medium", "large"]))
            buyer.act(order, "debit" if deed == "debit" else "pay")
            if deed == "debit":
                buyer.operate(order, "debit", paid=True)
            orders.append(order)
            kept[order["order"]["id"]] = [order["order"]["amount"], 0, 0]
            continue
        order = dice.choice(orders)
        books = kept[order["order"]["id"]]
        left = books[0] - books[1] - books[2]
        if deed == "refund" and left > 0 and not books[2]:
            amount = dice.randint(1, left)
            buyer.operate(order, "refund", amount=amount)
            books[1] += amount
        elif deed == "dispute" and left > 0 and not books[2]:
            buyer.operate(order, "dispute", amount=left)
            books[2] = left
        elif deed == "won" and books[2]:
            buyer.operate(order, "dispute", close="won")
            books[2] = 0
    for order in orders:
        _, refunded, disputed = kept[order["order"]["id"]]
        buyer.wait(order, status="paid", refunded=refunded, disputed=disputed)
    expected = sum(
        order["order"]["credits"] * (1 - (refunded + disputed) / paid)
        for order in orders for paid, refunded, disputed in [kept[order["order"]["id"]]]
    )  # fmt: skip
    assert len(orders) > 15
    assert buyer.balance() == pytest.approx(expected, abs=0.001 * len(orders))
    assert buyer.balance() == pytest.approx(sum(buyer.booked().values()), abs=0.001)
