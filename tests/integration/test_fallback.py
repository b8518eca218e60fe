"""When a talk cannot be had as it should be, the best that can is delivered, and it says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import av
import httpx
import numpy as np
import pytest

from local.stack import Stack
from tests.support.operator import files, path_of, rest, wait_until_settled
from tests.support.person import Person

pytestmark = pytest.mark.slow

Decode = Callable[[bytes], Any]
Fault = Callable[..., None]


@pytest.fixture
def faceless(stack: Stack, person: Person, portrait_png: bytes) -> dict[str, Any]:
    """A persona whose face our own engine cannot use; its picture is well."""
    persona = person.persona(portrait_png)
    with rest(stack) as service:
        where = {"id": f"eq.{persona['id']}"}
        service.patch("/personas", params=where, json={"face": {"left_eye": [2, 2]}}).raise_for_status()
    return persona


def steps(done: dict[str, Any]) -> list[str]:
    return [reason["source"] for reason in done["degraded"]["reasons"]]


def test_a_whole_talk_says_nothing_of_degrading(person: Person, persona: dict[str, Any]) -> None:
    """The best source is no fallback."""
    job = person.talk(persona["id"], say="All is well.")
    person.follow(job)
    done = person.look(job)
    assert (done["degraded"], done["receipt"]["engine"]) == (None, "cpu")


def test_hosted_lip_sync_when_our_own_engine_cannot(person: Person, faceless: dict[str, Any], decode: Decode) -> None:
    """The same stream, later: our sound, the hosted model's moving mouth, its cost in the receipt."""
    job = person.talk(faceless["id"], say="Somebody else moves my lips now, and they do move.")
    streamed = decode(person.follow(job))
    done = person.look(job)
    assert (done["status"], done["degraded"]["delivered"], steps(done)) == ("succeeded", "hosted", ["cpu"])
    assert done["degraded"]["reasons"][0]["code"] == "picture_unusable"
    receipt = done["receipt"]
    assert receipt["engine"] == "replicate"
    assert receipt["provider_ids"]["replicate"]
    assert receipt["cost_usd"] > 0.16 * receipt["duration_s"]
    kept = decode(httpx.get(done["output"], trust_env=False).content)
    assert np.array_equal(streamed.frames, kept.frames)
    assert kept.video_seconds == pytest.approx(receipt["duration_s"])
    mouth = kept.frames[:, 300:400, 200:310].astype(int)
    assert np.abs(np.diff(mouth, axis=0)).mean() > 0.5
    assert np.abs(kept.samples).max() > 0.1


@pytest.mark.parametrize("what", [{"status": 402}, {"status": 500}, {"path": "/delivery", "status": 404}])
def test_the_picture_breathes_with_the_voice_when_no_lips_can_be_moved(
    person: Person, faceless: dict[str, Any], fault: Fault, decode: Decode, what: dict[str, Any]
) -> None:
    """Replicate refuses, fails, or loses its output: idle, with the voice and captions."""
    job = person.talk(faceless["id"], message="Who are you?")
    fault("replicate", **{"path": "/v1/models", "calls": 20, **what})
    video = decode(person.follow(job))
    done = person.look(job)
    assert (done["status"], done["degraded"]["delivered"], steps(done)) == ("succeeded", "idle", ["cpu", "hosted"])
    assert done["degraded"]["reasons"][1]["detail"].startswith("replicate")
    assert done["receipt"]["engine"] == "idle"
    assert np.abs(video.samples).max() > 0.1
    moved = np.abs(video.frames[0].astype(int) - video.frames[25]).mean()
    assert 0.1 < moved < 10
    assert "Ada" in httpx.get(done["captions"], trust_env=False).text


def test_a_hosted_job_that_hangs_is_given_up_in_time(
    stack: Stack, person: Person, faceless: dict[str, Any], fault: Fault
) -> None:
    """One budget of time: before the deadline the provider is cancelled and the picture breathes."""
    fault("replicate", path="/v1/models", stuck=True)
    body = {"model": "talk", "stream": True, "input": {"persona": faceless["id"], "say": "In time."}}
    job = person.http.post("/v1/predictions", json=body, headers={"Cancel-After": "25s"}).json()
    started = time.monotonic()
    person.follow(job)
    assert time.monotonic() - started < 25
    done = person.look(job)
    assert (done["status"], done["degraded"]["delivered"]) == ("succeeded", "idle")
    headers = {"Authorization": f"Bearer {stack.settings['REPLICATE_API_TOKEN']}"}
    url = f"{stack.addresses['replicate']}/v1/predictions/{done['receipt']['provider_ids']['replicate']}"
    assert httpx.get(url, headers=headers, trust_env=False).json()["status"] == "canceled"


