"""Thumbnails' grounds by Adobe Firefly: one call, its refusals told apart; what it does not give the film gives."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from typing import Any

import httpx
import pytest

from shared.core.errors import Declined, ForgeError
from shared.core.settings import Settings
from shared.media.image import decode
from shared.providers.firefly import Firefly, QuotaExhausted
from tests.support import forked

KEY = "firefly-key"


def _serve(port: int) -> None:
    import uvicorn

    os.environ["STANDIN_KEY"] = KEY
    uvicorn.run("local.firefly:app", port=port, log_level="warning")


@pytest.fixture(scope="module")
def adobe() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process: ForkServerProcess = forked.process(_serve, port)
    url = f"http://127.0.0.1:{port}"
    limit = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"{url}/_bill", trust_env=False)
            break
        except httpx.TransportError:
            assert time.monotonic() < limit
            time.sleep(0.05)
    yield url
    process.terminate()
    process.join()


@pytest.fixture
def ask(adobe: str) -> Callable[..., list[bytes]]:
    """Three pictures, after what went wrong at Adobe was told to it."""
    for what in ("_limit", "_tokens", "_faults"):
        httpx.delete(f"{adobe}/{what}", trust_env=False)

    def asking(prompt: str = "a calm sea", secret: str = KEY, *, lose: bool = False, **fault: Any) -> list[bytes]:
        if fault:
            httpx.post(f"{adobe}/_faults", json={"path": "/v3/images", **fault}, trust_env=False).raise_for_status()
        given = {"FIREFLY_CLIENT_ID": "standin", "FIREFLY_CLIENT_SECRET": secret}
        given |= {"FIREFLY_BASE_URL": adobe, "FIREFLY_TOKEN_URL": adobe}

        async def work() -> list[bytes]:
            firefly = Firefly(Settings(given), poll=0.05)
            try:
                if lose:
                    await firefly.pictures(prompt, "wide", 1)
                    await asyncio.to_thread(httpx.delete, f"{adobe}/_tokens", trust_env=False)
                return await firefly.pictures(prompt, "wide", 3)
            finally:
                await firefly.close()

        return asyncio.run(work())

    return asking


def test_three_pictures_come_of_one_call(adobe: str, ask: Callable[..., list[bytes]]) -> None:
    """Whole ones, whatever words its status has meanwhile, and however long the prompt is."""
    before = httpx.get(f"{adobe}/_bill", trust_env=False).json()["lines"]
    made = ask("a calm sea, " * 200)
    assert [decode(one).shape for one in made] == [(1536, 2688, 3)] * 3
    after = httpx.get(f"{adobe}/_bill", trust_env=False).json()["lines"]
    assert after[len(before) :] == [{"model": "image4_standard", "pictures": 3}]


def test_a_token_that_is_gone_is_renewed(ask: Callable[..., list[bytes]]) -> None:
    """Once, with the same request."""
    assert len(ask(lose=True)) == 3


@pytest.mark.parametrize(
    ("fault", "kind", "code", "words"),
    [
        ({"code": "quota"}, QuotaExhausted, "quota_exhausted", "used up"),
        ({"code": "entitled"}, ForgeError, "provider_refused", "user_non_entitled"),
        ({"code": "policy"}, Declined, "declined", "policy"),
        ({"code": "html"}, ForgeError, "provider_refused", "413"),
        ({"code": "broken"}, ForgeError, "provider_failed", "no pictures"),
        ({"status": 503}, ForgeError, "provider_busy", "503"),
        ({"secret": "wrong"}, ForgeError, "provider_refused", "FIREFLY_CLIENT_SECRET"),
    ],
)
def test_its_refusals_are_told_apart(
    ask: Callable[..., list[bytes]], fault: dict[str, Any], kind: type[ForgeError], code: str, words: str
) -> None:
    """An empty quota is no wrong key, a policy is no failure; no key in the words."""
    with pytest.raises(kind) as raised:
        ask(**fault)
    assert raised.value.code == code
    assert words in raised.value.detail
    assert KEY not in raised.value.detail


def test_beyond_four_a_minute_it_says_when_to_come_again(ask: Callable[..., list[bytes]]) -> None:
    """The organisation's limit."""
    for _ in range(4):
        ask()
    with pytest.raises(ForgeError) as raised:
        ask()
    assert (raised.value.code, raised.value.extra["retry_after"]) == ("provider_busy", 37)
