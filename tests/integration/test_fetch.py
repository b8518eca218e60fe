"""Addresses that users give: a table of attacks, and what is still fetched."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from local.stack import Stack
from shared.core.errors import AddressRefused, FetchFailed, ForgeError
from shared.core.fetch import Fetcher, resolve
from shared.media.audio import decode_audio, encode_wav
from shared.media.types import RATE
from tests.support.container import Container
from tests.support.operator import row_of, wait_until_settled
from tests.support.person import Person
from tests.support.receiver import Receiver

pytestmark = pytest.mark.slow

REFUSED = {
    "plain http": "http://example.com/a.png",
    "no scheme": "example.com/a.png",
    "a file": "file:///etc/passwd",
    "another protocol": "gopher://example.com/1",
    "a password": "https://name:word@example.com/a.png",
    "loopback": "https://127.0.0.1/a.png",
    "loopback by name": "https://localhost/a.png",
    "loopback by name, absolute": "https://localhost./a.png",
    "loopback in one number": "https://2130706433/a.png",
    "loopback in hex": "https://0x7f000001/a.png",
    "loopback in octal": "https://0177.0.0.1/a.png",
    "loopback, short": "https://127.1/a.png",
    "loopback in full-width digits": "https://\uff11\uff12\uff17.0.0.1/a.png",
    "nowhere": "https://0.0.0.0/a.png",
    "loopback in IPv6": "https://[::1]/a.png",
    "nowhere in IPv6": "https://[::]/a.png",
    "IPv4 mapped into IPv6": "https://[::ffff:127.0.0.1]/a.png",
    "IPv4 through NAT64": "https://[64:ff9b::7f00:1]/a.png",
    "IPv4 in 6to4": "https://[2002:7f00:1::]/a.png",
    "link-local in IPv6": "https://[fe80::1]/a.png",
    "site-local in IPv6": "https://[fec0::1]/a.png",
    "IPv4 compatible": "https://[::127.0.0.1]/a.png",
    "IPv4 translated": "https://[::ffff:0:7f00:1]/a.png",
    "a name that decodes to none": "https://xn--a.com/a.png",
    "unique-local in IPv6": "https://[fd00::1]/a.png",
    "private": "https://192.168.1.1/a.png",
    "shared address space": "https://100.64.0.1/a.png",
    "multicast": "https://224.0.0.1/a.png",
    "the cloud's metadata": "https://169.254.169.254/latest/meta-data/",
    "metadata by name": "https://metadata.google.internal/computeMetadata/v1/",
    "a name without a dot": "https://supabase/rest/v1/",
}


def put(http: httpx.Client, persona: dict[str, Any], url: str) -> httpx.Response:
    where = f"/v1/personas/{persona['id']}/portrait"
    return http.put(where, params={"consent": "true"}, json={"url": url})


def test_what_is_never_visited(stack: Stack, person: Person, persona: dict[str, Any], tmp_path: Any) -> None:
    """Where the local stack does not say so, not even loopback is: each attack is a 422 that names the reason."""
    container = Container(stack, tmp_path / "container.log", FORGE_LOOPBACK_URLS="")
    try:
        with container.client(person) as http:
            for attack, url in REFUSED.items():
                answer = put(http, persona, url)
                assert (answer.status_code, answer.json()["code"]) == (422, "address_refused"), attack
                body = {"model": "lipsync", "input": {"persona": persona["id"], "audio": url}}
                answer = http.post("/v1/predictions", json=body)
                assert (answer.status_code, answer.json()["code"]) == (422, "address_refused"), attack
    finally:
        container.close()


@contextmanager
def serving(answer: Callable[[Any], None]) -> Iterator[Receiver]:
    found = Receiver(answer)
    yield found
    found.close()


def reply(handler: Any, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.mark.parametrize(
    "to",
    ["http://169.254.169.254/latest/", "https://10.0.0.1/", "http://2852039166/", "file:///etc/passwd", "ftp://x.com"],
)
def test_redirects_are_checked_like_the_first_address(person: Person, persona: dict[str, Any], to: str) -> None:
    """A server that is allowed may not send us to one that is not."""
    with serving(lambda handler: reply(handler, b"", 302, location=to)) as server:
        answer = put(person.http, persona, server.url)
    assert answer.status_code == 422
    assert answer.json()["code"] in ("address_refused", "fetch_failed")
    assert len(server.seen) == 1


def test_a_circle_of_redirects_ends(person: Person, persona: dict[str, Any]) -> None:
    """Three are followed, no more."""
    with serving(lambda handler: reply(handler, b"", 302, location="/again")) as server:
        answer = put(person.http, persona, server.url)
    assert (answer.status_code, answer.json()["code"]) == (422, "fetch_failed")
    assert len(server.seen) == 4


def fetched(url: str, fetcher: Fetcher, **limits: Any) -> bytes | ForgeError:
    async def run() -> bytes:
        try:
            return await fetcher.get(url, **{"most": 1 << 20, **limits})
        finally:
            await fetcher._http.aclose()

    try:
        return asyncio.run(run())
    except ForgeError as error:
        return error


def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    """Rebinding: a name that would answer differently a second time is looked up once, and its first answer used."""
    asked: list[str] = []

    async def rebinding(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with serving(lambda handler: reply(handler, b"once")) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert fetched(url, Fetcher(loopback=True, resolve=rebinding)) == b"once"
    assert asked == ["localhost"]
    assert server.seen[0].headers["host"] == url.removeprefix("http://")


def test_names_whose_server_never_answers_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty wait in threads of their own: other names, and all other work in threads, go on at once."""
    real, answered = socket.getaddrinfo, threading.Event()

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        if host == "silent.example":
            answered.wait(20)
        return real("127.0.0.1" if host == "silent.example" else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    async def run() -> float:
        waiting = [asyncio.create_task(resolve("silent.example", 443)) for _ in range(20)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await asyncio.gather(
            *(asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80) for _ in range(20)),
            *(asyncio.to_thread(sum, [1, 2]) for _ in range(20)),
        )
        taken = time.monotonic() - began
        answered.set()
        await asyncio.gather(*waiting)
        return taken

    assert asyncio.run(run()) < 2


@pytest.mark.parametrize("found", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::ffff:169.254.169.254"]])
def test_a_public_name_with_a_private_address_is_refused(found: list[str]) -> None:
    """One private address among several is enough."""

    async def resolve(*_: object) -> list[str]:
        return found

    assert isinstance(fetched("https://example.com/", Fetcher(resolve=resolve)), AddressRefused)


def test_a_slow_drip_ends_in_time() -> None:
    """A byte now and then does not keep us: the time is for all of it."""

    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(50):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.2)

    with serving(drip) as server:
        started = time.monotonic()
        error = fetched(server.url, Fetcher(loopback=True), seconds=1)
        assert isinstance(error, FetchFailed)
        assert time.monotonic() - started < 2


def test_too_much_and_compressed_is_not_read() -> None:
    """A body over the limit ends there, declared or not; a gzip bomb is never opened."""
    bomb = gzip.compress(bytes(50 << 20))
    with serving(lambda handler: reply(handler, bomb, content_encoding="gzip")) as server:
        error = fetched(server.url, Fetcher(loopback=True))
    assert isinstance(error, FetchFailed)
    assert "compressed" in error.detail
    with serving(lambda handler: reply(handler, bytes(2 << 20))) as server:
        error = fetched(server.url, Fetcher(loopback=True))
    assert isinstance(error, FetchFailed)
    assert "more than 1 MiB" in error.detail


def test_a_photo_at_an_address_is_fetched_and_drawn_anew(
    person: Person, portrait_png: bytes, persona: dict[str, Any]
) -> None:
    """What hangs on to a picture (a polyglot) is not kept; what only claims to be one is refused."""
    polyglot = portrait_png + b"PK\x03\x04<script>alert(1)</script>"
    with serving(lambda handler: reply(handler, polyglot, content_type="text/html")) as server:
        answer = put(person.http, person.persona(), server.url).raise_for_status().json()
    kept = httpx.get(answer["portrait"], trust_env=False).content
    assert Image.open(BytesIO(kept)).size == (512, 512)
    assert b"<script>" not in kept
    claims = b"\x89PNG\r\n\x1a\n<svg onload=alert(1)>"
    with serving(lambda handler: reply(handler, claims, content_type="image/png")) as server:
        answer = put(person.http, persona, server.url)
    assert (answer.status_code, answer.json()["code"]) == (422, "picture_unusable")


def test_a_sound_at_an_address_moves_the_face(
    person: Person, persona: dict[str, Any], stack: Stack, decode: Any
) -> None:
    """`audio` of the lip-sync model: a WAV is fetched, decoded, and its length is the video's."""
    tone = (8000 * np.sin(np.arange(2 * RATE) * 0.05)).astype(np.int16)
    body: dict[str, Any] = {"model": "lipsync", "input": {"persona": persona["id"]}}
    with serving(lambda handler: reply(handler, encode_wav(tone))) as server:
        body["input"]["audio"] = f"{server.url}/tone.wav"
        done = wait_until_settled(person, person.http.post("/v1/predictions", json=body).raise_for_status().json(), 20)
    assert done["status"] == "succeeded"
    assert decode(httpx.get(done["output"], trust_env=False).content).video_seconds == pytest.approx(2.0, abs=0.1)
    receipt = row_of(stack, persona)["receipt"]
    assert receipt["cost_usd"] == pytest.approx(0.16 * receipt["duration_s"])


def test_every_sample_of_a_sound_is_kept() -> None:
    """Resampled from 16 kHz to ours without losing its end."""
    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros((16_000, 2), np.int16).tobytes())
    assert abs(len(decode_audio(out.getvalue())) - RATE) <= 2


@pytest.mark.parametrize("data", [b"#EXTM3U\nhttp://169.254.169.254/\n", b"RIFF0000WAVE", b"ID3", b"\x00" * 100, b""])
def test_a_sound_that_is_none_is_refused(person: Person, persona: dict[str, Any], data: bytes) -> None:
    """A playlist is not followed; damaged sound says so; the job is failed with the reason."""
    with serving(lambda handler: reply(handler, data)) as server:
        body = {"model": "lipsync", "input": {"persona": persona["id"], "audio": server.url}}
        answer = person.http.post("/v1/predictions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "audio_unusable")
