"""The job that can be trusted: counted, limited, paid, made once, and ended whatever dies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.stack import ROOT, Stack, free_port
from tests.conftest import Person
from tests.proxy import Proxy
from tests.test_talk import files, wait_until_settled


class Functions:
    """The functions in a process of their own, whose Supabase is seen through a proxy."""

    def __init__(self, stack: Stack, log: Path) -> None:
        self.proxy = Proxy(stack.settings["SUPABASE_URL"])
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        env = {
            **stack.settings,
            "SUPABASE_URL": self.proxy.url,
            "FORGE_URL": self.url,
            "PATH": "/usr/bin",
            "NO_PROXY": "*",
        }
        command = [sys.executable, "-m", "uvicorn", "local.gateway:app", "--port", str(port), "--log-level", "warning"]
        command += ["--timeout-graceful-shutdown", "1"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
        while True:
            assert self.process.poll() is None, log.read_text()
            try:
                httpx.get(self.url, trust_env=False)
                return
            except httpx.TransportError:
                time.sleep(0.05)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.proxy.close()


@pytest.fixture
def functions(stack: Stack, tmp_path: Path) -> Iterator[Functions]:
    found = Functions(stack, tmp_path / "functions.log")
    yield found
    found.close()


def through(person: Person, functions: Functions) -> httpx.Client:
    headers = {"Authorization": f"Bearer {person.token}"}
    return httpx.Client(base_url=functions.url, headers=headers, timeout=60, trust_env=False)


def test_polling_a_running_job_asks_no_database_and_a_finished_one_once(
    functions: Functions, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """A thousand polls of a running hosted job: 0 requests to Supabase. Each of a finished one: 1."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"]}}
    with through(person, functions) as http:
        job = http.post("/v1/predictions", json=body).raise_for_status().json()
        with functions.proxy.counting() as passed, ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: http.get(job["urls"]["get"]).json()["status"], range(1000)))
        assert set(answers) == {"processing"}
        assert passed == []
        http.post(job["urls"]["cancel"]).raise_for_status()
        with functions.proxy.counting() as passed:
            assert http.get(job["urls"]["get"]).json()["status"] == "canceled"
        assert len(passed) == 1


@pytest.mark.parametrize("slow", ["POST /storage/v1/object/personaforge", "POST /rest/v1/rpc/settle_prediction"])
def test_hanging_up_while_the_talk_is_being_kept_loses_nothing(
    functions: Functions, stack: Stack, person: Person, persona: dict[str, Any], slow: str
) -> None:
    """The listener leaves during the upload or the settlement: succeeded with its file, or no file at all."""
    before = files(stack, person, {"persona": persona["id"]})
    functions.proxy.slow[slow] = 1.5
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "say": "Short."}}
    with through(person, functions) as http:
        job = http.post("/v1/predictions", json=body).json()
        with pytest.raises(httpx.ReadTimeout), http.stream("GET", job["urls"]["stream"], timeout=0.9) as answer:
            for _ in answer.iter_raw():
                pass
        done = wait_until_settled(person, {"urls": {"get": f"/v1/predictions/{job['id']}"}})
    time.sleep(2)
    new = files(stack, person, done) - before
    assert done["status"] == "succeeded"
    assert new == {done["output"].rsplit("/")[-1], done["captions"].rsplit("/")[-1]}
    assert httpx.get(done["output"].replace(functions.proxy.url, stack.settings["SUPABASE_URL"])).status_code == 200


def test_a_stopped_server_settles_the_talks_it_was_making(
    functions: Functions, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """SIGTERM in the middle of a talk: the job is failed with the reason before the process is gone."""
    fault("anthropic", path="/v1", stall_after=12)
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
    with through(person, functions) as http:
        job = http.post("/v1/predictions", json=body).json()
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: http.get(job["urls"]["stream"]))
            time.sleep(1.5)
            functions.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.HTTPError):
                reading.result(20)
    functions.process.wait(15)
    done = person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}})
    assert done["status"] in ("failed", "canceled")
    assert done["error"]


