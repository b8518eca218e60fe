"""The certificates that HTTP clients trust, read once: each client would read them anew, 17 ms each."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context()
