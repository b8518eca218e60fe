"""A talk whose video is made on a GPU's container: here the far end runs beside, with the model at small width."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed; CI installs its CPU build")
pytest.importorskip("diffusers")

import uvicorn  # noqa: E402

from functions import talk  # noqa: E402
from local.stack import Stack, free_port  # noqa: E402
from shared.core.settings import Settings  # noqa: E402
from shared.core.store import Store  # noqa: E402
from shared.lipsync.musetalk.engine import MuseTalkEngine  # noqa: E402
from shared.media.types import Speech  # noqa: E402
from shared.personas.portrait import prepared_path  # noqa: E402
from shared.talk.remote import RenderServer, Speaker  # noqa: E402
from tests.support.operator import files, row_of  # noqa: E402
from tests.support.person import Person  # noqa: E402

Decode = Callable[[bytes], Any]


class TalkServer:
    """The talk function with a render server of its own, served on a thread. `broken` makes it fail."""

    def __init__(self, stack: Stack, model: Any) -> None:
        settings = Settings({**stack.settings, "FORGE_ENGINE": "musetalk"})
        engine: Any = MuseTalkEngine(model, batches=(2, 8))  # Any: one of its methods is replaced
        self.broken = ""
        self.prepared = 0
        prepare = engine.prepare

        def counted(*given: Any) -> Any:
            self.prepared += 1
            return prepare(*given)

        engine.prepare = counted
        self.spoken: list[Speaker] = []

        async def render(speaker: Speaker, speech: AsyncIterator[Speech]) -> AsyncIterator[bytes]:
            self.spoken.append(speaker)
            if self.broken == "at once":
                raise RuntimeError("no GPU is free")
            async with Store.open(settings) as store:
                async for data in RenderServer(engine, store).render(speaker, speech):
                    yield data
                    if self.broken == "in the middle":
                        raise RuntimeError("the GPU is gone")

        port = free_port()
        config = uvicorn.Config(talk.build(settings, render), port=port, log_level="warning", lifespan="on")
        self.server = uvicorn.Server(config)
        self.url = f"http://127.0.0.1:{port}"
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.05)

    def follow(self, person: Person, job: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"Bearer {person.token}"}
        url = f"{self.url}/v1/talk/{job['id']}"
        return httpx.get(url, headers=headers, timeout=90, trust_env=False)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        cv2.setNumThreads(-1)  # the runtime has set it for its process, which is that of the tests here


@pytest.fixture(scope="module")
def talk_server(stack: Stack, muse: Any) -> Iterator[TalkServer]:
    found = TalkServer(stack, muse)
    yield found
    found.close()


def test_a_talk_is_drawn_by_the_gpus_engine_and_its_portrait_is_made_ready_once(
    stack: Stack, talk_server: TalkServer, person: Person, portrait_png: bytes, decode: Decode
) -> None:
    """Bytes come back as one video with our sound; what was made ready lies beside the portrait and goes with it."""
    persona = person.persona(portrait_png)
    before = talk_server.prepared
    job = person.talk(persona["id"], say="Drawn elsewhere.")
    video = decode(talk_server.follow(person, job).content)
    done = person.look(job)
    assert (done["status"], done["degraded"], done["receipt"]["engine"]) == ("succeeded", None, "musetalk")
    assert video.frames.shape[1:] == (512, 512, 3)
    assert video.video_seconds == pytest.approx(done["receipt"]["duration_s"])
    assert video.audio_seconds == pytest.approx(video.video_seconds, abs=0.085)
    face, background = video.frames[:, 270:370, 200:310].astype(int), video.frames[:, :60, :60].astype(int)
    assert np.abs(np.diff(face, axis=0)).mean() > 1
    assert np.abs(np.diff(background, axis=0)).mean() < 0.5
    name = prepared_path(talk_server.spoken[-1].portrait, 512)
    time.sleep(0.5)
    assert name.rsplit("/")[-1] in files(stack, person)
    second = person.talk(persona["id"], say="Found again.")
    talk_server.follow(person, second)
    assert person.look(second)["receipt"]["engine"] == "musetalk"
    assert talk_server.prepared == before + 1
    person.http.delete(f"/v1/personas/{persona['id']}").raise_for_status()
    assert name.rsplit("/")[-1] not in files(stack, person)


def test_without_a_gpu_the_processor_draws_and_it_is_said(
    talk_server: TalkServer, person: Person, persona: dict[str, Any], decode: Decode
) -> None:
    """A GPU that cannot be had: the cpu engine is the next step, in the same stream."""
    talk_server.broken = "at once"
    try:
        job = person.talk(persona["id"], say="Then I do it myself.")
        assert decode(talk_server.follow(person, job).content).video_seconds > 1
    finally:
        talk_server.broken = ""
    done = person.look(job)
    assert (done["status"], done["degraded"]["delivered"]) == ("succeeded", "cpu")
    assert [(reason["source"], reason["code"]) for reason in done["degraded"]["reasons"]] == [("musetalk", "error")]
    assert "GPU is free" not in str(done)


def test_a_gpu_that_is_lost_in_mid_stream_breaks_the_stream_and_the_video_is_made_anew(
    stack: Stack, talk_server: TalkServer, person: Person, persona: dict[str, Any], decode: Decode
) -> None:
    """What the listener has is no whole; what is kept is, made by the next step from the same voice."""
    talk_server.broken = "in the middle"
    try:
        job = person.talk(persona["id"], say="Half of this was seen, and all of it is kept.")
        with pytest.raises(httpx.RemoteProtocolError):
            talk_server.follow(person, job)
    finally:
        talk_server.broken = ""
    limit = time.monotonic() + 20
    while (row := row_of(stack, persona))["status"] == "processing" and time.monotonic() < limit:
        time.sleep(0.2)
    assert (row["status"], row["degraded"]["delivered"]) == ("succeeded", "cpu")
    kept = decode(httpx.get(person.look(job)["output"], trust_env=False).content)
    assert kept.video_seconds == pytest.approx(row["receipt"]["duration_s"])
    assert kept.video_seconds > 2
