"""The routes that put all functions behind one origin: web/vercel.json."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from functions import ENDPOINTS, load

WORKSPACE = "YOUR-WORKSPACE"  # on Modal; `forge vercel` puts in the real addresses
# What the page may load and call: its own origin, and the Supabase project with its files, on a laptop too.
STORAGE = "https: http://127.0.0.1:*"
PAGE_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {STORAGE}; "
        f"img-src {STORAGE} data: blob:; media-src {STORAGE} blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def vercel(addresses: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Vercel's configuration: each operation of each function goes to that function's address."""
    addresses = addresses or {
        name: f"https://{WORKSPACE}--personaforge-{name.replace('_', '-')}.modal.run" for name in ENDPOINTS
    }
    routes: list[dict[str, Any]] = [{"src": "/.*", "headers": PAGE_HEADERS, "continue": True}]
    paths = {name: load(name).build().openapi()["paths"] for name in ENDPOINTS}
    functions = Counter(path for found in paths.values() for path in found)
    for name, found in paths.items():
        host = addresses[name].rstrip("/")
        for path, operations in found.items():
            parameters = iter(range(1, 10))
            target = re.sub(r"{[^}]+}", lambda _: f"${next(parameters)}", path)  # noqa: B023  # used at once
            route: dict[str, Any] = {"src": re.sub(r"{[^}]+}", "([^/]+)", path), "dest": host + target}
            if functions[path] > 1:  # else the function itself refuses a method that it does not know
                methods = {"get": ["GET", "HEAD"]}
                allowed = [one for method in operations for one in methods.get(method, [method.upper()])]
                route["methods"] = [*allowed, "OPTIONS"]
            routes.append(route)
    # What is no file is a place in the page.
    routes += [{"handle": "filesystem"}, {"src": "/.*", "dest": "/index.html"}]
    return {"framework": "vite", "buildCommand": "npm run build", "outputDirectory": "dist", "routes": routes}
