"""What is sent to stop a container or to confuse it is answered with what is wrong with it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import httpx
import jwt
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from local.stack import Stack
from tests.attacks.pictures import plain, scans
from tests.attacks.sounds import flac, wav
from tests.support.person import Person

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shelf() -> Any:
    """A web server whose files have the path they are asked by."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def put(data: bytes) -> str:
        name = f"/{uuid4().hex}"
        files[name] = data
        return f"http://127.0.0.1:{server.server_port}{name}"

    yield put
    server.shutdown()
    server.server_close()


def test_pictures_that_take_minutes_or_gigabytes_to_decode_are_refused_and_keep_nobody_waiting(
    person: Person, portrait_png: bytes
) -> None:
    """Thousands of scans, forty megapixels of nothing: 422 soon, while others are answered as before."""
    persona = person.persona()
    where = f"/v1/personas/{persona['id']}"
    person.http.put(f"{where}/portrait?consent=true", content=portrait_png).raise_for_status()

    def latency(calls: int) -> float:
        taken = []
        for _ in range(calls):
            began = time.perf_counter()
            person.http.get(where).raise_for_status()
            taken.append(time.perf_counter() - began)
        return float(np.median(taken))

    alone = latency(40)
    bombs = [scans(portrait_png), plain(8000, 5000), scans(portrait_png), plain(6000, 6000)]
    answers: list[Any] = []

    def send(bomb: bytes) -> None:
        answers.append(person.http.put(f"{where}/portrait?consent=true", content=bomb, timeout=60))

    threads = [threading.Thread(target=send, args=(bomb,)) for bomb in bombs]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    meanwhile = latency(40)
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [422] * 4
    assert {answer.json()["code"] for answer in answers} == {"picture_unusable"}
    assert time.monotonic() - began < 30
    assert meanwhile < 2 * alone + 0.01, (alone, meanwhile)


@pytest.mark.parametrize("sound", [wav(100_000_000), wav(1), flac(1), wav(24_000, 24_000 * 80)], ids=len)
def test_sounds_that_claim_what_no_sound_is_are_refused(
    person: Person, persona: dict[str, Any], shelf: Callable[[bytes], str], sound: bytes
) -> None:
    """One sample a second, a hundred million, eighty seconds."""
    body = {"model": "lipsync", "input": {"persona": persona["id"], "audio": shelf(sound)}}
    began = time.monotonic()
    refused = person.http.post("/v1/predictions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "audio_unusable"), refused.text
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("field", ["say", "model", "webhook", "name", "key"])
def test_half_a_surrogate_pair_is_refused_by_name(person: Person, persona: dict[str, Any], field: str) -> None:
    """JSON can write what is no character; Postgres and UTF-8 cannot."""
    body: dict[str, Any] = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "say": "x"}}
    where, half = "/v1/predictions", "\ud800"
    if field == "name":
        where, body = "/v1/personas", {"name": half}
    elif field in ("say", "key"):
        body["input"] = {"persona": persona["id"], "say" if field == "say" else half: half}
    else:
        body[field] = half
    answer = person.http.post(where, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_token_from_a_clock_that_is_ahead_is_taken_and_one_of_an_unknown_key_is_not(
    stack: Stack, person: Person
) -> None:
    """Three seconds are no forgery; a key that nobody published is 401 and not an outage."""
    claims = jwt.decode(person.token, options={"verify_signature": False})
    secret = stack.settings["SUPABASE_JWT_SECRET"]
    now = int(time.time())
    ahead = jwt.encode({**claims, "iat": now + 3, "exp": now + 600}, secret, "HS256")
    where = f"{stack.url}/v1/webhooks/default/secret"  # asks no database, which has clocks of its own

    def status(token: str, scheme: str = "Bearer") -> int:
        return httpx.get(where, headers={"Authorization": f"{scheme} {token}"}, trust_env=False).status_code

    assert status(ahead) == 200
    assert status(ahead, "Token") == 200
    assert status(jwt.encode({**claims, "iat": now + 60, "exp": now + 600}, secret, "HS256")) == 401
    unknown = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "nobody"})
    assert status(unknown) == 401


def test_only_a_talk_opens_as_a_talk(person: Person, persona: dict[str, Any]) -> None:
    """A portrait's id at the stream's address is refused, and the portrait is made all the same."""
    body = {"model": "portrait", "input": {"persona": persona["id"]}}
    job = person.http.post("/v1/predictions", json=body).raise_for_status().json()
    refused = person.http.get(f"/v1/talk/{job['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


def test_a_body_of_a_stranger_is_not_read(stack: Stack) -> None:
    """Fifteen megabytes without a token: refused by the headers alone."""
    import socket

    host, port = stack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as link:
        head = f"PUT /v1/personas/{uuid4()}/portrait HTTP/1.1\r\nHost: x\r\nContent-Length: 15000000\r\n\r\n"
        link.sendall(head.encode() + b"x")
        assert b" 401 " in link.recv(1000)


def test_unknown_inputs_are_named_in_the_logs_and_prompt_is_a_message(person: Person, persona: dict[str, Any]) -> None:
    """As Replicate does: clients send what other models take."""
    inputs = {"persona": persona["id"], "prompt": "Who are you?", "num_outputs": 1, "seed": 7}
    made = person.http.post("/v1/predictions", json={"model": "talk", "stream": True, "input": inputs}).json()
    assert made["logs"] == "Unknown inputs are ignored: num_outputs, seed.\n"
    assert made["input"]["message"] == "Who are you?"
