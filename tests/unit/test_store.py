"""What the file storage refuses, in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from shared.core.errors import FileTooLarge, StoreUnavailable
from shared.core.settings import Settings
from shared.core.store import Store

# As Supabase Storage answers: the status of HTTP beside one in the body.
TOO_LARGE = (
    400,
    {"statusCode": "413", "error": "Payload too large", "message": "The object exceeded the maximum size"},
)
BROKEN = (500, {"statusCode": "500", "error": "Internal", "message": "An error"})


@pytest.fixture
def storage() -> Iterator[ThreadingHTTPServer]:
    """Answers every upload with `answer`."""

    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            status, body = self.server.answer  # type: ignore[attr-defined]
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("answer", "error", "says"), [
    (TOO_LARGE, FileTooLarge, "Global file size limit"), (BROKEN, StoreUnavailable, "refused the request"),
])  # fmt: skip
def test_a_file_beyond_the_projects_limit_is_told_apart_from_a_failing_storage(
    storage: ThreadingHTTPServer, answer: object, error: type[Exception], says: str
) -> None:
    """Trying again does not help where the limit is; it names the place where it is raised."""
    storage.answer = answer  # type: ignore[attr-defined]
    values = {"SUPABASE_URL": f"http://127.0.0.1:{storage.server_port}", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}
    settings = Settings({**values, "SUPABASE_SECRET_KEY": "sb_secret_x", "FORGE_SIGNING_KEY": "x", "FORGE_URL": "x"})

    async def write() -> None:
        async with Store.open(settings) as store:
            await store.replace("a/film.mp4", b"film", "video/mp4")

    with pytest.raises(error, match=says):
        asyncio.run(write())
