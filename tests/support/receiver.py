"""Somebody else's server: answers as told and keeps what it was sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def serve(handler: type[BaseHTTPRequestHandler]) -> tuple[ThreadingHTTPServer, str]:
    """A server on 127.0.0.1 in threads of its own, and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A server on 127.0.0.1. `answer` is called with the handler for each request; the default says 200."""

    def __init__(self, answer: Callable[[Any], None] | None = None) -> None:
        self.seen: list[Received] = []
        self.statuses: list[int] = []  # of the next answers; then 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.seen.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if answer:
                    return answer(self)
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("content-length", "0")
                return self.end_headers()

            do_GET = do_POST = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        self.server, self.url = serve(Handler)

    def wait(self, count: int, seconds: float = 10) -> list[Received]:
        """What has come, once there are `count` of them."""
        limit = time.monotonic() + seconds
        while len(self.seen) < count and time.monotonic() < limit:
            time.sleep(0.05)
        assert len(self.seen) >= count, self.seen
        return list(self.seen)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
