"""A producer that is killed at every step, before it, in it and after it, ends where an undisturbed one does."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support import forked
from tests.support.operator import account, rest
from tests.support.person import Person
from tests.support.projects import IDEA
from tests.support.proxy import Proxy

pytestmark = pytest.mark.slow
SENTENCES = ["It begins so.", "It begins smaller than a grain of sand.", "Now you know."]  # the second one has footage


class Reaper:
    """Kills a producer once for each kind of step at each moment, by what passes between it and Supabase."""

    def __init__(self) -> None:
        self.killed: set[tuple[str, str, str]] = set()
        self.victim: Any = None

    def watch(self, path: str, body: bytes, moment: str) -> bool:
        call = re.search(r"/rpc/(begin_step|end_step)$", path)
        if not call or (call[1], moment) == ("begin_step", "before"):
            return False
        step = json.loads(body)
        point = (step["p_stage"], re.sub(r"\d", "", step["p_key"]), f"{call[1]} {moment}")
        if point in self.killed or step.get("p_error"):
            return False
        self.killed.add(point)
        self.victim.kill()
        return True


def test_killed_at_every_kind_of_step_the_end_is_the_same_and_nothing_is_bought_twice(
    stack: Stack, sign_up: Callable[..., Person], portrait_png: bytes
) -> None:
    """kill -9 when a step has begun, when its result is about to be written, and when it is; then another goes on.

    What was made and not yet written is made again, as nobody could know of it; what is written never is.
    """
    person = sign_up(balance=100_000)
    persona = person.persona(portrait_png)
    proxy = Proxy(stack.settings["SUPABASE_URL"])
    settings = {**stack.settings, "SUPABASE_URL": proxy.url}
    reaper = Reaper()
    proxy.watch = reaper.watch
    with rest(stack) as service:
        given = {"idea": IDEA, "persona": persona["id"], "seconds": 15, "shapes": ["square"]}
        row = {"owner": person.id, "persona_id": persona["id"], "input": given}
        project = service.post("/projects", json=row).raise_for_status().json()[0]["id"]
        where = {"id": f"eq.{project}"}

        def state() -> dict[str, Any]:
            return dict(service.get("/projects", params=where).json()[0])

        def decide(gate: str, **payload: Any) -> None:
            decision = {"p_gate": gate, "p_round": 1, "p_decision": "approve", "p_payload": payload, "p_by": "test"}
            arguments = {"p_id": project, "p_owner": person.id, **decision}
            service.post("/rpc/decide_project", json=arguments).raise_for_status()

        spoken = _bought(stack, "elevenlabs")
        limit = time.monotonic() + 200
        while state()["status"] != "succeeded":
            assert time.monotonic() < limit, (state(), reaper.killed)
            assert state()["status"] != "failed", state()["error"]
            reaper.victim = forked.begin("producer", settings, project)
            reaper.victim.join()
            if state()["status"] == "working":  # the lease of the dead is over
                service.patch("/projects", params=where, json={"lease_until": "2020-01-01T00:00:00Z"})
            elif state()["status"] == "waiting" and state()["waiting_for"] == "script":
                step = {"project_id": f"eq.{project}", "key": "eq.1/ranked"}
                (row,) = service.get("/steps", params=step).json()
                texts = [{"text": text, "footage": "calm water"} for text in SENTENCES]
                ranked = [{**one, "sentences": texts} for one in row["result"]]
                service.patch("/steps", params=step, json={"result": ranked}).raise_for_status()
                decide("script", script=ranked[0]["id"])
            elif state()["status"] == "waiting":
                decide("film")
        steps = service.get("/steps", params={"project_id": f"eq.{project}"}).json()
    kinds = {(step["stage"], re.sub(r"\d", "", step["key"])) for step in steps}
    moments = ("begin_step after", "end_step before", "end_step after")
    assert reaper.killed == {(*kind, moment) for kind in kinds for moment in moments}
    assert all(step["result"] is not None and step["error"] is None for step in steps)
    assert _bought(stack, "elevenlabs") - spoken == 2, "one whose answer died with its buyer, and one that was kept"
    shown = person.http.get(f"/v1/projects/{project}").json()
    assert [one["name"] for one in shown["films"]["square"]["report"] if not one["passed"]] == []
    balance, ledger = account(stack, person)
    assert balance == round(100_000 + sum(ledger.values()), 3)
    assert round(ledger["reserve"] + ledger["release"], 3) == 0
    assert -ledger["charge"] == pytest.approx(sum(float(step["cost_usd"]) for step in steps) * 1000, abs=0.01)
    proxy.close()


def _bought(stack: Stack, vendor: str) -> int:
    return len(httpx.get(f"{stack.addresses[vendor]}/_bill", trust_env=False).json()["lines"])
