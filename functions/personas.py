"""/v1/personas: make, list, show, change and remove personas, and give them a picture."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.core.containers import image, secrets
from shared.core.errors import ConsentMissing, InvalidInput
from shared.core.fetch import Fetcher
from shared.core.paging import newest
from shared.core.settings import Settings
from shared.core.text import Text
from shared.core.web import MIB, Context, ContextDep, CurrentUser, function_app
from shared.personas import persona
from shared.personas.persona import PersonaChange, PersonaInput
from shared.runners import hosted

app = modal.App("personaforge-personas")
PAGE = 50
LARGEST_PHOTO = 15 * MIB


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("personas", body_limit=LARGEST_PHOTO, settings=settings)

    @web.post("/v1/personas", status_code=201)
    async def create(given: PersonaInput, context: ContextDep, user: CurrentUser) -> dict[str, Any]:
        query = context.store.as_user(user).from_("personas").insert({**given.model_dump(), "owner": str(user.id)})
        rows = await context.store.rows(query)
        return persona.shown(rows[0], context.store)

    @web.get("/v1/personas")
    async def list_personas(
        context: ContextDep, user: CurrentUser, cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> dict[str, Any]:
        query = context.store.as_user(user).from_("personas").select("*")
        page = await newest(context.store, query, PAGE, f"{context.settings.forge_url}/v1/personas", cursor)
        return {"next": page.next, "results": [persona.shown(row, context.store) for row in page.rows]}

    @web.get("/v1/personas/{persona_id}")
    async def get(persona_id: UUID, context: ContextDep, user: CurrentUser) -> dict[str, Any]:
        return persona.shown(await persona.find(context.store, user, persona_id), context.store)

    @web.patch("/v1/personas/{persona_id}")
    async def change(
        persona_id: UUID, changes: PersonaChange, context: ContextDep, user: CurrentUser
    ) -> dict[str, Any]:
        return persona.shown(await persona.change(context.store, user, persona_id, changes), context.store)

    @web.delete("/v1/personas/{persona_id}", status_code=204)
    async def remove(persona_id: UUID, context: ContextDep, user: CurrentUser) -> None:
        running = (
            context.store.as_user(user).from_("predictions").select("provider_id").eq("persona_id", str(persona_id))
        )
        jobs = await context.store.rows(running.in_("status", ["starting", "processing"]).limit(100))
        arguments = {"p_persona": str(persona_id), "p_owner": str(user.id)}
        if files := await context.store.call("remove_persona", arguments):
            await context.store.remove(*persona.with_prepared(*files))
        for job in jobs:
            if job["provider_id"]:
                await hosted.cancel(context.replicate, job["provider_id"])

    @web.put("/v1/personas/{persona_id}/portrait")
    async def upload(
        persona_id: UUID, request: Request, context: ContextDep, user: CurrentUser, consent: bool = False
    ) -> dict[str, Any]:
        """The body is the photo (PNG, JPEG or WebP, one person from the front), or JSON: {"url": where it is}."""
        if not consent:
            raise ConsentMissing(
                "Add `?consent=true` to say that the person shown agrees to speak as this persona; the moment is kept."
            )
        await persona.find(context.store, user, persona_id)
        portrait = await persona.read_portrait(await _photo(request, context))
        await persona.give_portrait(context.store, user, persona_id, portrait)
        return persona.shown(await persona.find(context.store, user, persona_id), context.store)

    return web


class Address(BaseModel):
    """A photo that lies somewhere else."""

    model_config = ConfigDict(extra="forbid")
    url: Text = Field(min_length=1, max_length=2000)


async def _photo(request: Request, context: Context) -> bytes:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise InvalidInput("Send the photo itself as the body (curl --data-binary @me.jpg), not a form.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return body
    try:
        address = Address.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput('JSON here is {"url": "https://..."}; or send the photo itself as the body.') from error
    async with Fetcher.open(context.settings) as fetcher:
        return await fetcher.get(address.url, LARGEST_PHOTO)


@app.function(image=image, secrets=secrets, timeout=60)
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def personas() -> FastAPI:
    return build()
