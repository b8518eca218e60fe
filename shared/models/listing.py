"""The models as Replicate shows them: with the schemas that their inputs are checked against."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.core.errors import NotFound
from shared.models.model import Model
from shared.models.registry import models
from shared.predictions.prediction import OWNER


class Version(BaseModel):
    """A model's one version."""

    id: str
    created_at: str = "2026-11-20T00:00:00Z"
    cog_version: str = ""
    openapi_schema: dict[str, Any] = Field(description="The schemas Input and Output.")


class ModelResponse(BaseModel):
    """What can be asked for."""

    model_config = ConfigDict(protected_namespaces=())
    url: str
    owner: str
    name: str
    description: str
    visibility: str = "public"
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    run_count: int = 0
    cover_image_url: str | None = None
    default_example: dict[str, Any] | None = None
    latest_version: Version


class ModelPage(BaseModel):
    next: str | None = None
    previous: str | None = None
    results: list[ModelResponse]


class VersionPage(BaseModel):
    next: str | None = None
    previous: str | None = None
    results: list[Version]


def page(base: str, search: str = "") -> ModelPage:
    """base: the origin of addresses. search: words that the name or the description must contain."""
    found = [_to_api(base, model) for model in models().values()]
    words = search.lower().split()
    return ModelPage(
        results=[one for one in found if all(word in f"{one.name} {one.description}".lower() for word in words)]
    )


def find(base: str, owner: str, name: str) -> ModelResponse:
    """Raises NotFound that names the models there are."""
    if owner != OWNER or name not in models():
        raise NotFound(f"There is no model {owner}/{name}. There are {', '.join(models())} of {OWNER}.")
    return _to_api(base, models()[name])


def version(base: str, owner: str, name: str, wanted: str) -> Version:
    """Raises NotFound."""
    only = find(base, owner, name).latest_version
    if wanted != only.id:
        raise NotFound(f"{owner}/{name} has the one version {only.id!r}.")
    return only


def _to_api(base: str, model: Model) -> ModelResponse:
    output = {"type": "string", "format": "uri", "title": "Output"}
    schemas = {"Input": model.input.model_json_schema(), "Output": output}
    document = {"openapi": "3.1.0", "info": {"title": model.name, "version": "1"}, "components": {"schemas": schemas}}
    return ModelResponse(
        url=f"{base}/v1/models/{OWNER}/{model.name}",
        owner=OWNER,
        name=model.name,
        description=" ".join((model.input.__doc__ or "").split()),
        latest_version=Version(id=model.name, openapi_schema=document),
    )
