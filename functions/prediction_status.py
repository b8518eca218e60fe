"""GET /v1/predictions/{id}, GET /v1/predictions, POST /v1/predictions/{id}/cancel, GET /v1/account: look, and stop."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import modal
from fastapi import FastAPI, Query

from shared.core.containers import media_image, secrets
from shared.core.errors import InvalidInput
from shared.core.paging import newest
from shared.core.settings import REPLICATE, SUPABASE, Settings
from shared.core.text import Text
from shared.core.time import format_time
from shared.core.web import CurrentUser, function_app
from shared.models import registry
from shared.predictions.id import PredictionId
from shared.predictions.prediction import Account, Prediction, PredictionPage, PredictionResponse, all_to_api, to_api
from shared.runners.services import ServicesDep, open_services

app = modal.App("personaforge-prediction-status")
PAGE = 50


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    needs = (*SUPABASE, *REPLICATE)
    web = function_app(
        "prediction status", needs=needs, settings=settings, services=open_services, polled="/v1/predictions/{public}"
    )

    @web.get("/v1/account")
    async def account(services: ServicesDep, user: CurrentUser) -> Account:
        found = await services.store.call("ensure_account", {"p_owner": str(user.id)})
        return Account.model_validate({**found, "username": str(user.id)})

    @web.get("/v1/predictions")
    async def list_predictions(
        services: ServicesDep,
        user: CurrentUser,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        source: Literal["api", "web"] | None = None,
        persona: UUID | None = None,
        model: Annotated[Text | None, Query(max_length=80)] = None,
    ) -> PredictionPage:
        """Newest first; created_after included, created_before not. source: all are made by the API."""
        if source == "web":
            return PredictionPage(next=None, results=[])
        store, lifecycle = services.store, services.lifecycle
        query = store.as_user(user).from_("predictions").select("*").eq("system", False)
        try:
            after = format_time(created_after) if created_after else None
            before = format_time(created_before) if created_before else None
        except OverflowError as error:
            raise InvalidInput("created_after and created_before lie between the years 1 and 9999.") from error
        query = query.eq("persona_id", str(persona)) if persona else query
        query = query.eq("model", registry.find(model).name) if model else query
        query = query.gte("created_at", after) if after else query
        query = query.lt("created_at", before) if before else query
        address = f"{services.settings.forge_url}/v1/predictions"
        chosen = {"created_after": after, "created_before": before, "model": model}
        page = await newest(store, query, PAGE, address, cursor, persona=str(persona or ""), **chosen)
        found = []
        for prediction in map(Prediction.from_row, page.rows):
            # A job at the provider may have ended well unseen: it is asked for when somebody looks at it by itself.
            only_to_settle = prediction.overdue and not prediction.provider_id
            current = await lifecycle.read(prediction.id, user) if only_to_settle else prediction
            found.append(current)
        return PredictionPage(next=page.next, previous=page.previous, results=await all_to_api(found, store))

    @web.get("/v1/predictions/{public}")
    async def get(public: str, services: ServicesDep, user: CurrentUser) -> PredictionResponse:
        identity = PredictionId.read(public, services.settings.forge_signing_key, user)
        model = registry.by_code(identity.model_code)
        return await to_api(await model.runner.look(services, identity, model.name, user), services.store)

    @web.post("/v1/predictions/{public}/cancel")
    async def cancel(public: str, services: ServicesDep, user: CurrentUser) -> PredictionResponse:
        identity = PredictionId.read(public, services.settings.forge_signing_key, user)
        prediction = await services.lifecycle.read(identity.row, user, expire=False)
        if not prediction.finished:
            await registry.by_code(identity.model_code).runner.cancel(services, prediction)
            prediction = await services.lifecycle.read(identity.row, user)
        return await to_api(prediction, services.store)

    return web


@app.function(image=media_image, secrets=secrets, timeout=60, max_containers=20)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-prediction-status")
def prediction_status() -> FastAPI:
    return build()
