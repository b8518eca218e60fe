"""The commands beside `modal deploy`, as a person calls them, against Modal's and Supabase's protocols."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dotenv import dotenv_values

from functions import ENDPOINTS
from local.stack import ROOT
from shared.core.settings import REQUIRED_KEYS, Settings
from tests.support.control_plane import ControlPlane, control_plane

FORGE = str(Path(sys.executable).with_name("forge"))
KEYS = dict.fromkeys(REQUIRED_KEYS, "value") | {"FORGE_URL": "https://studio.example.com"}


def forge(folder: Path, *words: str, plane: ControlPlane | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "*", "FORGE_DATA": str(folder / "data"),
        "MODAL_SERVER_URL": plane.url if plane else "http://127.0.0.1:9", "MODAL_TOKEN_ID": "ak-test",
        "MODAL_TOKEN_SECRET": "as-test",
    }  # fmt: skip
    command = [FORGE, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


def write(folder: Path, **values: str) -> None:
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def test_the_example_names_every_setting_and_nothing_else() -> None:
    """.env.example is the list that one fills in: empty, so that copying it changes nothing."""
    found = dotenv_values(ROOT / ".env.example")
    assert set(found) == {name.upper() for name in vars(Settings) if not name.startswith("_") and name not in _METHODS}
    assert not any(found.values())
    lines = (ROOT / ".env.example").read_text().splitlines()
    sections = [line for line in lines if line.startswith("# ---")]
    assert all("https://" in line or line == "# --- PersonaForge ---" for line in sections), "where to get each key"


_METHODS = {"from_environment", "validate"}


@pytest.mark.parametrize("exists", [True, False])
def test_the_secret_is_written_from_the_file(tmp_path: Path, exists: bool) -> None:
    """What is set and known, whether Modal has the secret or not; the values stand in no output."""
    write(
        tmp_path,
        **KEYS,
        ANTHROPIC_MODEL="claude-sonnet-5-5",
        UNRELATED="x",
        FAL_KEY="",
        OTEL_EXPORTER_OTLP_ENDPOINT="https://spans.example.com",
    )
    with control_plane(frozenset(REQUIRED_KEYS if exists else ())) as plane:
        done = forge(tmp_path, "secrets", plane=plane)
        assert (done.returncode, plane.unknown) == (0, []), done.stderr
        assert {name: value for name, value in plane.written.items() if value} == {
            **KEYS, "ANTHROPIC_MODEL": "claude-sonnet-5-5", "OTEL_EXPORTER_OTLP_ENDPOINT": "https://spans.example.com",
        }  # fmt: skip
        assert plane.written["FORGE_TEST_SALES"] == plane.written["FAL_KEY"] == "", "what was set once is not any more"
    assert "ANTHROPIC_MODEL" in done.stderr
    assert "claude-sonnet-5-5" not in done.stdout + done.stderr


@pytest.mark.parametrize(("values", "says"), [
    ({}, "cp .env.example .env"),
    ({name: value for name, value in KEYS.items() if name != "ELEVENLABS_API_KEY"}, "ELEVENLABS_API_KEY is not set"),
    ({**KEYS, "ANTHROPIC_MODEL": "gpt"}, "ANTHROPIC_MODEL"),
])  # fmt: skip
def test_a_secret_that_functions_could_not_start_with_is_not_written(
    tmp_path: Path, values: dict[str, str], says: str
) -> None:
    """It says which setting is missing or wrong, before Modal is asked."""
    write(tmp_path, **values)
    done = forge(tmp_path, "secrets")
    assert done.returncode == 1
    assert says in done.stderr


def test_the_routes_have_the_addresses_of_the_deployment(tmp_path: Path) -> None:
    """As Modal tells them: workspaces and environments are part of them. Before the deployment it says so."""
    with control_plane(frozenset(REQUIRED_KEYS)) as plane:
        refused = forge(tmp_path, "vercel", plane=plane)
        assert (refused.returncode, "modal deploy" in refused.stderr) == (1, True)
        plane.addresses = {name: f"https://acme-staging--{name}.modal.run" for name in ENDPOINTS}
        done = forge(tmp_path, "vercel", plane=plane)
        assert (done.returncode, plane.unknown) == (0, []), done.stderr
    hosts = {
        route["dest"].split("/v1")[0] for route in json.loads(done.stdout)["routes"] if "/v1" in route.get("dest", "")
    }
    assert hosts == set(plane.addresses.values())


@pytest.fixture
def auth() -> Iterator[ThreadingHTTPServer]:
    """Supabase Auth, as far as its documentation describes two of its calls."""

    class Auth(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            key = self.headers["authorization"].removeprefix("Bearer ")
            status, answer = _answer(self.path, body, key)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Auth) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _answer(path: str, body: dict[str, Any], key: str) -> tuple[int, dict[str, Any]]:
    if path == "/auth/v1/admin/generate_link":
        if key != "sb_secret_x":
            return 401, {"msg": "This endpoint requires a valid Bearer token"}
        if "@" not in body["email"]:
            return 400, {"msg": "Unable to validate email address: invalid format"}
        return 200, {"hashed_token": f"hash of {body['email']}", "verification_type": "signup"}
    assert (path, body["type"]) == ("/auth/v1/verify", "signup")
    return 200, {"access_token": f"token for {body['token_hash']}", "refresh_token": "r"}


def test_a_first_user_gets_a_token_without_a_mail(tmp_path: Path, auth: ThreadingHTTPServer) -> None:
    """Made if there is none; the token alone on stdout, to be piped."""
    url = f"http://127.0.0.1:{auth.server_port}"
    write(tmp_path, SUPABASE_URL=url, SUPABASE_SECRET_KEY="sb_secret_x", SUPABASE_PUBLISHABLE_KEY="sb_publishable_x")
    done = forge(tmp_path, "user", "ada@example.com")
    assert (done.returncode, done.stdout) == (0, "token for hash of ada@example.com\n"), done.stderr
    wrong = forge(tmp_path, "user", "ada")
    assert (wrong.returncode, "invalid format" in wrong.stderr) == (1, True)
    write(tmp_path, SUPABASE_URL=url, SUPABASE_SECRET_KEY="sb_secret_y", SUPABASE_PUBLISHABLE_KEY="sb_publishable_x")
    refused = forge(tmp_path, "user", "ada@example.com")
    assert (refused.returncode, "401" in refused.stderr, "sb_secret" in refused.stderr) == (1, True, False)
