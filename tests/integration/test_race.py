"""Everybody at once, on a Postgres with many connections: each job is settled once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.container import start_unheard
from tests.support.operator import account, files, let_the_deadline_pass, name_of, reconcile, signed
from tests.support.person import Person

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("postgres"), postgres=True) as running:
        yield running


@pytest.fixture(scope="module")
def somebody(real: Stack) -> Iterator[Person]:
    person = Person(real, balance=100_000)
    yield person
    person.http.close()


def test_the_stack_runs_whole_on_a_real_postgres(somebody: Person, portrait_png: bytes) -> None:
    """The same migrations, and a talk from question to kept video."""
    job = somebody.talk(somebody.persona(portrait_png)["id"], message="Who are you?")
    assert somebody.follow(job)[4:8] == b"ftyp"
    assert somebody.look(job)["status"] == "succeeded"


@pytest.mark.parametrize("finished", [True, False], ids=["the-provider-is-done", "the-deadline-is-over"])
def test_a_hundred_at_once_settle_one_job_once(
    real: Stack, somebody: Person, portrait_png: bytes, tmp_path: Path, finished: bool
) -> None:
    """Polls, cancels, webhooks, the schedule and direct settlements: one winner, one release, at most one new file."""
    persona = somebody.persona(portrait_png)
    before = files(real, somebody)
    ledger = account(real, somebody)[1]
    job = start_unheard(real, somebody, persona, tmp_path)
    if not finished:
        let_the_deadline_pass(real, persona)
    secret = real.settings["SUPABASE_SECRET_KEY"]
    service = {"apikey": secret, "Authorization": f"Bearer {secret}"}
    rest = f"{real.settings['SUPABASE_URL']}/rest/v1"
    row = httpx.get(
        f"{rest}/predictions", params={"persona_id": f"eq.{persona['id']}", "system": "is.false"}, headers=service
    ).json()[0]
    settle = {"p_id": row["id"], "p_outcome": {"status": "failed", "error": "settled directly"}}

    hint = json.dumps({"id": row["provider_id"]}).encode()

    def act(number: int) -> Any:
        if number % 4 == 0:
            done = httpx.post(f"{rest}/rpc/settle_prediction", json=settle, headers=service, timeout=60)
            return done.json()["settled"]
        if number % 4 == 1:
            return somebody.http.post(f"/v1/predictions/{job['id']}/cancel").status_code
        if number % 4 == 2:
            hook = f"{real.url}/v1/webhooks/replicate/{job['id']}"
            return httpx.post(hook, content=hint, headers=signed(real, hint), trust_env=False, timeout=60).status_code
        if number == 3:
            reconcile(real)
            return 200
        return somebody.http.get(f"/v1/predictions/{job['id']}").status_code

    with ThreadPoolExecutor(100) as pool:
        done = Counter(map(str, pool.map(act, range(100))))
    assert set(done) <= {"200", "204", "True", "False"}, done
    assert done["True"] <= 1
    seen = [somebody.http.get(f"/v1/predictions/{job['id']}").json() for _ in range(5)]
    assert all(one == seen[0] for one in seen)
    assert seen[0]["status"] in ("succeeded", "canceled", "failed")
    after = account(real, somebody)[1]
    assert (after["reserve"] - ledger["reserve"], after["release"] - ledger["release"]) == (-60, 60)
    new = files(real, somebody) - before
    assert new == ({name_of(seen[0]["output"])} if seen[0]["output"] else set())


def test_a_hundred_listeners_open_one_stream(real: Stack, somebody: Person, portrait_png: bytes) -> None:
    """One hears the talk, the others are told; it is charged once."""
    persona = somebody.persona(portrait_png)
    job = somebody.talk(persona["id"], say="Only one of you.")
    before = account(real, somebody)[1].get("charge", 0)
    with ThreadPoolExecutor(50) as pool:
        codes = Counter(pool.map(lambda _: somebody.http.get(job["urls"]["stream"]).status_code, range(100)))
    assert codes == {200: 1, 409: 99}
    cost = somebody.look(job)["receipt"]["cost_usd"]
    assert before - account(real, somebody)[1]["charge"] == pytest.approx(cost * 1000, abs=0.002)