def test_a_listener_who_leaves_before_the_first_byte_is_noticed(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude stalls, the listener leaves: canceled within a moment, not after Claude's time-out."""
    job = person.talk(persona["id"], message="Hello?")
    fault("anthropic", path="/v1", stall_after=2)
    with pytest.raises(httpx.ReadTimeout):
        person.http.get(job["urls"]["stream"], timeout=1)
    assert wait_until_settled(person, job, 5)["status"] == "canceled"


def test_talks_that_wait_for_claude_do_not_keep_others_from_talking(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Six talks stalled in mid-answer, and a seventh speaks at once."""
    jobs = [person.talk(persona["id"], message="Hello?") for _ in range(6)]
    fault("anthropic", path="/v1", stall_after=12, calls=6)

    def stalled(job: dict[str, Any]) -> None:
        with pytest.raises(httpx.ReadTimeout):
            person.http.get(job["urls"]["stream"], timeout=8)

    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(stalled, job) for job in jobs]
        time.sleep(2)
        started = time.monotonic()
        person.follow(person.talk(persona["id"], say="Not me."))
        took = time.monotonic() - started
        for one in waiting:
            one.result()
    assert took < 4


def test_an_answer_that_ends_early_but_cleanly_is_not_taken_for_whole(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude's stream without its last events is a failure, however politely the connection closed."""
    job = person.talk(persona["id"], message="Tell me about ice in 40 words.")
    fault("anthropic", path="/v1", end_after=14)
    with pytest.raises(httpx.HTTPError):
        person.follow(job)
    done = wait_until_settled(person, job)
    assert (done["status"], "broke off" in done["error"]) == ("failed", True)
    assert done["receipt"]["provider_ids"]["anthropic"].startswith("msg_")


def test_waiting_for_a_stuck_hosted_job_ends_in_time(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """`Prefer: wait=1` answers 202 with the id, also with a silly number of digits."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"]}}
    answer = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json()["status"]) == (202, "starting")
    assert person.http.post(answer.json()["urls"]["cancel"]).json()["status"] == "canceled"
    silly = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=" + "9" * 150})
    assert silly.status_code in (201, 202)


def test_the_same_key_makes_one_prediction_however_many_ask(person: Person, persona: dict[str, Any]) -> None:
    """Fifty calls at once with one Idempotency-Key: one prediction; another body: 409; no key: another one."""
    key = {"Idempotency-Key": uuid4().hex}

    def create(say: str, headers: dict[str, str], model: str = "talk") -> httpx.Response:
        given = {"persona": persona["id"]} | ({"say": say} if model == "talk" else {"prompt": say})
        body = {"model": f"personaforge/{model}", "stream": model == "talk", "input": given}
        return person.http.post("/v1/predictions", json=body, headers=headers)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: create("Once.", key), range(50)))
        hosted = list(
            pool.map(
                lambda _: create("a sailor", {"Idempotency-Key": "h" + key["Idempotency-Key"]}, "portrait"), range(8)
            )
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert {answer.status_code for answer in hosted} == {201}
    assert len({answer.json()["id"] for answer in hosted}) == 1
    other = create("Twice.", key)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert create("Once.", {}).json()["id"] != answers[0].json()["id"]


def account(stack: Stack, person: Person) -> tuple[float, dict[str, float]]:
    """The balance, and the sum of the ledger by kind."""
    headers = {"apikey": stack.settings["SUPABASE_PUBLISHABLE_KEY"], "Authorization": f"Bearer {person.token}"}
    with httpx.Client(base_url=f"{stack.settings['SUPABASE_URL']}/rest/v1", headers=headers, trust_env=False) as rest:
        balance = float(rest.get("/accounts").json()[0]["balance"])
        kinds: dict[str, float] = {}
        for line in rest.get("/usage").json():
            kinds[line["kind"]] = round(kinds.get(line["kind"], 0) + float(line["credits"]), 3)
    return balance, kinds


def test_credits_are_reserved_charged_and_released(
    stack: Stack, sign_up: Callable[..., Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """Reserved when made, charged by the receipt when done, given back when failed; the ledger adds up."""
    person = sign_up(balance=1000)
    persona = person.persona(portrait_png)
    job = person.talk(persona["id"], say="Worth something.")
    assert account(stack, person) == (940, {"reserve": -60})
    person.follow(job)
    cost = round(person.look(job)["receipt"]["cost_usd"] * 1000, 3)
    assert cost > 0
    assert account(stack, person) == (round(1000 - cost, 3), {"reserve": -60, "release": 60, "charge": -cost})
    failing = person.talk(persona["id"], say="Worth nothing.")
    fault("elevenlabs", path="/v1", status=500)
    assert person.http.get(failing["urls"]["stream"]).status_code == 502
    assert account(stack, person)[0] == round(1000 - cost, 3)
    poor = sign_up(balance=59)
    needy = poor.persona(portrait_png)
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": needy["id"], "say": "Please."}}
    refused = poor.http.post("/v1/predictions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (402, "out_of_credits")
    assert account(stack, poor) == (59, {})


def test_limits_on_running_and_per_minute_answer_429_with_retry_after(
    sign_up: Callable[..., Person], portrait_png: bytes
) -> None:
    """Also when twenty ask at once; a finished job makes room again."""
    person = sign_up(running_limit=3)
    persona = person.persona(portrait_png)
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "say": "Hi."}}
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: person.http.post("/v1/predictions", json=body), range(20)))
    made = [answer.json() for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert (len(made), len(refused)) == (3, 17)
    assert {answer.json()["code"] for answer in refused} == {"too_many_requests"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 30 for answer in refused)
    person.follow(made[0])
    assert person.http.post("/v1/predictions", json=body).status_code == 201
    busy = sign_up(minute_limit=2)
    persona = busy.persona(portrait_png)
    body["input"] = {"persona": persona["id"], "say": "Hi."}
    codes = [busy.http.post("/v1/predictions", json=body) for _ in range(3)]
    assert [answer.status_code for answer in codes] == [201, 201, 429]
    assert 1 <= int(codes[2].headers["retry-after"]) <= 60


@pytest.mark.parametrize("text", ["a\x00b", "\x00"])
def test_a_nul_character_is_refused_by_name(person: Person, persona: dict[str, Any], text: str) -> None:
    """What Postgres cannot keep is a 422 and not a database that did not answer."""
    answers = [
        person.http.post("/v1/personas", json={"name": text}),
        person.http.post("/v1/predictions", json={"model": "talk", "input": {"persona": persona["id"], "say": text}}),
    ]
    for answer in answers:
        assert answer.status_code == 422
        assert "NUL" in answer.json()["detail"]


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
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    httpx.patch(
        f"{stack.settings['SUPABASE_URL']}/rest/v1/predictions",
        params={"persona_id": f"eq.{persona['id']}", "status": "in.(starting,processing)"},
        json={"deadline": "2020-01-01T00:00:00Z"},
        headers={"apikey": secret, "Authorization": f"Bearer {secret}"},
        trust_env=False,
    ).raise_for_status()


STEPS = {
    "before the claim": ("supabase", "rpc/claim_prediction"),
    "while Claude writes": ("anthropic", 14),
    "while the portrait is fetched": ("supabase", "GET /storage/v1/object"),
    "while the voice speaks": ("elevenlabs", 1),
    "before the upload": ("supabase", "POST /storage/v1/object"),
    "before the settlement": ("supabase", "rpc/settle_prediction"),
    "after the settlement, before its answer": ("slow", "rpc/settle_prediction"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_container_killed_at_any_step_leaves_no_job_open_and_no_file_behind(
    functions: Functions,
    stack: Stack,
    sign_up: Callable[..., Person],
    portrait_png: bytes,
    fault: Callable[..., None],
    step: str,
) -> None:
    """kill -9, then one reconciliation: settled, the file there or the reason, the credits right."""
    person = sign_up(balance=1000)
    persona = person.persona(portrait_png)
    before = files(stack, person, {"persona": persona["id"]})
    where, what = STEPS[step]
    with through(person, functions) as http:
        body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
        job = http.post("/v1/predictions", json=body).raise_for_status().json()
        if where == "supabase":
            functions.proxy.stop_at = str(what)
        elif where == "slow":
            functions.proxy.slow[str(what)] = 30
        else:
            fault(where, path="/v1", stall_after=what)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(lambda: http.get(job["urls"]["stream"]))
            if where == "supabase":
                assert functions.proxy.stopped.wait(15)
            else:
                time.sleep(2.5)
            functions.process.kill()
            with pytest.raises(httpx.HTTPError):
                reading.result(20)
    let_the_deadline_pass(stack, persona)
    reconcile(stack)
    done = person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}})
    kept = files(stack, person, done) - before
    balance, ledger = account(stack, person)
    if where == "slow":
        assert done["status"] == "succeeded"
        assert kept == {done["output"].rsplit("/")[-1], done["captions"].rsplit("/")[-1]}
        assert balance == round(1000 + ledger["charge"], 3) < 1000
    else:
        assert (done["status"], done["receipt"]["error_code"]) == ("failed", "deadline")
        assert done["error"]
        assert kept == set()
        assert (balance, ledger) == (1000, {"reserve": -60, "release": 60})
    # Once more changes nothing of it (others' talks may pass their deadlines meanwhile).
    assert reconcile(stack)["failed"] == 0
    assert person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}}) == done
    assert account(stack, person) == (balance, ledger)
    assert files(stack, person, done) - before == kept


def test_a_hosted_job_that_finished_unseen_is_kept_by_reconciliation(
    stack: Stack, person: Person, portrait_png: bytes
) -> None:
    """Nobody polled and the deadline passed: the provider is asked once more, and its picture is not lost."""
    persona = person.persona(portrait_png)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"], "prompt": "an old miller"}}
    job = person.http.post("/v1/predictions", json=body).raise_for_status().json()
    time.sleep(2)
    let_the_deadline_pass(stack, persona)
    reconcile(stack)
    assert person.look(job)["status"] == "succeeded"
    assert person.http.get(f"/v1/personas/{persona['id']}").json()["portrait"] == person.look(job)["output"]


def test_cancel_after_sets_the_deadline_and_a_job_over_it_ends_everywhere(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """A hosted job that hangs is cancelled there and failed here when its own deadline passes, by whoever looks."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "personaforge/portrait", "input": {"persona": persona["id"], "prompt": "a monk"}}
    job = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": "5s"}).raise_for_status().json()
    assert person.look(job)["status"] == "processing"
    time.sleep(6)
    done = person.look(job)
    assert (done["status"], done["receipt"]["error_code"]) == ("failed", "deadline")
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    there = httpx.get(f"{stack.addresses['replicate']}/v1/predictions", headers=headers, trust_env=False).json()
    assert there["results"][0]["status"] == "canceled"


@pytest.mark.parametrize("wrong", ["", "soon", "1s", "2h", "-5s", "5x"])
def test_a_duration_that_is_none_is_refused(person: Person, persona: dict[str, Any], wrong: str) -> None:
    """Cancel-After names what it takes."""
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "say": "Hi."}}
    answer = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": wrong})
    assert (answer.status_code, "5s to 1h" in answer.json()["detail"]) == (422, True)


def test_a_talk_over_its_deadline_is_failed_while_it_runs(
    person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Claude stalls past the deadline: the stream ends as a problem and the job says why."""
    body = {"model": "personaforge/talk", "stream": True, "input": {"persona": persona["id"], "message": "Hello?"}}
    job = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": "5s"}).json()
    fault("anthropic", path="/v1", stall_after=2)
    answer = person.http.get(job["urls"]["stream"])
    assert answer.status_code == 504
    assert person.look(job)["receipt"]["error_code"] == "deadline"
