"""A real stack for all tests: HTTP to running servers, a real Postgres, stand-ins that can be told to fail."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from local.portrait import draw
from local.stack import Stack
from shared.lipsync import face_models
from tests.support.media import Decoded
from tests.support.person import WOMAN, Person

# Two processes of tests share two cores: threads beside them only wait for each other (a fifth of the processor time
# of tests/unit). Read by the libraries when they begin to work; what the tests start inherits it.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1")


def asked_for_live(config: pytest.Config) -> bool:
    """Whether `-m live` was given: tests that reach vendors cost money, so a key alone does not begin them."""
    return "live" in config.option.markexpr and "not live" not in config.option.markexpr


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not asked_for_live(config):
        items[:] = [one for one in items if not one.get_closest_marker("live")]


@pytest.fixture(autouse=True, scope="session")
def _only_loopback(pytestconfig: pytest.Config) -> Iterator[None]:
    """No test of this process talks to anything but 127.0.0.1, unless vendors are what is tested."""
    if asked_for_live(pytestconfig):
        yield
        return
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
    with Stack(tmp_path_factory.mktemp("stack"), postgres=True) as running:
        yield running


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
        for vendor in ("anthropic", "elevenlabs", "replicate", "fal", "pexels", "stripe", "youtube", "modal"):
            http.delete(f"{stack.addresses[vendor]}/_faults").raise_for_status()


@pytest.fixture(scope="session")
def containers() -> Iterator[list[Any]]:
    """The last of these is used again while it lives: one takes four seconds of a core to start."""
    found: list[Any] = []
    yield found
    for one in found:
        one.close()


@pytest.fixture
def container(containers: list[Any], stack: Stack, tmp_path: Path) -> Iterator[Any]:
    """The functions in a process of their own (tests/support/container.py), which a test may kill."""
    from tests.support.container import Container

    if not containers or not containers[-1].answers():
        containers.append(Container(stack, tmp_path / "container.log"))
    yield containers[-1]
    containers[-1].proxy.heal()


@pytest.fixture(scope="session")
def astronaut() -> bytes:
    """A real photo of a real person, as PNG."""
    from skimage import data

    out = BytesIO()
    Image.fromarray(data.astronaut()).save(out, "PNG")  # type: ignore[no-untyped-call]
    return out.getvalue()


@pytest.fixture(scope="session")
def decode() -> Callable[[bytes | Path], Decoded]:
    return Decoded


@pytest.fixture(scope="session")
def muse(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """MuseTalk with quick random networks, for what is around them; only where torch is."""
    from shared.lipsync.musetalk.model import MuseTalk
    from tests.support.musetalk_small import QUICK, converted

    return MuseTalk.load(converted(tmp_path_factory.mktemp("weights"), QUICK), QUICK)
