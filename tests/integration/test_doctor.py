"""`forge doctor`: each thing that can be wrong with an account, and what a person reads."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from local.diagnostics import doctor
from local.stack import Stack
from shared.core.settings import Settings


def checked(stack: Stack, **values: str) -> dict[str, tuple[bool, str]]:
    return {one.name: (one.ok, one.detail) for one in doctor(Settings({**stack.settings, **values}))}


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """In place of Supabase or Modal: answers everything with `answer` (status, type, body) and `date`."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            status, kind, body = self.server.answer  # type: ignore[attr-defined]
            self.send_response_only(status)
            self.send_header("Content-Type", kind)
            self.send_header("Date", self.server.date)  # type: ignore[attr-defined]
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.date = formatdate(usegmt=True)  # type: ignore[attr-defined]
        Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def test_a_healthy_deployment_says_what_each_account_has(stack: Stack) -> None:
    """The model that can be called, the characters that are left, the account's name."""
    found = checked(stack)
    assert {name for name, (ok, _) in found.items() if not ok} == set()
    assert "claude-haiku-5-5 can be called" in found["anthropic"][1]
    assert "characters left of 100,000" in found["elevenlabs"][1]
    assert "account stand-in" in found["replicate"][1]
    assert set(found) >= {
        "settings",
        "supabase",
        "migrations",
        "clock",
        "functions",
        "engine",
        "fal",
        "pexels",
        "stripe",
    }


@pytest.mark.parametrize(("vendor", "key"), [
    ("anthropic", "ANTHROPIC_API_KEY"), ("elevenlabs", "ELEVENLABS_API_KEY"), ("replicate", "REPLICATE_API_TOKEN"),
])  # fmt: skip
def test_a_wrong_key_is_named_and_not_shown(stack: Stack, vendor: str, key: str) -> None:
    """The setting, not its value; the others are looked at all the same."""
    found = checked(stack, **{key: "wrong-secret-value"})
    assert found[vendor] == (False, f"the key is refused (401): {key} in .env")
    assert "wrong-secret-value" not in str(found)
    assert {name for name, (ok, _) in found.items() if not ok} == {vendor}


@pytest.mark.parametrize(("vendor", "status", "code"), [
    ("elevenlabs", 401, "quota_exceeded"), ("anthropic", 429, ""), ("replicate", 402, ""),
])  # fmt: skip
def test_an_account_that_is_used_up_or_throttled_says_so(
    stack: Stack, fault: Callable[..., None], vendor: str, status: int, code: str
) -> None:
    """Also where the vendor calls that unauthorized."""
    fault(vendor, path="/v1", status=status, code=code)
    assert checked(stack)[vendor] == (False, f"the account is used up or throttled ({status})")


@pytest.mark.parametrize(("model", "says"), [("claude-opus-5", "is not offered"), ("gpt", "not in the catalogue")])
def test_a_model_that_is_gone_is_told(stack: Stack, model: str, says: str) -> None:
    """By the account that no longer has it, or by the catalogue."""
    found = checked(stack, ANTHROPIC_MODEL=model)
    assert says in found["anthropic"][1] + found["settings"][1]


def test_a_paused_project_and_missing_migrations_are_told_apart(stack: Stack, server: ThreadingHTTPServer) -> None:
    """What to do stands in the line."""
    url = f"http://127.0.0.1:{server.server_port}"
    server.answer = (540, "application/json", b"{}")  # type: ignore[attr-defined]
    assert "restore it" in checked(stack, SUPABASE_URL=url)["supabase"][1]
    server.answer = (404, "application/json", json.dumps({"code": "PGRST205"}).encode())  # type: ignore[attr-defined]
    found = checked(stack, SUPABASE_URL=url)
    assert found["supabase"][0]
    assert (found["migrations"][0], "supabase db push" in found["migrations"][1]) == (False, True)


def test_a_clock_that_is_five_minutes_off_is_told(stack: Stack, server: ThreadingHTTPServer) -> None:
    """Tokens would be refused without a word that says why."""
    server.answer = (200, "application/json", b"[]")  # type: ignore[attr-defined]
    server.date = formatdate(time.time() - 300, usegmt=True)  # type: ignore[attr-defined]
    found = checked(stack, SUPABASE_URL=f"http://127.0.0.1:{server.server_port}")
    assert (found["clock"][0], "NTP" in found["clock"][1]) == (False, True)


@pytest.mark.parametrize(("answer", "says"), [
    ((404, "text/plain", b"modal-http: app for invoked web endpoint is stopped"), "modal deploy"),
    ((500, "application/problem+json", b'{"detail": "FORGE_URL is not set."}'), "FORGE_URL is not set."),
])  # fmt: skip
def test_functions_that_are_stopped_or_set_up_wrongly_are_told(
    stack: Stack, server: ThreadingHTTPServer, answer: tuple[int, str, bytes], says: str
) -> None:
    """With Modal's reason, or the function's own."""
    server.answer = answer  # type: ignore[attr-defined]
    found = checked(stack, FORGE_URL=f"http://127.0.0.1:{server.server_port}")
    assert (found["functions"][0], says in found["functions"][1]) == (False, True)
