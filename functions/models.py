"""GET /v1/models/personaforge/{model} and GET /v1/models: what can be asked for, with input and output schemas."""

from __future__ import annotations

from typing import Any

import modal
from fastapi import FastAPI

from shared.core.containers import image
from shared.core.errors import NotFound
from shared.core.settings import Settings
from shared.core.web import function_app
from shared.models.inputs import MODELS, OWNER

app = modal.App("personaforge-models")

_OUTPUT = {"type": "string", "format": "uri", "title": "Output"}


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("models", settings=settings)

    @web.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return {"next": None, "previous": None, "results": [_shown(name) for name in MODELS]}

    @web.get("/v1/models/{owner}/{name}")
    async def get(owner: str, name: str) -> dict[str, Any]:
        return _find(owner, name)

    @web.get("/v1/models/{owner}/{name}/versions/{version}")
    async def get_version(owner: str, name: str, version: str) -> dict[str, Any]:
        found: dict[str, Any] = _find(owner, name)["latest_version"]
        if version != found["id"]:
            raise NotFound(f"{owner}/{name} has the one version {found['id']!r}.")
        return found

    return web


def _find(owner: str, name: str) -> dict[str, Any]:
    if owner != OWNER or name not in MODELS:
        raise NotFound(f"There is no model {owner}/{name}. There are {', '.join(MODELS)} of {OWNER}.")
    return _shown(name)


def _shown(name: str) -> dict[str, Any]:
    """A model as Replicate shows one; the schemas come from what the inputs are checked against."""
    model = MODELS[name]
    about = " ".join((model.__doc__ or "").split())
    schemas = {"Input": model.model_json_schema(), "Output": _OUTPUT}
    document = {"openapi": "3.1.0", "info": {"title": name, "version": "1"}, "components": {"schemas": schemas}}
    return {
        "url": "/v1/models/" + f"{OWNER}/{name}",
        "owner": OWNER,
        "name": name,
        "description": about,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": {
            "id": name,
            "created_at": "2026-11-20T00:00:00Z",
            "cog_version": "",
            "openapi_schema": document,
        },
    }


@app.function(image=image, timeout=30)
@modal.concurrent(max_inputs=100)
@modal.asgi_app()
def models() -> FastAPI:
    return build()
