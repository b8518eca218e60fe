"""The loops that show a persona while it does not speak: made by themselves, whenever it looks otherwise."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from uuid import uuid4

import av
import cv2
import httpx
import numpy as np
import pytest

from local.stack import Stack
from shared.media.image import decode
from shared.media.video import duration, first_frame
from tests.support import forked
from tests.support.idle import loops
from tests.support.media import Decoded
from tests.support.operator import account, name_of, path_of, reconcile, rest, wait_until_settled
from tests.support.person import Person

UNAVAILABLE = 14  # of gRPC


def fetch(address: str) -> bytes:
    return httpx.get(address, trust_env=False).raise_for_status().content


def test_a_persona_gets_its_loops_with_its_portrait(
    sign_up: Callable[[], Person], stack: Stack, astronaut: bytes
) -> None:
    """Without being asked for, listed, counted or paid; a talk begins and ends with the picture of its poster."""
    person = sign_up()
    before = account(stack, person)
    made = person.persona(astronaut)
    assert (made["idle"], made["poster"], made["hue"]) == (None, None, None)
    shown = loops(person, made)
    assert 0 <= shown["hue"] < 360
    poster = decode(fetch(shown["poster"]))
    for name in ("idle", "thinking"):
        data = fetch(shown[name])
        assert np.abs(first_frame(data).astype(int) - poster).mean() < 2
    assert (duration(fetch(shown["idle"])) or 0) >= 12
    assert person.http.get("/v1/predictions").json()["results"] == []
    assert account(stack, person) == before

    talk = Decoded(person.follow(person.talk(made["id"], say="Good morning.")))
    for frame in (talk.frames[0], talk.frames[-1]):
        assert np.abs(cv2.resize(frame[:, :, ::-1], (512, 512)).astype(int) - poster).mean() < 3


def test_another_look_gets_other_loops_and_the_former_go(
    sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes
) -> None:
    """A name changes nothing; another style lets go of the files at once."""
    person = sign_up()
    made = person.persona(portrait_png)
    first = loops(person, made)
    where = f"/v1/personas/{made['id']}"
    assert person.http.patch(where, json={"name": "Grace"}).json()["idle"] == first["idle"]
    changed = person.http.patch(where, json={"liveliness": 1.0, "gaze": "viewer"}).json()
    assert (changed["idle"], changed["thinking"], changed["poster"], changed["hue"]) == (None, None, None, None)
    second = loops(person, made, other_than=first["idle"])
    with rest(stack) as service:
        kept = service.get("/files", params={"owner": f"eq.{person.id}", "select": "path,referrer"}).json()
    of_persona = {row["path"] for row in kept if row["referrer"] == made["id"]}
    assert {name_of(second[name]) for name in ("idle", "thinking", "poster")} == {
        path.rpartition("/")[2] for path in of_persona if not path.endswith(".png")
    }
    assert {row["path"] for row in kept if row["path"].endswith((".idle.mp4", ".poster.jpg"))} - of_persona


def test_loops_that_were_not_made_are_made_by_the_schedule(
    sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """Modal takes no calls just then: the portrait is kept all the same, and the loops come later."""
    person = sign_up()
    fault("modal", path="FunctionMap", calls=50, status=UNAVAILABLE)
    made = person.persona(portrait_png)
    with rest(stack) as service:
        service.delete("/predictions", params={"persona_id": f"eq.{made['id']}"}).raise_for_status()
        long_ago = {"look_since": "2026-01-01T00:00:00Z"}
        service.patch("/personas", params={"id": f"eq.{made['id']}"}, json=long_ago).raise_for_status()
    httpx.delete(f"{stack.addresses['modal']}/_faults", trust_env=False).raise_for_status()
    forked.call("pregenerate", stack.settings)  # what it returns says nothing: the stack's own may have come first
    loops(person, made)


def test_loops_that_cannot_be_made_are_tried_three_times(
    sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes
) -> None:
    """Then no more, until the persona looks otherwise."""
    person = sign_up()
    made = person.persona(portrait_png)
    loops(person, made)
    with rest(stack) as service:
        service.patch("/personas", params={"id": f"eq.{made['id']}"}, json={"idle": None}).raise_for_status()
        begun: list[int] = []
        for _ in range(4):
            given = {"p_persona": made["id"], "p_id": str(uuid4())}
            rows = service.post("/rpc/begin_idle", json=given).json()
            begun.append(len(rows))
            for row in rows:
                assert row["system"]
                broken = {"p_id": row["id"], "p_outcome": {"status": "failed", "error": "broken"}}
                service.post("/rpc/settle_prediction", json=broken).raise_for_status()
    assert begun == [1, 1, 0, 0]


def test_who_asks_for_them_gets_them(sign_up: Callable[[], Person], portrait_png: bytes) -> None:
    """As a prediction like any other: the loop is its output."""
    person = sign_up()
    made = person.persona(portrait_png)
    loops(person, made)
    body = {"input": {"persona": made["id"]}}
    where = "/v1/models/personaforge/idle/predictions"
    job = person.http.post(where, json=body, headers={"Prefer": "wait=30"}).raise_for_status().json()
    assert job["status"] == "succeeded"
    shown = person.http.get(f"/v1/personas/{made['id']}").json()["idle"]
    assert path_of(shown) == path_of(job["output"])
    assert duration(fetch(job["output"])) == pytest.approx(12.8)
    assert [one["id"] for one in person.http.get("/v1/predictions").json()["results"]] == [job["id"]]


def test_changing_the_look_again_and_again_keeps_no_worker_busy(
    sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes
) -> None:
    """One job of a persona at a time, ten of an owner in a minute; the schedule makes what is missing then."""
    person = sign_up()
    personas = [person.persona(portrait_png) for _ in range(4)]
    for turn in range(6):
        for one in personas:
            change = {"liveliness": 0.1 + 0.1 * turn}
            person.http.patch(f"/v1/personas/{one['id']}", json=change).raise_for_status()
    with rest(stack) as service:
        rows = service.get("/predictions", params={"owner": f"eq.{person.id}", "model": "eq.idle"}).json()
    assert 4 <= len(rows) <= 10
    unfinished = [row["persona_id"] for row in rows if row["status"] in ("starting", "processing")]
    assert len(unfinished) == len(set(unfinished))


def test_loops_of_a_look_that_is_gone_are_nobodys(
    sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes
) -> None:
    """The persona was changed while they were made: it does not get them, and reconciliation removes the files."""
    person = sign_up()
    made = loops(person, person.persona(portrait_png))
    path = f"{person.id}/{uuid4().hex}"
    with rest(stack) as service:
        where = {"id": f"eq.{made['id']}"}
        before = service.get("/personas", params=where).json()[0]["look_since"]
        later = {"look_since": "2026-11-21T00:00:00Z", "idle": None}
        service.patch("/personas", params=where, json=later).raise_for_status()
        row = service.post("/rpc/begin_idle", json={"p_persona": made["id"], "p_id": str(uuid4())}).json()[0]
        files = [f"{path}.idle.mp4", f"{path}.thinking.mp4", f"{path}.poster.jpg"]
        for file in files:
            note = {"path": file, "owner": person.id, "content_type": "video/mp4", "bytes": 1}
            service.post("/files", json=note).raise_for_status()
        change = dict(zip(("idle", "thinking", "poster"), files, strict=True)) | {"hue": 5, "look_since": before}
        outcome = {"status": "succeeded", "output": files[0], "files": files, "idle": change}
        service.post("/rpc/settle_prediction", json={"p_id": row["id"], "p_outcome": outcome}).raise_for_status()
        assert service.get("/personas", params=where).json()[0]["idle"] is None
        kept = service.get("/files", params={"path": f"like.{path}*", "select": "referrer"}).json()
    assert [one["referrer"] for one in kept] == [None] * 3


def test_a_hosted_model_makes_the_loop_for_who_asks_and_pays(
    sign_up: Callable[[], Person], stack: Stack, portrait_png: bytes
) -> None:
    """It replaces our own loop, begins and ends with the picture that talks begin with, and costs its price."""
    person = sign_up()
    own = loops(person, person.persona(portrait_png))
    before = account(stack, person)[0]
    asked = {"input": {"persona": own["id"]}}
    job = person.http.post("/v1/models/personaforge/loop/predictions", json=asked, headers={"Prefer": "wait"})
    made = wait_until_settled(person, job.raise_for_status().json(), 30)
    assert made["status"] == "succeeded", made["error"]
    assert made["receipt"]["model"] == "wan-video/wan-2.7-i2v"
    assert before - account(stack, person)[0] == 500  # five seconds at ten cents

    shown = person.http.get(f"/v1/personas/{own['id']}").json()
    assert path_of(shown["idle"]) not in (path_of(made["output"]), path_of(own["idle"]))
    assert fetch(shown["idle"]) == fetch(made["output"])
    assert fetch(shown["thinking"]) == fetch(own["thinking"])
    with av.open(BytesIO(fetch(shown["idle"])), "r") as file:
        assert [stream.type for stream in file.streams] == ["video"]
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in file.decode(video=0)]
    assert len(pictures) == 125
    assert np.abs(pictures[-1] - pictures[0]).mean() < 2
    assert np.abs(pictures[62] - pictures[0]).mean() > 3, "it moves"
    talk = Decoded(person.follow(person.talk(own["id"], say="Good morning.")))
    assert np.abs(talk.frames[0] - pictures[0]).mean() < 4

    person.http.patch(f"/v1/personas/{own['id']}", json={"liveliness": 0.9}).raise_for_status()
    assert path_of(loops(person, own)["idle"]) != path_of(shown["idle"])
    reconcile(stack)
    assert fetch(person.look(made)["output"])[4:8] == b"ftyp", "what was paid for stays"


def test_a_hosted_loop_of_a_former_look_is_kept_but_not_shown(
    sign_up: Callable[[], Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """Its owner has paid for it; the persona looks otherwise by now."""
    person = sign_up()
    own = loops(person, person.persona(portrait_png))
    fault("replicate", path="/delivery", delay_s=2)  # the look changes while the result is on its way
    job = person.http.post("/v1/predictions", json={"model": "loop", "input": {"persona": own["id"]}}).json()
    person.http.patch(f"/v1/personas/{own['id']}", json={"liveliness": 0.9}).raise_for_status()
    made = wait_until_settled(person, job, 30)
    assert made["status"] == "succeeded", made["error"]
    shown = loops(person, own)
    assert path_of(shown["idle"]) != path_of(made["output"])


def test_who_cancels_a_hosted_loop_pays_what_was_bought(
    sign_up: Callable[..., Person], stack: Stack, portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """And who cannot pay it gets none; nothing is spent then."""
    person = sign_up()
    own = loops(person, person.persona(portrait_png))
    before = account(stack, person)[0]
    fault("replicate", path="/v1/models", stuck=True)
    job = person.http.post("/v1/predictions", json={"model": "loop", "input": {"persona": own["id"]}}).json()
    person.http.post(job["urls"]["cancel"]).raise_for_status()
    assert wait_until_settled(person, job)["status"] == "canceled"
    assert account(stack, person)[0] == before - 500
    poor = sign_up(balance=200)
    theirs = loops(poor, poor.persona(portrait_png))
    refused = poor.http.post("/v1/predictions", json={"model": "loop", "input": {"persona": theirs["id"]}})
    assert (refused.status_code, refused.json()["code"]) == (402, "out_of_credits")
    assert account(stack, poor)[0] == 200
