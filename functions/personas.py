"""/v1/personas: make, list, show and remove personas, and give them a picture."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import modal
from fastapi import FastAPI, Query, Request

from shared import persona
from shared.errors import ConsentMissing
from shared.image import image, secrets
from shared.paging import newest
from shared.persona import PersonaInput
from shared.settings import Settings
from shared.web import MIB, Caller, Here, function_app

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

    @web.delete("/v1/personas/{persona_id}", status_code=204)
    async def remove(persona_id: UUID, here: Here, user: Caller) -> None:
        arguments = {"p_persona": str(persona_id), "p_owner": str(user.id)}
        if files := await here.store.call("remove_persona", arguments):
            await here.store.remove(*files)

    @web.put("/v1/personas/{persona_id}/portrait")
    async def upload(
        persona_id: UUID, request: Request, here: Here, user: Caller, consent: bool = False
    ) -> dict[str, Any]:
        """The body is the photo itself: PNG, JPEG or WebP, one person from the front."""
        if not consent:
            raise ConsentMissing(
                "Add `?consent=true` to say that the person shown agrees to speak as this persona; the moment is kept."
            )
        await persona.find(here.store, user, persona_id)
        portrait = await persona.read_portrait(await request.body())
        await persona.give_portrait(here.store, user, persona_id, portrait)
        return persona.shown(await persona.find(here.store, user, persona_id), here.store)

    return web


@app.function(image=image, secrets=secrets, timeout=60)
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def personas() -> FastAPI:
    return build()
