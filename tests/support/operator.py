"""What only the operator of a deployment can do: look behind row-level security, run the schedule, move the clock."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any
from uuid import uuid4

import httpx

from local.stack import Stack
from tests.support import forked
from tests.support.person import Person


def rest(stack: Stack) -> httpx.Client:
    """PostgREST with the secret key."""
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}", "Prefer": "return=representation"}
    return httpx.Client(
        base_url=f"{stack.settings['SUPABASE_URL']}/rest/v1", headers=headers, trust_env=False, timeout=60
    )


def row_of(stack: Stack, persona: dict[str, Any]) -> dict[str, Any]:
    """The persona's newest prediction as it lies in the table."""
    with rest(stack) as service:
        where = {"persona_id": f"eq.{persona['id']}", "system": "is.false", "order": "created_at.desc", "limit": "1"}
        return dict(service.get("/predictions", params=where).raise_for_status().json()[0])


def account(stack: Stack, person: Person) -> tuple[float, dict[str, float]]:
    """The balance, and the sum of the ledger by kind."""
    headers = {"apikey": stack.settings["SUPABASE_PUBLISHABLE_KEY"], "Authorization": f"Bearer {person.token}"}
    with httpx.Client(base_url=f"{stack.settings['SUPABASE_URL']}/rest/v1", headers=headers, trust_env=False) as rest:
        balance = float(rest.get("/accounts").json()[0]["balance"])
        kinds: dict[str, float] = {}
        for line in rest.get("/usage").json():
            kinds[line["kind"]] = round(kinds.get(line["kind"], 0) + float(line["credits"]), 3)
    return balance, kinds


def reconcile(stack: Stack) -> dict[str, int]:
    """Run the scheduled function as Modal would, in a process of its own; every unreferenced file is old enough."""
    return dict(forked.call("reconcile", stack.settings, 0))


def let_the_deadline_pass(stack: Stack, persona: dict[str, Any]) -> None:
    where = {"persona_id": f"eq.{persona['id']}", "system": "is.false", "status": "in.(starting,processing)"}
    with rest(stack) as service:
        service.patch("/predictions", params=where, json={"deadline": "2020-01-01T00:00:00Z"}).raise_for_status()


def let_it_pass(stack: Stack, owner: Person) -> None:
    """The deadline of what an owner has running."""
    where = {"owner": f"eq.{owner.id}", "status": "in.(starting,processing)"}
    with rest(stack) as service:
        service.patch("/predictions", params=where, json={"deadline": "2020-01-01T00:00:00Z"}).raise_for_status()


def path_of(address: str) -> str:
    """Of a file, in its bucket."""
    return address.partition("?")[0].partition("/object/")[2].split("/", 2)[2]


def name_of(address: str) -> str:
    return path_of(address).rpartition("/")[2]


def files(stack: Stack, person: Person) -> set[str]:
    """Every file that somebody has in storage, by name, but for the loops of their personas."""
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
    url = f"{stack.settings['SUPABASE_URL']}/storage/v1/object/list/personaforge"
    answer = httpx.post(url, json={"prefix": f"{person.id}/", "limit": 1000}, headers=headers, trust_env=False)
    names = {found["name"].rsplit("/")[-1] for found in answer.raise_for_status().json()}
    return {name for name in names if not name.endswith((".idle.mp4", ".thinking.mp4", ".poster.jpg"))}


def wait_until_settled(person: Person, job: dict[str, Any], seconds: float = 10) -> dict[str, Any]:
    limit = time.monotonic() + seconds
    while (found := person.look(job))["status"] in ("starting", "processing") and time.monotonic() < limit:
        time.sleep(0.1)
    return found


def signed(stack: Stack, body: bytes, *, age: int = 0, key: str = "") -> dict[str, str]:
    """Headers as Replicate makes them."""
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    address = f"{stack.addresses['replicate']}/v1/webhooks/default/secret"
    secret = key or httpx.get(address, headers=headers, trust_env=False).json()["key"].removeprefix("whsec_")
    message, stamp = f"msg_{uuid4().hex}", str(int(time.time()) - age)
    mac = hmac.new(base64.b64decode(secret), f"{message}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}
