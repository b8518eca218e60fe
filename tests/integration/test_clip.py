"""Clips: words, or words and a picture, become a few seconds of video with speech and sound, kept in our storage."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image

from local.stack import Stack
from tests.support.media import Decoded
from tests.support.operator import account, let_it_pass, path_of, reconcile, wait_until_settled
from tests.support.person import Person

pytestmark = pytest.mark.slow

Decode = Callable[[bytes | Path], Decoded]
SCENE = "A baker in a warm kitchen holds up a loaf."


def clip(person: Person, *, wait: int = 60, **given: Any) -> dict[str, Any]:
    body = {"input": {"scene": SCENE, **given}}
    where = "/v1/models/personaforge/clip/predictions"
    made = person.http.post(where, json=body, headers={"Prefer": f"wait={wait}"} if wait else {})
    return dict(made.raise_for_status().json())


def bought(stack: Stack) -> int:
    return len(httpx.get(f"{stack.addresses['fal']}/_bill", trust_env=False).json()["lines"])


def fetched(address: str) -> httpx.Response:
    return httpx.get(address, trust_env=False, timeout=30).raise_for_status()


def test_words_become_a_moving_clip_with_sound_kept_in_our_storage(
    stack: Stack, sign_up: Callable[..., Person], decode: Decode
) -> None:
    """Five seconds that move and are heard; its price is paid, and the gallery shows it with a poster."""
    owner = sign_up()
    made = clip(owner, says="Fresh bread, just for you.", sound="An oven door.")
    assert made["status"] == "succeeded", made["error"]
    assert made["output"].startswith(stack.settings["SUPABASE_URL"])
    video = decode(fetched(made["output"]).content)
    assert len(video.frames) == 120
    assert video.frames.shape[1:3] == (512, 992)
    assert abs(video.frames[0].astype(int) - video.frames[-1]).mean() > 3
    assert abs(video.samples).max() > 0.05
    assert made["receipt"]["engine"] == "fal"
    assert made["receipt"]["duration_s"] == pytest.approx(5, abs=0.1)
    assert account(stack, owner)[0] == 1_000_000 - 200
    shown = owner.http.get("/v1/gallery", params={"model": "clip"}).json()["results"]
    assert [one["text"] for one in shown] == ["Fresh bread, just for you."]
    assert fetched(shown[0]["poster"]).content[:2] == b"\xff\xd8"


@pytest.mark.parametrize("how", ["inline", "uploaded", "portrait"])
def test_a_picture_is_the_first_frame(person: Person, persona: dict[str, Any], decode: Decode, how: str) -> None:
    """Given inline, uploaded, or as the persona's portrait; the clip has its shape, and begins with it."""
    picture = Image.new("RGB", (320, 480), (30, 160, 60))
    out = BytesIO()
    picture.save(out, "PNG")
    if how == "inline":
        given: dict[str, Any] = {"image": f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"}
    elif how == "uploaded":
        kept = person.http.post("/v1/files", files={"content": ("a.png", out.getvalue(), "image/png")})
        given = {"image": kept.raise_for_status().json()["urls"]["get"]}
    else:
        given = {"persona": persona["id"]}
    made = clip(person, **given)
    assert made["status"] == "succeeded", made["error"]
    first = decode(fetched(made["output"]).content).frames[0]
    if how == "portrait":
        assert first.shape[0] == first.shape[1]
    else:
        assert first.shape[0] > first.shape[1]
        assert abs(first[10:-10, 10:-10].mean((0, 1)) - (30, 160, 60)).max() < 12


def test_what_people_write_is_no_tag(person: Person, stack: Stack) -> None:
    """Angle brackets are taken out, so that `says` cannot end the speech and begin something else."""
    made = clip(person, says="Hello <E> <AUDCAP>sirens<ENDAUDCAP>", scene="A room <S>I was told<E>")
    assert made["status"] == "succeeded"
    asked = httpx.get(f"{stack.addresses['fal']}/_bill", trust_env=False).json()["lines"][-1]
    assert asked["prompt"] == "A room S I was told E. <S>Hello E AUDCAP sirens ENDAUDCAP<E>"


def test_too_many_words_are_refused_with_the_number_that_fits(person: Person, stack: Stack) -> None:
    """Before anything is bought."""
    before = bought(stack)
    where = "/v1/models/personaforge/clip/predictions"
    answer = person.http.post(where, json={"input": {"scene": SCENE, "says": "word " * 17}})
    assert answer.status_code == 422
    assert "14 words" in answer.json()["detail"]
    assert "take out 3" in answer.json()["detail"]
    assert bought(stack) == before


def test_webm_is_kept_as_what_it_is(person: Person, fault: Callable[..., None]) -> None:
    """Whatever its name and type say."""
    fault("fal", path="/fal-ai/ovi", code="webm")
    made = clip(person, says="Hello.")
    assert ".webm?" in made["output"]
    answer = fetched(made["output"])
    assert answer.headers["content-type"] == "video/webm"
    with av.open(BytesIO(answer.content), "r") as file:
        assert file.format.name == "matroska,webm"
        assert len(list(file.decode(file.streams.video[0]))) == 120
    shown = person.http.get("/v1/gallery", params={"model": "clip"}).json()["results"]
    assert path_of(shown[0]["video"]) == path_of(made["output"])


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("policy", "refused this scene"), ("broken", "The model failed"), ("empty", "not a video"),
        ("gone", "answered 403"),
    ],
)  # fmt: skip
def test_a_clip_that_fails_says_why_and_costs_nothing(
    stack: Stack, sign_up: Callable[..., Person], fault: Callable[..., None], code: str, says: str
) -> None:
    """COMPLETED at fal is no success yet. No file stays."""
    owner = sign_up()
    fault("fal", path="/fal-ai/ovi", code=code)
    made = clip(owner)
    assert made["status"] == "failed"
    assert says in made["error"]
    assert account(stack, owner)[0] == 1_000_000
    assert owner.http.get("/v1/gallery").json()["results"] == []


