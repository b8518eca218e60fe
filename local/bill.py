"""What a stand-in would have charged for: GET /_bill, in the vendor's own units."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Bill:
    """One line for each call that is charged, in order; a line may grow while its call streams."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.route = Route("/_bill", self._show)

    def add(self, model: str, **units: float) -> dict[str, Any]:
        line = {"model": model, **units}
        self.lines.append(line)
        return line

    async def _show(self, _: Request) -> JSONResponse:
        return JSONResponse({"lines": self.lines})
