"""The routes that put all functions behind one origin: web/vercel.json."""

from __future__ import annotations

import re
from typing import Any

from functions import ENDPOINTS, load

WORKSPACE = "YOUR-WORKSPACE"  # on Modal; its owner puts it in


def vercel() -> dict[str, Any]:
    """Vercel's configuration: each operation of each function goes to that function's address."""
    routes: list[dict[str, Any]] = []
    for name in ENDPOINTS:
        host = f"https://{WORKSPACE}--personaforge-{name.replace('_', '-')}.modal.run"
        for path, operations in load(name).build().openapi()["paths"].items():
            parameters = iter(range(1, 10))
            target = re.sub(r"{[^}]+}", lambda _: f"${next(parameters)}", path)  # noqa: B023  # used at once
            methods = [*(method.upper() for method in operations), "OPTIONS"]
            routes.append({"src": re.sub(r"{[^}]+}", "([^/]+)", path), "methods": methods, "dest": host + target})
    return {"routes": [*routes, {"handle": "filesystem"}]}
