"""Who opens a talk's stream without being a player: probes, readers of events, a container that goes down."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from local.stack import Stack
from tests.support.container import Container
from tests.support.media import Decoded
from tests.support.operator import account, wait_until_settled
from tests.support.person import Person

pytestmark = pytest.mark.slow
EVENTS = {"Accept": "text/event-stream"}


def events(answer: httpx.Response) -> list[dict[str, str]]:
    """Server-sent events: each as its fields."""
    blocks = answer.text.strip().split("\n\n")
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


def test_a_head_request_does_not_use_a_stream_up(person: Person, persona: dict[str, Any]) -> None:
    """`curl -I` sees what there is to play; the talk still waits for its listener."""
    job = person.talk(persona["id"], say="I am still here.")
    head = person.http.head(job["urls"]["stream"])
    assert (head.status_code, head.headers["content-type"], head.content) == (200, "video/mp4", b"")
    assert person.look(job)["status"] == "starting"
    assert person.follow(job)


@pytest.mark.parametrize("bytes_first", [True, False])
def test_after_a_probe_the_talk_goes_on_and_is_kept(
    person: Person, persona: dict[str, Any], bytes_first: bool, fault: Callable[..., None]
) -> None:
    """Who leaves within the first second, with or without a byte, only looked: nothing is lost that is paid for."""
    job = person.talk(persona["id"], say="You came to look, and here I am, whole. " * 3)
    if bytes_first:
        with person.http.stream("GET", job["urls"]["stream"]) as answer:
            next(answer.iter_raw())
    else:
        fault("elevenlabs", path="/v1", delay_s=1.0)
        with pytest.raises(httpx.ReadTimeout):
            person.http.get(job["urls"]["stream"], timeout=0.3)
    done = wait_until_settled(person, job, 20)
    assert done["status"] == "succeeded"
    assert httpx.get(done["output"], trust_env=False).status_code == 200
    again = person.http.get(job["urls"]["stream"])
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_a_reader_of_events_gets_words_with_their_times(person: Person, persona: dict[str, Any]) -> None:
    """Words in order, with rising times within the video that is kept; then done."""
    job = person.talk(persona["id"], say="One small step. Then, another one!")
    found = events(person.http.get(job["urls"]["stream"], headers=EVENTS))
    assert [one["event"] for one in found] == ["output"] * 6 + ["done"]
    assert " ".join(one["data"].strip() for one in found[:-1]) == "One small step. Then, another one!"
    times = [tuple(map(float, one["id"].split("-"))) for one in found[:-1]]
    assert all(start < end for start, end in times)
    assert [start for start, _ in times] == sorted(start for start, _ in times)
    done = person.look(job)
    assert done["status"] == "succeeded"
    assert times[-1][1] <= done["receipt"]["duration_s"]


def test_the_video_comes_as_events_too_for_proxies_that_hold_bodies_back(
    person: Person, persona: dict[str, Any], decode: Callable[[bytes], Decoded]
) -> None:
    """The same bytes in base64, each as soon as it is made, and `done`; what a player gets otherwise."""
    job = person.talk(persona["id"], say="One small step. Then, another one, and a third.")
    address = f"{job['urls']['stream']}?media=true"
    with person.http.stream("GET", address, headers=EVENTS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        arrived = []
        for line in answer.iter_lines():
            if line.startswith("data: "):
                arrived.append((time.monotonic(), line.removeprefix("data: ")))
    *media, (_, done) = arrived
    assert done == "{}"
    assert media[-1][0] - media[0][0] > 0.1, "it came while it was made"
    whole = decode(b"".join(base64.b64decode(data) for _, data in media))
    assert len(whole.frames) == round(person.look(job)["receipt"]["duration_s"] * 25)


def test_events_of_what_fails_say_why(
    stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """An error ends in `error` and `done`; a voice that is lost ends in the text without times."""
    fault("anthropic", path="/v1", status=401)
    job = person.talk(persona["id"], message="Who are you?")
    found = events(person.http.get(job["urls"]["stream"], headers=EVENTS))
    assert [one["event"] for one in found] == ["error", "done"]
    assert "Claude" in json.loads(found[0]["data"])["detail"] or "anthropic" in json.loads(found[0]["data"])["detail"]
    httpx.delete(f"{stack.addresses['anthropic']}/_faults", trust_env=False)
    fault("elevenlabs", path="/v1", status=401, calls=20)
    job = person.talk(persona["id"], message="Who are you?")
    found = events(person.http.get(job["urls"]["stream"], headers=EVENTS))
    assert found[-1] == {"event": "done", "data": "{}"}
    done = person.look(job)
    assert [one["data"].strip() for one in found[:-1]] == done["text"].split()
    assert all("id" not in one for one in found)


def test_a_container_that_goes_down_is_no_listener_who_hangs_up(
    container: Container, stack: Stack, person: Person, persona: dict[str, Any], fault: Callable[..., None]
) -> None:
    """SIGTERM while a video is being watched: failed as stopped, by nobody's choice, and nothing is charged."""
    fault("anthropic", path="/v1", stall_after=25)
    body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "message": "Tell me about comets."}}
    before = account(stack, person)[0]
    with container.client(person) as http:
        job = http.post("/v1/predictions", json=body).json()

        def watch() -> None:
            with http.stream("GET", job["urls"]["stream"]) as answer:
                for _ in answer.iter_raw():
                    pass

        with ThreadPoolExecutor(1) as pool:
            watching = pool.submit(watch)
            time.sleep(2.5)
            container.process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.HTTPError):
                watching.result(20)
    container.process.wait(15)
    done = person.look({"urls": {"get": f"/v1/predictions/{job['id']}"}})
    assert (done["status"], done["receipt"]["error_code"]) == ("failed", "stopped")
    assert account(stack, person)[0] == before
