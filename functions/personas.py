"""/v1/personas: make, list, show, change and remove personas, and give them a picture."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import hosted, persona
from shared.errors import ConsentMissing, InvalidInput
from shared.fetch import Fetcher
from shared.image import image, secrets
from shared.paging import newest
from shared.persona import PersonaChange, PersonaInput
from shared.settings import Settings
from shared.text import Text
from shared.web import MIB, Caller, Context, Here, function_app

app = modal.App("personaforge-personas")
PAGE = 50
LARGEST_PHOTO = 15 * MIB


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("personas", body_limit=LARGEST_PHOTO, settings=settings)

    @web.post("/v1/personas", status_code=201)
    async def create(given: PersonaInput, here: Here, user: Caller) -> dict[str, Any]:
        query = here.store.as_user(user).from_("personas").insert({**given.model_dump(), "owner": str(user.id)})
        rows = await here.store.rows(query)
        return persona.shown(rows[0], here.store)

    @web.get("/v1/personas")
    async def list_personas(
        here: Here, user: Caller, cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> dict[str, Any]:
        query = here.store.as_user(user).from_("personas").select("*")
        page = await newest(here.store, query, PAGE, f"{here.settings.forge_url}/v1/personas", cursor)
        return {"next": page.next, "results": [persona.shown(row, here.store) for row in page.rows]}

    @web.get("/v1/personas/{persona_id}")
    async def get(persona_id: UUID, here: Here, user: Caller) -> dict[str, Any]:
        return persona.shown(await persona.find(here.store, user, persona_id), here.store)

    @web.patch("/v1/personas/{persona_id}")
    async def change(persona_id: UUID, changes: PersonaChange, here: Here, user: Caller) -> dict[str, Any]:
        return persona.shown(await persona.change(here.store, user, persona_id, changes), here.store)

    @web.delete("/v1/personas/{persona_id}", status_code=204)
    async def remove(persona_id: UUID, here: Here, user: Caller) -> None:
        running = here.store.as_user(user).from_("predictions").select("provider_id").eq("persona_id", str(persona_id))
        jobs = await here.store.rows(running.in_("status", ["starting", "processing"]).limit(100))
        arguments = {"p_persona": str(persona_id), "p_owner": str(user.id)}
        if files := await here.store.call("remove_persona", arguments):
            await here.store.remove(*persona.with_prepared(*files))
        for job in jobs:
            if job["provider_id"]:
                await hosted.cancel(here.replicate, job["provider_id"])

    @web.put("/v1/personas/{persona_id}/portrait")
    async def upload(
        persona_id: UUID, request: Request, here: Here, user: Caller, consent: bool = False
    ) -> dict[str, Any]:
        """The body is the photo (PNG, JPEG or WebP, one person from the front), or JSON: {"url": where it is}."""
        if not consent:
            raise ConsentMissing(
                "Add `?consent=true` to say that the person shown agrees to speak as this persona; the moment is kept."
            )
        await persona.find(here.store, user, persona_id)
        portrait = await persona.read_portrait(await _photo(request, here))
        await persona.give_portrait(here.store, user, persona_id, portrait)
        return persona.shown(await persona.find(here.store, user, persona_id), here.store)

    return web


class Address(BaseModel):
    """A photo that lies somewhere else."""

    model_config = ConfigDict(extra="forbid")
    url: Text = Field(min_length=1, max_length=2000)


async def _photo(request: Request, here: Context) -> bytes:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise InvalidInput("Send the photo itself as the body (curl --data-binary @me.jpg), not a form.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return body
    try:
        address = Address.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput('JSON here is {"url": "https://..."}; or send the photo itself as the body.') from error
    async with Fetcher.open(here.settings) as fetcher:
        return await fetcher.get(address.url, LARGEST_PHOTO)


@app.function(image=image, secrets=secrets, timeout=60)
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def personas() -> FastAPI:
    return build()