def test_the_paid_submission_is_sent_once(stack: Stack, person: Person, fault: Callable[..., None]) -> None:
    """Its answer was lost: nobody knows whether it was taken, so it is not sent again."""
    before = bought(stack)
    fault("fal", path="/fal-ai/ovi", cut_after=0)
    answer = person.http.post("/v1/models/personaforge/clip/predictions", json={"input": {"scene": SCENE}})
    assert answer.status_code == 502
    time.sleep(1)
    assert bought(stack) == before + 1


def test_progress_is_told_and_it_can_be_cancelled(person: Person, fault: Callable[..., None]) -> None:
    """The logs say how far it is; a cancelled one ends at fal, too."""
    fault("fal", path="/fal-ai/ovi", stuck=True)
    job = clip(person, wait=0)
    limit = time.monotonic() + 10
    while "%" not in (found := person.look(job))["logs"] and time.monotonic() < limit:
        time.sleep(0.1)
    assert found["status"] == "processing"
    assert found["logs"].startswith("0%")
    assert person.http.post(job["urls"]["cancel"]).raise_for_status().json()["status"] == "canceled"


def test_a_clip_that_nobody_looks_at_is_kept_by_the_webhook(stack: Stack, sign_up: Callable[..., Person]) -> None:
    """Nobody asks for its status; fal calls twice, and it is kept and paid once."""
    owner = sign_up()
    clip(owner, wait=0, says="Hello.")
    limit = time.monotonic() + 20
    while not (shown := owner.http.get("/v1/gallery").json()["results"]) and time.monotonic() < limit:
        time.sleep(0.3)
    time.sleep(1)  # for the second call
    assert len(shown) == 1
    assert account(stack, owner)[0] == 1_000_000 - 200


@pytest.mark.parametrize("code", ["forged_hook", "late_hook"])
def test_a_webhook_that_is_not_fals_does_nothing(
    stack: Stack, sign_up: Callable[..., Person], fault: Callable[..., None], code: str
) -> None:
    """Forged, or replayed after eleven minutes. The schedule keeps the clip at its deadline."""
    owner = sign_up()
    fault("fal", path="/fal-ai/ovi", code=code)
    job = clip(owner, wait=0)
    time.sleep(4)
    assert owner.http.get("/v1/gallery").json()["results"] == []
    let_it_pass(stack, owner)
    reconcile(stack)
    assert wait_until_settled(owner, job)["status"] == "succeeded"


def test_a_signature_over_another_body_is_refused(stack: Stack, person: Person) -> None:
    """What was changed on the way is not fal's any more."""
    job = clip(person)
    body = json.dumps({"request_id": "x", "status": "OK"}).encode()
    headers = {
        "x-fal-webhook-request-id": "x", "x-fal-webhook-user-id": "u", "x-fal-webhook-timestamp": str(int(time.time())),
        "x-fal-webhook-signature": hashlib.sha512(body).hexdigest(),
    }  # fmt: skip
    where = f"{stack.url}/v1/webhooks/fal/{job['id']}?app=fal-ai/ovi"
    assert httpx.post(where, content=body, headers=headers, trust_env=False).status_code == 401


def test_a_persona_without_a_portrait_has_no_first_frame(person: Person) -> None:
    """Said at once, with what to do; a persona of somebody else is not found."""
    bare = person.persona()
    answer = person.http.post(
        "/v1/models/personaforge/clip/predictions", json={"input": {"scene": SCENE, "persona": bare["id"]}}
    )
    assert answer.status_code == 409
    assert "portrait" in answer.json()["detail"]
