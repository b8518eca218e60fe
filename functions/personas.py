"""/v1/personas: create, list, read, change and remove personas, and upload their pictures. /v1/account: one's data."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import modal
from fastapi import FastAPI, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.accounts import personal_data
from shared.accounts.personal_data import Erased
from shared.core.containers import secrets, voices_image
from shared.core.errors import ConsentMissing, InvalidInput
from shared.core.fetch import Fetcher
from shared.core.paging import newest
from shared.core.settings import ELEVENLABS, REPLICATE, SUPABASE, Settings
from shared.core.text import Text
from shared.core.time import format_time
from shared.core.web import MIB, ContextDep, CurrentUser, function_app
from shared.models import registry
from shared.personas import persona, portrait, voice
from shared.personas.persona import (
    Persona,
    PersonaChange,
    PersonaInput,
    PersonaPage,
    PersonaResponse,
    all_to_api,
    to_api,
)
from shared.personas.voice import VoicePage
from shared.predictions.prediction import Prediction
from shared.providers import catalogue
from shared.runners.pregenerate import begin_idle
from shared.runners.services import Services, ServicesDep, open_services

app = modal.App("personaforge-personas")
PAGE = 50
LARGEST_PHOTO = 15 * MIB
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_PHOTO = {
    "requestBody": {
        "required": True,
        "content": {
            "image/jpeg": _PICTURE,
            "image/png": _PICTURE,
            "image/webp": _PICTURE,
            "application/json": {"schema": {"type": "object", "properties": {"url": {"type": "string"}}}},
        },
    }
}


async def _voice_agreed(services: Services, voice_id: str | None, agreed: bool) -> str | None:
    """When the person whose voice this is agreed; None for a voice that is nobody's.

    Raises InvalidInput for a voice that is not there, ConsentMissing, ProviderFailed.
    """
    if not voice_id:
        return None
    found = await services.text_to_speech.voice(voice_id)
    if found is None:
        raise InvalidInput(f"There is no voice {voice_id!r} any more. GET /v1/voices lists those there are.")
    if not found.cloned:
        return None
    if not agreed:
        raise ConsentMissing(
            f"{found.name} is the voice of a person. Send `voice_consent`: true to say that they agree to speak as "
            "this persona; the time is kept."
        )
    return format_time(datetime.now(UTC))


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    needs = (*SUPABASE, *REPLICATE, *ELEVENLABS)
    web = function_app(
        "personas",
        needs=needs,
        body_limit=LARGEST_PHOTO,
        settings=settings,
        services=open_services,
        check=catalogue.check,
    )

    @web.post("/v1/personas", status_code=201)
    async def create(
        body: PersonaInput, context: ContextDep, services: ServicesDep, user: CurrentUser
    ) -> PersonaResponse:
        agreed = await _voice_agreed(services, body.voice_id, body.voice_consent)
        return await to_api(await persona.create(context.store, user, body, agreed), context.store)

    @web.get("/v1/personas")
    async def list_personas(
        context: ContextDep, user: CurrentUser, cursor: Annotated[str | None, Query(max_length=200)] = None
    ) -> PersonaPage:
        store = context.store
        query = store.as_user(user).from_("personas").select("*")
        page = await newest(store, query, PAGE, f"{context.settings.forge_url}/v1/personas", cursor)
        return PersonaPage(
            next=page.next,
            previous=page.previous,
            results=await all_to_api([Persona.from_row(row) for row in page.rows], store),
        )

    @web.get("/v1/account/export", response_class=StreamingResponse)
    async def export(context: ContextDep, user: CurrentUser) -> StreamingResponse:
        """Everything that is kept of whoever asks, as one JSON object; files by addresses that are good for a day."""
        headers = {"Content-Disposition": 'attachment; filename="personaforge.json"'}
        data = personal_data.export(context.store, user.id)
        return StreamingResponse(data, media_type="application/json", headers=headers)

    @web.delete("/v1/account")
    async def erase(services: ServicesDep, user: CurrentUser, confirm: UUID) -> Erased:
        """Erase whoever asks: personas, talks, films, files, channels and the user. confirm: their id, as /v1/account
        shows it. Orders and the ledger stay, without what they were about."""
        if confirm != user.id:
            raise InvalidInput("`confirm` is not your id. It is `username` of GET /v1/account.")
        return await personal_data.erase(services, user)

    @web.get("/v1/voices")
    async def list_voices(
        services: ServicesDep,
        user: CurrentUser,  # noqa: ARG001  # must be somebody
        search: Annotated[Text | None, Query(max_length=100)] = None,
        language: Annotated[str | None, Query(pattern="^[a-z]{2}$")] = None,
        gender: Literal["female", "male", "neutral"] | None = None,
    ) -> VoicePage:
        """Whom a persona may sound like."""
        return voice.to_api(await services.text_to_speech.voices(search or ""), language, gender)

    @web.get("/v1/personas/{persona_id}")
    async def get(persona_id: UUID, context: ContextDep, user: CurrentUser) -> PersonaResponse:
        return await to_api(await persona.find(context.store, persona_id, user), context.store)

    @web.patch("/v1/personas/{persona_id}")
    async def change(
        persona_id: UUID, body: PersonaChange, services: ServicesDep, user: CurrentUser
    ) -> PersonaResponse:
        former = await persona.find(services.store, persona_id, user)
        another = body.voice_id if body.voice_id != former.voice_id else None
        agreed = await _voice_agreed(services, another, body.voice_consent)
        changed = await portrait.change(services.store, user, persona_id, body, agreed)
        if changed.portrait and not changed.idle:
            await begin_idle(services, persona_id)
        return await to_api(changed, services.store)

    @web.delete("/v1/personas/{persona_id}", status_code=204)
    async def remove(persona_id: UUID, services: ServicesDep, user: CurrentUser) -> None:
        store = services.store
        running = store.as_user(user).from_("predictions").select("*").eq("persona_id", str(persona_id))
        # First what runs ends, so that it stops where it runs and its receipt says what was used.
        while rows := await store.rows(running.in_("status", ["starting", "processing"]).limit(100)):
            cancels = [registry.find(one.model).runner.cancel(services, one) for one in map(Prediction.from_row, rows)]
            await asyncio.gather(*cancels)
        released = await store.call("remove_persona", {"p_persona": str(persona_id), "p_owner": str(user.id)})
        if released:
            await store.discard(*released)

    @web.put("/v1/personas/{persona_id}/portrait", openapi_extra=_PHOTO)
    async def upload(
        persona_id: UUID,
        request: Request,
        context: ContextDep,
        services: ServicesDep,
        user: CurrentUser,
        consent: bool = False,
    ) -> PersonaResponse:
        """The body is the photo (PNG, JPEG or WebP, one person from the front), or JSON: {"url": where it is}."""
        if not consent:
            raise ConsentMissing(
                "Add `?consent=true` to say that the person shown agrees to speak as this persona; the time is kept."
            )
        await persona.find(context.store, persona_id, user)
        await context.store.call("limit_rate", {"p_owner": str(user.id), "p_kind": "uploads"})
        picture = await portrait.read_portrait(services.processes, await _photo(request, context.settings))
        await portrait.set_portrait(context.store, user, persona_id, picture)
        await begin_idle(services, persona_id)
        return await to_api(await persona.find(context.store, persona_id, user), context.store)

    return web


class Address(BaseModel):
    """Where a photo can be fetched."""

    model_config = ConfigDict(extra="forbid")
    url: Text = Field(min_length=1, max_length=2000)


async def _photo(request: Request, settings: Settings) -> bytes:
    body = await request.body()
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise InvalidInput("Send the photo itself as the body (curl --data-binary @me.jpg), not a form.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return body
    try:
        address = Address.model_validate_json(body)
    except ValidationError as error:
        raise InvalidInput('JSON here is {"url": "https://..."}; or send the photo itself as the body.') from error
    async with Fetcher.open(settings) as fetcher:
        return await fetcher.get(address.url, LARGEST_PHOTO)


@app.function(image=voices_image, secrets=secrets, timeout=60, memory=2048, max_containers=10)
@modal.concurrent(max_inputs=20)
@modal.asgi_app(label="personaforge-personas")
def personas() -> FastAPI:
    return build()