def test_the_voice_alone_when_there_is_no_picture(stack: Stack, person: Person, portrait_png: bytes) -> None:
    """The portrait's file is gone: sound with captions is kept, and the stream says that there is no video."""
    persona = person.persona(portrait_png)
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}"}
    name = path_of(persona["portrait"])
    where = f"{stack.settings['SUPABASE_URL']}/storage/v1/object/personaforge"
    httpx.request("DELETE", where, json={"prefixes": [name]}, headers=headers, trust_env=False).raise_for_status()
    job = person.talk(persona["id"], say="You can only hear me.")
    answer = person.http.get(job["urls"]["stream"])
    assert (answer.status_code, answer.json()["code"]) == (502, "no_video")
    assert answer.json()["degraded"]["delivered"] == "voice"
    done = person.look(job)
    assert (done["status"], done["degraded"], steps(done)) == (
        "succeeded", answer.json()["degraded"], ["cpu", "hosted", "idle"],
    )  # fmt: skip
    kept = httpx.get(done["output"], trust_env=False)
    with av.open(BytesIO(kept.content), "r") as file:
        assert not file.streams.video
        seconds = sum(frame.samples for frame in file.decode(audio=0)) / 24_000
    assert seconds == pytest.approx(done["receipt"]["duration_s"], abs=0.1)
    assert "hear" in httpx.get(done["captions"], trust_env=False).text
    shown = person.http.get("/v1/gallery", params={"persona": persona["id"]}).json()["results"]
    assert shown == []


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"status": 401, "code": "quota_exceeded"}, "provider_refused"),
        ({"status": 429, "calls": 3}, "provider_busy"),
        ({"status": 429, "retry_after": 90}, "provider_busy"),
        ({"cut_after": 0}, "provider_failed"),
    ],
)
def test_the_text_alone_when_the_voice_is_gone(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Fault, what: dict[str, Any], code: str
) -> None:
    """An answer is not lost with its voice: the job succeeded with its text, remembered, and no file."""
    before = files(stack, person)
    job = person.talk(persona["id"], message="What is your name?")
    fault("elevenlabs", path="/v1", **what)
    started = time.monotonic()
    answer = person.http.get(job["urls"]["stream"])
    assert time.monotonic() - started < 10
    assert (answer.status_code, answer.json()["code"]) == (502, "no_video")
    done = person.look(job)
    assert (done["status"], done["output"], done["captions"]) == ("succeeded", None, None)
    assert "Ada" in done["text"]
    assert done["degraded"]["delivered"] == "text"
    assert [(reason["source"], reason["code"]) for reason in done["degraded"]["reasons"]] == [("voice", code)]
    assert files(stack, person) == before


@pytest.mark.parametrize("how", ["cut_after", "stall_after"])
def test_a_voice_that_breaks_in_mid_stream_leaves_the_whole_text(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Fault, how: str
) -> None:
    """Or falls silent. The stream is broken off, so that nobody takes half for whole; the text is all there."""
    before = files(stack, person)
    job = person.talk(persona["id"], message="Tell me about comets in 80 words.")
    fault("elevenlabs", path="/v1")  # the first clause is spoken; the next one breaks
    fault("elevenlabs", path="/v1", **{how: 1})
    with pytest.raises(httpx.RemoteProtocolError):
        person.follow(job)
    done = wait_until_settled(person, job)
    assert (done["status"], done["degraded"]["delivered"]) == ("succeeded", "text")
    assert len(done["text"].split()) > 60
    assert files(stack, person) == before
    person.follow(person.talk(persona["id"], say="And we are well again."))


def test_words_of_the_caller_without_a_voice_are_a_failure(
    person: Person, persona: dict[str, Any], fault: Fault
) -> None:
    """With `say` the caller has the text already: nothing was made, nothing is charged."""
    job = person.talk(persona["id"], say="These are mine.")
    fault("elevenlabs", path="/v1", status=401, code="quota_exceeded")
    answer = person.http.get(job["urls"]["stream"])
    assert (answer.status_code, answer.json()["code"]) == (502, "provider_refused")
    assert person.look(job)["status"] == "failed"


@pytest.mark.parametrize("vendor", ["anthropic", "elevenlabs"])
@pytest.mark.parametrize("what", [{"status": 529, "retry_after": 1}, {"status": 503}, {"status": 500, "calls": 2}])
def test_a_passing_failure_is_repeated_where_that_is_safe(
    person: Person, persona: dict[str, Any], fault: Fault, vendor: str, what: dict[str, Any]
) -> None:
    """Before anything came a request is begun again, after the pause that was asked for; nothing is degraded."""
    job = person.talk(persona["id"], message="What is your name?")
    fault(vendor, path="/v1", **what)
    started = time.monotonic()
    person.follow(job)
    took = time.monotonic() - started
    done = person.look(job)
    assert (done["status"], done["degraded"]) == ("succeeded", None)
    assert took >= what.get("retry_after", 0.3)


def test_cancelling_a_running_talk_stops_its_work(person: Person, persona: dict[str, Any], fault: Fault) -> None:
    """The container notices within seconds that nobody wants it any more, and breaks the stream off."""
    job = person.talk(persona["id"], message="Tell me about galaxies in 200 words.")
    fault("anthropic", path="/v1", stall_after=40)
    started = time.monotonic()
    with person.http.stream("GET", job["urls"]["stream"]) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        assert person.http.post(job["urls"]["cancel"]).json()["status"] == "canceled"
        with pytest.raises(httpx.RemoteProtocolError):
            for _ in chunks:
                pass
    assert time.monotonic() - started < 6
    done = person.look(job)
    assert (done["status"], done["receipt"]["error_code"]) == ("canceled", "canceled")
    assert done["text"]
    assert done["receipt"]["cost_usd"] > 0  # what was used is paid, as after hanging up
