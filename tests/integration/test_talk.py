"""A talk from question to kept video, over HTTP, and everything that can go wrong on the way."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest

from local.stack import Stack
from shared.runners.live_video import PROBE
from tests.support.media import split_stream
from tests.support.operator import files, wait_until_settled
from tests.support.person import Person

Decode = Callable[[bytes], Any]


def test_a_question_becomes_a_kept_video_with_captions_and_a_receipt(
    person: Person, persona: dict[str, Any], decode: Decode
) -> None:
    """What is streamed decodes, what is kept is the same talk, and the receipt says what it took."""
    job = person.talk(persona["id"], message="Who are you, and what do you love?")
    assert (job["status"], job["output"]) == ("starting", None)
    streamed = person.follow(job)
    done = person.look(job)
    assert done["status"] == "succeeded"
    live, kept = decode(streamed), decode(httpx.get(done["output"], trust_env=False).content)
    assert live.codecs == kept.codecs == ("h264", "aac")
    assert live.frames.shape[1:] == (512, 512, 3)
    assert np.array_equal(live.frames, kept.frames)
    receipt = done["receipt"]
    assert kept.video_seconds == pytest.approx(receipt["duration_s"])
    assert kept.audio_seconds == pytest.approx(kept.video_seconds, abs=0.085)
    assert np.abs(kept.samples).max() > 0.1
    assert "Ada" in done["text"]
    captions = httpx.get(done["captions"], trust_env=False).text
    assert captions.startswith("WEBVTT")
    said = " ".join(block.split("\n")[1] for block in captions.strip().split("\n\n")[1:])
    assert said.split() == done["text"].split()
    assert receipt["engine"] == "cpu"
    _, words = split_stream(streamed)
    assert receipt["bytes"] == len(httpx.get(done["output"], trust_env=False).content)
    assert [word for word, _, _ in words] == done["text"].split()  # between the fragments, as they are spoken
    assert all(start <= end <= receipt["duration_s"] for _, start, end in words)
    assert [start for _, start, _ in words] == sorted(start for _, start, _ in words)
    order = [
        receipt[key] for key in ("first_token_ms", "first_clause_ms", "first_audio_ms", "first_frame_ms", "total_ms")
    ]
    assert order == sorted(order)
    assert receipt["provider_ids"]["anthropic"].startswith("msg_")
    assert receipt["provider_ids"]["elevenlabs"]
    assert 0 < receipt["cost_usd"] < 0.1


def test_the_first_fragment_leaves_before_the_answer_is_written(person: Person, persona: dict[str, Any]) -> None:
    """Bytes of a playable fragment arrive while Claude still writes."""
    job = person.talk(persona["id"], message="Tell me about the stars in 120 words.")
    first = None
    started = time.perf_counter()
    with person.http.stream("GET", job["urls"]["stream"]) as answer:
        for chunk in answer.iter_raw():
            if first is None and b"moof" in chunk:
                first = time.perf_counter() - started
        whole = time.perf_counter() - started
    assert first is not None
    assert first < 0.6 * whole
    assert person.look(job)["receipt"]["first_frame_ms"] < person.look(job)["receipt"]["total_ms"] / 2


def test_say_says_exactly_this_without_claude(person: Person, persona: dict[str, Any]) -> None:
    """With `say` no model is asked."""
    job = person.talk(persona["id"], say="Exactly these words, please.")
    person.follow(job)
    done = person.look(job)
    assert done["text"] == "Exactly these words, please."
    assert done["receipt"]["provider_ids"]["anthropic"] is None
    assert done["receipt"]["tokens_out"] == 0


def test_1024_pixels_by_option(person: Person, persona: dict[str, Any], decode: Decode) -> None:
    """The larger size is really rendered."""
    video = decode(person.follow(person.talk(persona["id"], say="Large.", size=1024)))
    assert video.frames.shape[1:] == (1024, 1024, 3)


def test_the_conversation_is_remembered_in_the_next_turn(sign_up: Callable[[], Person], portrait_png: bytes) -> None:
    """What was said before is used, per person."""
    person, other = sign_up(), sign_up()
    mine, theirs = person.persona(portrait_png), other.persona(portrait_png)
    person.follow(person.talk(mine["id"], message="Do you like telescopes?"))
    job = person.talk(mine["id"], message="What did I ask you before?")
    person.follow(job)
    assert "telescopes" in person.look(job)["text"]
    job = other.talk(theirs["id"], message="What did I ask you before?")
    other.follow(job)
    assert "telescopes" not in other.look(job)["text"]


def test_a_client_that_cannot_stream_waits_or_polls(person: Person, persona: dict[str, Any]) -> None:
    """`Prefer: wait` answers with the finished job; without it the job runs on its own and polling finds it done."""
    body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "say": "No stream needed."}}
    waited = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"})
    assert waited.status_code == 201
    assert waited.json()["status"] == "succeeded"
    made = person.http.post("/v1/models/personaforge/talk/predictions", json={"input": body["input"]}).json()
    assert "stream" not in made["urls"]
    assert wait_until_settled(person, made)["status"] == "succeeded"


def test_a_stream_can_be_opened_once(person: Person, persona: dict[str, Any]) -> None:
    """A second listener, at the same moment or later, is told so and does not run the talk again."""
    job = person.talk(persona["id"], say="Only once.")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: person.http.get(job["urls"]["stream"]), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409, 409]
    late = person.http.get(job["urls"]["stream"])
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert person.look(job)["status"] == "succeeded"


def test_hanging_up_cancels_the_talk_and_keeps_no_file(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Barge-in: closing the connection ends the job as canceled, with what was said so far."""
    before = files(stack, person)
    job = person.talk(persona["id"], message="Tell me about galaxies in 200 words.")
    fault("anthropic", path="/v1", stall_after=25)
    with person.http.stream("GET", job["urls"]["stream"]) as answer:
        chunks = answer.iter_raw()  # kept: an iterator that is gone closes the connection
        next(chunks)
        time.sleep(PROBE)
    done = wait_until_settled(person, job)
    assert (done["status"], done["output"]) == ("canceled", None)
    assert done["text"]
    assert files(stack, person) == before


