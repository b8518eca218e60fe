"""A proxy in front of a server that counts what passes and can hold an answer back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx

from tests.support.receiver import serve


class Proxy:
    """`seen` lists "METHOD /path" of each request. `slow` delays answers; `refuse` answers 503; `stop_at` blocks.

    `watch` is called with the path, the body and the moment, "before" it is passed on and "after"; when it says True
    nothing is passed on or answered.
    """

    def __init__(self, target: str) -> None:
        self.seen: list[str] = []
        self.slow: dict[str, float] = {}
        self.refuse: set[str] = set()
        self.stop_at = ""
        self.watch: Callable[[str, bytes, str], bool] = lambda *_: False
        self.stopped = threading.Event()
        self._target = target
        self._http = httpx.Client(base_url=target, timeout=60, trust_env=False, limits=httpx.Limits(keepalive_expiry=4))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                outer._pass(self)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do_HEAD = handle_any

            def log_message(self, *_: Any) -> None:
                pass

        self.server, self.url = serve(Handler)

    def _pass(self, request: Any) -> None:
        what = f"{request.command} {request.path.partition('?')[0]}"
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        self.seen.append(what)
        if self.stop_at and self.stop_at in what:
            self.stopped.set()
            time.sleep(3600)
        if any(part in what for part in self.refuse):
            request.send_response(503)
            request.send_header("content-length", "0")
            request.end_headers()
            return
        if self.watch(request.path, body, "before"):
            return
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("host", "accept-encoding")}
        answer = self._http.request(request.command, request.path, content=body, headers=headers)
        if self.watch(request.path, body, "after"):
            return
        time.sleep(max((pause for part, pause in self.slow.items() if part in what), default=0))
        request.send_response(answer.status_code)
        for name in ("content-type", "content-range", "range", "location"):
            if name in answer.headers:
                request.send_header(name, answer.headers[name].replace(self._target, self.url))
        request.send_header("content-length", str(len(answer.content)))
        request.end_headers()
        request.wfile.write(answer.content)

    @contextmanager
    def counting(self) -> Iterator[list[str]]:
        """The requests that pass within this block."""
        before = len(self.seen)
        passed: list[str] = []
        yield passed
        passed += self.seen[before:]

    def heal(self) -> None:
        """Let everything pass from now on."""
        self.slow.clear()
        self.refuse.clear()
        self.stop_at = ""
        self.stopped.clear()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._http.close()
