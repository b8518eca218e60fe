"""Whose pages may call the API."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from functions import load
from local.stack import Stack
from shared.core.settings import Settings


@pytest.mark.parametrize(("origins", "allowed"), [
    ("", "*"), ("https://studio.example.com", None), ("https://a.example, https://page.example/", "https://page.example"),
])  # fmt: skip
def test_a_page_is_answered_where_its_origin_is_allowed(stack: Stack, origins: str, allowed: str | None) -> None:
    """Without a list every page is; browsers ask before they send, too."""
    app = load("gallery").build(Settings({**stack.settings, "FORGE_ORIGINS": origins}))

    async def ask() -> list[str | None]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://here") as http:
            page = {"Origin": "https://page.example"}
            asked = {**page, "Access-Control-Request-Method": "GET"}
            answers = [await http.get("/openapi.json", headers=page), await http.options("/v1/gallery", headers=asked)]
        return [one.headers.get("access-control-allow-origin") for one in answers]

    assert asyncio.run(ask()) == [allowed, allowed]