@pytest.mark.parametrize(
    ("vendor", "what", "code", "status"),
    [
        ("anthropic", {"status": 529, "calls": 3}, "provider_busy", 503),
        ("anthropic", {"status": 429, "retry_after": 60}, "provider_busy", 503),
        ("anthropic", {"status": 401}, "provider_refused", 502),
        ("anthropic", {"status": 500, "calls": 3}, "provider_failed", 502),
        ("anthropic", {"cut_after": 4}, "provider_failed", 502),
    ],
)
def test_a_provider_that_fails_before_the_first_frame_is_a_clear_problem(
    stack: Stack,
    person: Person,
    persona: dict[str, Any],
    fault: Callable[..., None],
    vendor: str,
    what: dict[str, Any],
    code: str,
    status: int,
) -> None:
    """problem+json names the provider, the job is settled as failed with the same reason, no file is left."""
    before = files(stack, person)
    job = person.talk(persona["id"], message="Hello?")
    fault(vendor, path="/v1", **what)
    answer = person.http.get(job["urls"]["stream"])
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["code"], problem["provider"]) == (code, vendor)
    done = person.look(job)
    assert (done["status"], done["error"]) == ("failed", problem["detail"])
    assert stack.settings["ANTHROPIC_API_KEY"] not in answer.text
    assert files(stack, person) == before


def test_claude_dying_in_mid_stream_breaks_the_stream_and_settles_the_job(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """Half an answer is never taken for a whole one: the connection breaks, the job says why, no file is left."""
    before = files(stack, person)
    job = person.talk(persona["id"], message="Tell me about comets in 80 words.")
    fault("anthropic", path="/v1", cut_after=40)
    with pytest.raises(httpx.RemoteProtocolError):
        person.follow(job)
    done = wait_until_settled(person, job)
    assert done["status"] == "failed"
    assert done["error"].startswith("anthropic")
    assert done["receipt"]["error_code"] == "provider_failed"
    assert files(stack, person) == before
    person.follow(person.talk(persona["id"], say="And we are well again."))


def test_a_persona_without_a_portrait_cannot_talk_and_is_told_what_to_do(person: Person) -> None:
    """The way to a portrait is named."""
    body = {"model": "personaforge/talk", "input": {"persona": person.persona()["id"], "say": "Hello."}}
    answer = person.http.post("/v1/predictions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "personaforge/portrait" in answer.json()["detail"]


def test_text_that_looks_like_markup_is_only_text(person: Person, persona: dict[str, Any]) -> None:
    """Brackets, tags and line breaks are spoken around, and kept in the text as they were."""
    job = person.talk(persona["id"], say="Look at [/this] & <that>.\nNow!")
    person.follow(job)
    assert person.look(job)["text"] == "Look at [/this] & <that>.\nNow!"


@pytest.mark.parametrize("text", ["…", "?!", "🙂 🙂"])
def test_a_text_without_words_fails_clearly(person: Person, persona: dict[str, Any], text: str) -> None:
    """What cannot be spoken ends as failed with the reason, not as an empty video."""
    job = person.talk(persona["id"], say=text)
    answer = person.http.get(job["urls"]["stream"])
    done = person.look(job)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
    assert (done["status"], done["error"]) == ("failed", answer.json()["detail"])
    assert "nothing in this text that can be spoken" in done["error"]


@pytest.mark.slow
def test_several_people_talk_at_once(sign_up: Callable[[], Person], portrait_png: bytes, decode: Decode) -> None:
    """Talks that run side by side do not mix."""
    people = [sign_up() for _ in range(4)]
    personas = [person.persona(portrait_png, name=f"Number{i}") for i, person in enumerate(people)]

    def run(i: int) -> tuple[bytes, dict[str, Any]]:
        job = people[i].talk(personas[i]["id"], message="What is your name?")
        return people[i].follow(job), people[i].look(job)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(run, range(4)))
    for i, (data, done) in enumerate(results):
        assert f"Number{i}" in done["text"]
        assert decode(data).video_seconds == pytest.approx(done["receipt"]["duration_s"])
