"""What only the operator of a deployment can do: look behind row-level security, run the schedule, move the clock."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import httpx

from local.stack import ROOT, Stack
from tests.conftest import Person


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
        where = {"persona_id": f"eq.{persona['id']}", "order": "created_at.desc", "limit": "1"}
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
    script = "import asyncio, json; from functions.reconcile import reconcile as run; "
    script += "print(json.dumps(asyncio.run(run.local(0))))"
    env = {**stack.settings, "PATH": "/usr/bin", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def let_the_deadline_pass(stack: Stack, persona: dict[str, Any]) -> None:
    where = {"persona_id": f"eq.{persona['id']}", "status": "in.(starting,processing)"}
    with rest(stack) as service:
        service.patch("/predictions", params=where, json={"deadline": "2020-01-01T00:00:00Z"}).raise_for_status()
