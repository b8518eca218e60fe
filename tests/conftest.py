"""A real stack for all tests: HTTP to running servers, a real Postgres, stand-ins that can be told to fail."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import httpx
import jwt
import numpy as np
import pytest
from PIL import Image

from local.portrait import draw
from local.stack import Stack
from shared.lipsync import face_models

WOMAN = "a friendly young woman with fair skin, auburn hair in a bun, no glasses, no hat, a teal sweater"


@pytest.fixture(autouse=True, scope="session")
def _only_loopback() -> Iterator[None]:
    """No test of this process talks to anything but 127.0.0.1."""
    patch = pytest.MonkeyPatch()
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address}")
        real(self, address)

    patch.setattr(socket.socket, "connect", connect)
    yield
    patch.undo()


def pytest_sessionstart() -> None:
    """What photos are looked at with is there, as after an installation."""
    face_models.fetch(face_models.models_folder())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


class Person:
    """A signed-up user and their HTTP client, with credits and limits that a whole test run does not reach."""

    def __init__(self, stack: Stack, **account: int) -> None:
        self.token = stack.user(f"{uuid4().hex}@example.com")
        self.id = str(jwt.decode(self.token, options={"verify_signature": False})["sub"])
        secret = stack.settings["SUPABASE_SECRET_KEY"]
        allowed = {"balance": 1_000_000, "running_limit": 1000, "minute_limit": 10_000, **account}
        httpx.post(
            f"{stack.settings['SUPABASE_URL']}/rest/v1/accounts",
            json={"owner": self.id, **allowed},
            headers={"apikey": secret, "Authorization": f"Bearer {secret}"},
            trust_env=False,
        ).raise_for_status()
        headers = {"Authorization": f"Bearer {self.token}"}
        self.http = httpx.Client(base_url=stack.url, headers=headers, timeout=60, trust_env=False)

    def persona(self, portrait: bytes | None = None, **fields: str) -> dict[str, Any]:
        given = {"name": "Ada", "description": "An astronomer who loves the moons of Jupiter.", **fields}
        made = self.http.post("/v1/personas", json=given).raise_for_status().json()
        if portrait is not None:
            where = f"/v1/personas/{made['id']}/portrait"
            made = self.http.put(where, content=portrait, params={"consent": "true"}).raise_for_status().json()
        return dict(made)

    def talk(self, persona: str, **given: Any) -> dict[str, Any]:
        """Create a talk that waits for its stream."""
        body = {"model": "personaforge/talk", "input": {"persona": persona, **given}, "stream": True}
        return dict(self.http.post("/v1/predictions", json=body).raise_for_status().json())

    def follow(self, job: dict[str, Any]) -> bytes:
        with self.http.stream("GET", job["urls"]["stream"]) as answer:
            answer.read()
            answer.raise_for_status()
            return answer.content

    def look(self, job: dict[str, Any]) -> dict[str, Any]:
        return dict(self.http.get(job["urls"]["get"]).raise_for_status().json())


@pytest.fixture(scope="session")
def sign_up(stack: Stack) -> Iterator[Callable[..., Person]]:
    people: list[Person] = []

    def make(**account: int) -> Person:
        people.append(Person(stack, **account))
        return people[-1]

    yield make
    for person in people:
        person.http.close()


@pytest.fixture(scope="session")
def person(sign_up: Callable[[], Person]) -> Person:
    return sign_up()


@pytest.fixture(scope="session")
def portrait_png() -> bytes:
    return draw(WOMAN, 512)


@pytest.fixture(scope="session")
def persona(person: Person, portrait_png: bytes) -> dict[str, Any]:
    return person.persona(portrait_png)


@pytest.fixture
def fault(stack: Stack) -> Iterator[Callable[..., None]]:
    """Tell a stand-in to fail; afterwards all are well again."""
    with httpx.Client(trust_env=False) as http:

        def tell(vendor: str, **what: Any) -> None:
            http.post(f"{stack.addresses[vendor]}/_faults", json=what).raise_for_status()

        yield tell
        for vendor in ("anthropic", "elevenlabs", "replicate"):
            http.delete(f"{stack.addresses[vendor]}/_faults").raise_for_status()


@pytest.fixture
def container(stack: Stack, tmp_path: Path) -> Iterator[Any]:
    """The functions in a process of their own (tests/container.py)."""
    from tests.container import Container

    found = Container(stack, tmp_path / "container.log")
    yield found
    found.close()


@pytest.fixture(scope="session")
def astronaut() -> bytes:
    """A real photo of a real person, as PNG."""
    from skimage import data

    out = BytesIO()
    Image.fromarray(data.astronaut()).save(out, "PNG")
    return out.getvalue()


class Decoded:
    """A video decoded again: frames (n, height, width, 3) RGB, samples mono in -1..1, and the stream's times."""

    def __init__(self, data: bytes | Path) -> None:
        source = BytesIO(data) if isinstance(data, bytes) else str(data)
        with av.open(source) as file:
            video, audio = file.streams.video[0], file.streams.audio[0]
            self.codecs = (video.codec_context.name, audio.codec_context.name)
            self.rate, self.fps = audio.codec_context.sample_rate, float(video.average_rate or 0)
            frames, sound, self.first_video, self.first_audio = [], [], None, None
            for frame in file.decode(video, audio):
                if isinstance(frame, av.VideoFrame):
                    self.first_video = frame.time if self.first_video is None else self.first_video
                    frames.append(frame.to_ndarray(format="rgb24"))
                elif isinstance(frame, av.AudioFrame):
                    self.first_audio = frame.time if self.first_audio is None else self.first_audio
                    sound.append(frame.to_ndarray().mean(axis=0))
        self.frames, self.samples = np.stack(frames), np.concatenate(sound)

    @property
    def video_seconds(self) -> float:
        return len(self.frames) / self.fps

    @property
    def audio_seconds(self) -> float:
        return len(self.samples) / self.rate


@pytest.fixture(scope="session")
def decode() -> Callable[[bytes | Path], Decoded]:
    return Decoded


@pytest.fixture(scope="session")
def muse(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MuseTalk with quick random networks, for what is around them; only where torch is."""
    from shared.lipsync.musetalk.model import MuseTalk
    from tests.musetalk_small import QUICK, converted

    return MuseTalk.load(converted(tmp_path_factory.mktemp("weights"), QUICK), QUICK)
