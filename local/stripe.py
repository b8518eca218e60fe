"""Stand-in for Stripe: checkout sessions with a page to pay at, payments, refunds, disputes, events and their webhooks.

A test acts over HTTP as a person would on the page, or as the operator in Stripe's own dashboard:
POST /pay/{session}/{pay|fail|debit|leave}
POST /_debit/{session} {"paid": true}        what the bank says of a debit, days later
POST /_refund/{session} {"amount": 200}
POST /_dispute/{session} {"amount": 500}     and with {"close": "won"} or "lost" how it ends
POST /_change/{session} {"amount_total": 1}  what must never happen
POST /_deliver {"event": id, "how": code}    an event once more

Codes that a fault may have (see faults.py), with the path of what is done:
silent    no webhook        twice     each one twice          crowd     each one ten times at once
late      signed 400 s ago  ahead     signed 4,000 s ahead    forged    with another secret
rolled    two signatures, the right one last
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import time
from typing import Any
from uuid import uuid4

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from local.bill import Bill
from local.faults import Faults

Thing = dict[str, Any]
TAKEN = {  # parameters of a new session that are understood here
    "mode", "line_items", "client_reference_id", "metadata", "payment_intent_data", "invoice_creation",
    "adaptive_pricing", "success_url", "cancel_url", "expires_at", "customer_email", "locale",
}  # fmt: skip
bill = Bill()
things: dict[str, Thing] = {}
events: list[Thing] = []
_keys: dict[str, tuple[str, Thing]] = {}


def refusal(status: int, code: str = "", message: str = "") -> Thing:
    kind = {401: "invalid_request_error", 429: "rate_limit_error"}.get(status, "api_error")
    kind = "invalid_request_error" if 400 <= status < 429 and status != 401 else kind
    return {"error": {"type": kind, "code": code or None, "message": message or f"Stand-in: {status}"}}


def _id(kind: str) -> str:
    return f"{kind}_{uuid4().hex[:24]}"


def _tree(form: list[tuple[str, str]]) -> Thing:
    """From a[b][0][c]=d."""
    root: Thing = {}
    for name, value in form:
        at, parts = root, re.findall(r"[^\[\]]+", name)
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value
    return root


async def create(request: Request) -> Response:
    raw = await request.body()
    given = _tree(list((await request.form()).items()))  # type: ignore[arg-type]
    digest = hashlib.sha256(raw).hexdigest()
    key = request.headers.get("idempotency-key", "")
    if key in _keys:
        if _keys[key][0] != digest:
            error = {"type": "idempotency_error", "message": "Keys for idempotent requests can only be used once."}
            return JSONResponse({"error": error}, 400)
        return JSONResponse(_keys[key][1])
    if unknown := set(given) - TAKEN:
        return JSONResponse(refusal(400, "parameter_unknown", f"Received unknown parameter: {min(unknown)}"), 400)
    try:
        item = given["line_items"]["0"]
        price, count = item["price_data"], int(item["quantity"])
        amount = int(price["unit_amount"]) * count
        name = price["product_data"]["name"]
    except (KeyError, ValueError):
        return JSONResponse(refusal(400, "parameter_missing", "Missing required param: line_items."), 400)
    if amount < 50:
        return JSONResponse(refusal(400, "amount_too_small", "The amount is too small."), 400)
    live = request.headers["authorization"].removeprefix("Bearer ").startswith(("sk_live_", "rk_live_"))
    session = _id("cs_live" if live else "cs_test")
    made = {
        "id": session, "object": "checkout.session", "livemode": live, "mode": given.get("mode"), "status": "open",
        "payment_status": "unpaid", "amount_total": amount, "currency": price["currency"], "payment_intent": None,
        "client_reference_id": given.get("client_reference_id"), "metadata": given.get("metadata", {}),
        "success_url": given.get("success_url"), "cancel_url": given.get("cancel_url"), "invoice": None,
        "expires_at": int(time.time()) + 86_400, "created": int(time.time()),
        "url": f"{str(request.base_url).rstrip('/')}/pay/{session}",
    }  # fmt: skip
    things[session] = {
        **made, "_name": name, "_items": count,
        "_intent_metadata": given.get("payment_intent_data", {}).get("metadata", {}),
        "_invoiced": given.get("invoice_creation", {}).get("enabled") == "true",
    }  # fmt: skip
    bill.add("checkout", sessions=1)
    if key:
        _keys[key] = (digest, made)
    return JSONResponse(made)


def _shown(thing: Thing, expand: list[str]) -> Thing:
    found = {key: value for key, value in thing.items() if not key.startswith("_")}
    for path in expand:
        head, _, rest = path.partition(".")
        if head == "line_items":
            found[head] = {"object": "list", "data": [{"object": "item", "quantity": thing["_items"]}]}
        elif isinstance(found.get(head), str):
            found[head] = _shown(things[found[head]], [rest] if rest else [])
    return found


async def retrieve(request: Request) -> Response:
    thing = things.get(request.path_params["id"])
    if thing is None:
        return JSONResponse(refusal(404, "resource_missing", "No such object"), 404)
    return JSONResponse(
        _shown(thing, [value for name, value in request.query_params.multi_items() if "expand" in name])
    )


async def list_disputes(request: Request) -> Response:
    wanted = request.query_params.get("payment_intent")
    found = [one for one in things.values() if one["object"] == "dispute" and one["payment_intent"] == wanted]
    return JSONResponse({"object": "list", "data": [_shown(one, []) for one in found], "has_more": False})


async def list_events(request: Request) -> Response:
    since = int(request.query_params.get("created[gte]", 0))
    after, count = request.query_params.get("starting_after"), int(request.query_params.get("limit", 10))
    found = [one for one in reversed(events) if one["created"] >= since]
    ids = [one["id"] for one in found]
    found = found[ids.index(after) + 1 :] if after in ids else found
    more = len(found) > count
    return JSONResponse({"object": "list", "url": "/v1/events", "data": found[:count], "has_more": more})


async def page(request: Request) -> Response:
    """Where a person pays."""
    session = things.get(request.path_params["id"])
    if session is None or session["status"] != "open":
        return HTMLResponse("<!doctype html><title>Stripe</title><p>This page is not open any more.", 404)
    words = {"pay": "Pay", "fail": "Pay with a card that is declined", "debit": "Pay by bank debit", "leave": "Leave"}
    forms = "".join(
        f'<form method="post" action="/pay/{session["id"]}/{what}"><button>{text}</button></form>'
        for what, text in words.items()
    )
    price = f"{session['amount_total'] / 100:.2f} {session['currency'].upper()}"
    declined = "<p>The card was declined.</p>" if request.query_params.get("declined") else ""
    head = '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Stripe</title>'
    return HTMLResponse(
        f"{head}<h1>{session['_name']}</h1><p>{price}. No money moves: this stands in for Stripe.</p>{declined}{forms}"
    )


async def _icon(_: Request) -> Response:
    return Response(status_code=204)


async def act(request: Request) -> Response:
    session, what = things[request.path_params["id"]], request.path_params["what"]
    if session["status"] != "open":
        return JSONResponse(refusal(400, "", "This session is not open."), 400)
    code = request.scope.get("code", "")
    if what == "leave":
        return RedirectResponse(session["cancel_url"], 303)
    if what == "fail":
        return RedirectResponse(f"/pay/{session['id']}?declined=1", 303)
    _complete(session, paid=what == "pay")
    event = _event("checkout.session.completed", session)
    where = session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"])
    return RedirectResponse(where, 303, background=BackgroundTask(_tell, event, code))


def _complete(session: Thing, *, paid: bool) -> None:
    intent, charge = _id("pi"), _id("ch")
    common = {"livemode": session["livemode"], "metadata": session["_intent_metadata"], "currency": session["currency"]}
    things[charge] = {
        **common, "id": charge, "object": "charge", "payment_intent": intent, "amount": session["amount_total"],
        "amount_refunded": 0, "disputed": False, "paid": paid, "receipt_url": f"https://pay.stripe.com/receipts/{charge}",
    }  # fmt: skip
    status = "succeeded" if paid else "processing"
    things[intent] = {**common, "id": intent, "object": "payment_intent", "status": status, "latest_charge": charge}
    session |= {"status": "complete", "payment_status": "paid" if paid else "unpaid", "payment_intent": intent}
    if session["_invoiced"] and paid:
        _invoice(session)


def _invoice(session: Thing) -> None:
    invoice = _id("in")
    things[invoice] = {
        "id": invoice,
        "object": "invoice",
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{invoice}",
    }
    session["invoice"] = invoice


async def debit(request: Request) -> Response:
    session, paid = things[request.path_params["id"]], (await request.json())["paid"]
    intent = things[session["payment_intent"]]
    intent["status"] = "succeeded" if paid else "requires_payment_method"
    if paid:
        session["payment_status"] = "paid"
        things[intent["latest_charge"]]["paid"] = True
        _invoice(session)
    name = "succeeded" if paid else "failed"
    return await _done(request, _event(f"checkout.session.async_payment_{name}", session))


async def expire(request: Request) -> Response:
    session = things[request.path_params["id"]]
    session["status"] = "expired"
    return await _done(request, _event("checkout.session.expired", session))


async def refund(request: Request) -> Response:
    session, amount = things[request.path_params["id"]], (await request.json())["amount"]
    charge = things[things[session["payment_intent"]]["latest_charge"]]
    if amount > charge["amount"] - charge["amount_refunded"]:
        words = "Refund amount is greater than unrefunded amount on charge."
        return JSONResponse(refusal(400, "charge_already_refunded", words), 400)
    charge["amount_refunded"] += amount
    return await _done(request, _event("charge.refunded", charge))


async def dispute(request: Request) -> Response:
    session, given = things[request.path_params["id"]], await request.json()
    intent = things[session["payment_intent"]]
    charge = things[intent["latest_charge"]]
    if "close" in given:
        found = next(one for one in things.values() if one["object"] == "dispute" and one["charge"] == charge["id"])
        found["status"] = given["close"]
        return await _done(request, _event("charge.dispute.closed", found))
    charge["disputed"] = True
    made = {
        "id": _id("du"), "object": "dispute", "charge": charge["id"], "payment_intent": intent["id"], "metadata": {},
        "amount": given["amount"], "currency": charge["currency"], "status": "needs_response",
        "livemode": charge["livemode"],
    }  # fmt: skip
    things[made["id"]] = made
    return await _done(request, _event("charge.dispute.created", made))


async def change(request: Request) -> Response:
    things[request.path_params["id"]] |= await request.json()
    return JSONResponse({})


async def deliver(request: Request) -> Response:
    """An event again, as it was when it happened. Returns the statuses of the answers."""
    given = await request.json()
    event = next(one for one in events if one["id"] == given["event"])
    return JSONResponse({"answers": await _tell(event, given.get("how", ""))})


async def _done(request: Request, event: Thing) -> Response:
    return JSONResponse(event, background=BackgroundTask(_tell, event, request.scope.get("code", "")))


def _event(kind: str, thing: Thing) -> Thing:
    event = {
        "id": _id("evt"), "object": "event", "type": kind, "created": int(time.time()), "livemode": thing["livemode"],
        "api_version": "2026-10-28.endive", "pending_webhooks": 1,
        "data": {"object": json.loads(json.dumps(_shown(thing, [])))},
    }  # fmt: skip
    events.append(event)
    return event


async def _tell(event: Thing, code: str) -> list[int]:
    """The webhook; tried three times where it is not taken."""
    from stripe import WebhookSignature

    if code == "silent":
        return []
    body, secret, now = json.dumps(event), os.environ["STANDIN_WEBHOOK_SECRET"], int(time.time())
    stamp = now - 400 if code == "late" else now + 4000 if code == "ahead" else now
    header = WebhookSignature.generate_signature_header(body, "whsec_other" if code == "forged" else secret, stamp)
    if code == "rolled":
        other = WebhookSignature.generate_signature_header(body, "whsec_old", stamp)
        header = f"{other},{header.partition(',')[2]}"
    headers = {"content-type": "application/json; charset=utf-8", "stripe-signature": header}

    async def send(http: httpx.AsyncClient) -> int:
        status = 0
        for pause in (0.0, 0.5, 2.0):
            await asyncio.sleep(pause)
            try:
                status = (await http.post(os.environ["STANDIN_WEBHOOK"], content=body, headers=headers)).status_code
            except httpx.TransportError:
                continue
            if status < 300 or code in ("late", "ahead", "forged"):
                break
        return status

    async with httpx.AsyncClient(timeout=30) as http:
        if code == "crowd":
            return await asyncio.gather(*(send(http) for _ in range(10)))
        return [await send(http) for _ in range(2 if code == "twice" else 1)]


def guarded(handler: Any) -> Any:
    async def check(request: Request) -> Response:
        if not request.headers.get("authorization", "").endswith(os.environ["STANDIN_KEY"]):
            return JSONResponse(refusal(401, "", "Invalid API Key provided"), 401)
        answer: Response = await handler(request)
        return answer

    return check


app = Starlette(
    routes=[
        bill.route,
        Route("/v1/checkout/sessions", guarded(create), methods=["POST"]),
        Route("/v1/checkout/sessions/{id}", guarded(retrieve)),
        Route("/v1/payment_intents/{id}", guarded(retrieve)),
        Route("/v1/disputes", guarded(list_disputes)),
        Route("/v1/events", guarded(list_events)),
        Route("/favicon.ico", _icon),
        Route("/pay/{id}", page),
        Route("/pay/{id}/{what:str}", act, methods=["POST"]),
        Route("/_debit/{id}", debit, methods=["POST"]),
        Route("/_expire/{id}", expire, methods=["POST"]),
        Route("/_refund/{id}", refund, methods=["POST"]),
        Route("/_dispute/{id}", dispute, methods=["POST"]),
        Route("/_change/{id}", change, methods=["POST"]),
        Route("/_deliver", deliver, methods=["POST"]),
    ],
    middleware=[Middleware(Faults, refusal=refusal)],
)
