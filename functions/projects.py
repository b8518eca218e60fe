"""/v1/projects: films, from an idea to YouTube. /v1/gates: for whoever has a link. /v1/channels, /v1/analytics."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import modal
from fastapi import FastAPI, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from shared.core.auth import User
from shared.core.containers import secrets, thin_image
from shared.core.errors import AudioUnusable, Conflict, InvalidInput, NotFound
from shared.core.fetch import Fetcher, check
from shared.core.paging import newest
from shared.core.settings import Settings
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import Time
from shared.core.web import KIB, CurrentUser, function_app
from shared.files import upload
from shared.runners.services import Services, ServicesDep, open_services
from shared.studio.production import wake
from shared.studio.project import (
    Decision,
    Gate,
    Project,
    ProjectInput,
    Status,
    Step,
    read_gate,
    sign_gate,
)
from shared.studio.publication import Publication, Publish, want
from shared.studio.response import ProjectPage, ProjectResponse, ProjectStats, Thumbnail, to_api
from shared.studio.routes import router as youtube
from shared.studio.words import count_words, speakable

app = modal.App("personaforge-projects")
PAGE = 50
LINK = 7 * 24 * 3600  # seconds for which a link to a gate is good, at most
STATES: dict[str, tuple[Status, ...]] = {
    "needs_you": ("waiting",), "in_work": ("ready", "working"), "finished": ("succeeded",),
    "stopped": ("failed", "canceled"),
}  # fmt: skip
FOLLOWED, LOOK = 50.0, 1.0  # seconds for which events are sent, and between two looks
LIVE = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
SHORTEST, LONGEST = 40, 3600  # letters of a script that a person has edited: some seconds to four minutes


Round = Annotated[int | None, Field(ge=1, le=32_767, description="That was seen; the current one if left out.")]


class Approval(BaseModel):
    """What a person approves. script: one of `scripts`; sentences: the same, as they were edited."""

    model_config = ConfigDict(extra="forbid")
    round: Round = None
    script: Text | None = None
    sentences: list[Annotated[Text, Field(min_length=1, max_length=600)]] | None = Field(None, max_length=120)


class OwnApproval(Approval):
    """By the project's owner, who alone may have the film published."""

    publish: Publish | None = None


class Rejection(BaseModel):
    """What the next round should do better."""

    model_config = ConfigDict(extra="forbid")
    round: Round = None
    note: Text = Field(min_length=1, max_length=1000)


class GateDecision(Approval):
    """By whoever has the link."""

    decision: Literal["approve", "reject"]
    note: Text | None = Field(None, max_length=1000)


class History(BaseModel):
    """What was done and decided, in order."""

    steps: list[Step]
    decisions: list[Decision]


class Link(BaseModel):
    """To one gate of one round, for somebody without an account."""

    url: str
    expires_at: Time


class Standing(BaseModel):
    """The decision that stands, and whether it is this one."""

    decision: Decision
    first: bool


def build(settings: Settings | None = None) -> FastAPI:
    """The ASGI app."""
    web = function_app("projects", body_limit=128 * KIB, open_bodies=True, settings=settings, services=open_services)

    @web.post("/v1/projects", status_code=201)
    async def create(
        body: ProjectInput,
        services: ServicesDep,
        user: CurrentUser,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
    ) -> ProjectResponse:
        """Begin a film: three scripts are written first, then it waits for a choice."""
        digest = hashlib.sha256(json.dumps(body.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()
        if idempotency_key and (before := await _of_key(services.store, user, idempotency_key, digest)):
            return await _shown(services, before)
        if body.webhook:
            check(body.webhook, services.settings)
        given = {**body.model_dump(mode="json"), "music": await _kept_music(services, user, body.music)}
        arguments = {"p_persona": str(body.persona), "p_input": given, "p_key": idempotency_key}
        arguments["p_hash"] = digest if idempotency_key else None
        made = await services.store.call("create_project", arguments, user)
        if made["created"]:
            await wake(services.modal, made["project"]["id"])
        return await _shown(services, made["project"])

    @web.get("/v1/projects")
    async def list_projects(
        services: ServicesDep,
        user: CurrentUser,
        state: Literal["needs_you", "in_work", "finished", "stopped"] | None = None,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
    ) -> ProjectPage:
        store, client = services.store, services.store.as_user(user)
        query = client.from_("projects").select("*")
        query = query.in_("status", STATES[state]) if state else query
        where = f"{services.settings.forge_url}/v1/projects"
        page = await newest(store, query, PAGE, where, cursor, state=state)
        ids = [row["id"] for row in page.rows]
        costs, stats = await asyncio.gather(
            store.call("project_costs", {"p_ids": ids}, user), store.call("project_stats", {}, user)
        )
        shown = []
        for row in page.rows:
            one = to_api(Project.from_row(row), [], {}, await _progress(services, row))
            shown.append(one.model_copy(update={"cost_credits": float(costs.get(row["id"], 0))}))
        return ProjectPage(next=page.next, previous=page.previous, results=shown, stats=ProjectStats(**stats))

    @web.get("/v1/projects/{project}")
    async def get(project: UUID, services: ServicesDep, user: CurrentUser) -> ProjectResponse:
        return await _shown(services, await _row(services.store, project, services.store.as_user(user)))

    @web.get("/v1/projects/{project}/history")
    async def history(project: UUID, services: ServicesDep, user: CurrentUser) -> History:
        client = services.store.as_user(user)
        await _row(services.store, project, client)
        steps = client.from_("steps").select("*").eq("project_id", str(project)).order("started_at")
        decisions = client.from_("project_events").select("*").eq("project_id", str(project)).order("created_at")
        return History(
            steps=[Step.model_validate(row) for row in await services.store.rows(steps)],
            decisions=[Decision.model_validate(row) for row in await services.store.rows(decisions)],
        )

    web.include_router(youtube)
    _add_decisions(web)
    _add_events(web)
    _add_gates(web)
    return web


def _add_decisions(web: FastAPI) -> None:
    """By the project's owner."""

    @web.post("/v1/projects/{project}/approve")
    async def approve(project: UUID, body: OwnApproval, services: ServicesDep, user: CurrentUser) -> Standing:
        """The script, or the film, which is published then if that is wanted."""
        row = await _row(services.store, project, services.store.as_user(user))
        gate = await _gate(services, row, body.round)
        payload = await _approved(services.store, row, gate, body)
        if body.publish:
            if gate != "film":
                raise InvalidInput("A script is not published: say how when you approve the film.")
            shown = await _shown(services, row)
            if shown.waiting_for == "film":  # else it is decided: the one that stands is told
                await want(services.store, Project.from_row(row), body.publish, shown.credits)
            payload["publish"] = True  # in the decision itself: a wish that lies about publishes nothing
        return await _decide(services, row, gate, "approve", payload, str(user.id), body.round)

    @web.post("/v1/projects/{project}/reject")
    async def reject(project: UUID, body: Rejection, services: ServicesDep, user: CurrentUser) -> Standing:
        row = await _row(services.store, project, services.store.as_user(user))
        gate = await _gate(services, row, body.round)
        return await _decide(services, row, gate, "reject", {"note": body.note}, str(user.id), body.round)

    @web.delete("/v1/projects/{project}", status_code=204)
    async def remove(project: UUID, services: ServicesDep, user: CurrentUser) -> None:
        """With its films. One that is not ended is canceled first."""
        store = services.store
        await _row(store, project, store.as_user(user))
        planned = store.as_service().from_("publications").select("state").eq("project_id", str(project))
        if await store.rows(
            planned.in_("state", ["uploading", "processing", "scheduled"]).not_.is_("video_id", "null")
        ):
            raise Conflict("YouTube would publish this film all the same. Make it private first.")
        query = store.as_service().from_("projects").delete().eq("id", str(project)).eq("owner", str(user.id))
        if not await store.rows(query.in_("status", ["succeeded", "failed", "canceled"])):
            raise Conflict("This project is not ended. Cancel it first.")

    @web.post("/v1/projects/{project}/cancel")
    async def cancel(project: UUID, services: ServicesDep, user: CurrentUser) -> ProjectResponse:
        rows = await services.store.call("cancel_project", {"p_id": str(project), "p_owner": str(user.id)})
        return await _shown(services, rows[0])

    @web.post("/v1/projects/{project}/retry")
    async def retry(project: UUID, services: ServicesDep, user: CurrentUser) -> ProjectResponse:
        """Go on where it stopped; what was paid is kept."""
        rows = await services.store.call("retry_project", {"p_id": str(project), "p_owner": str(user.id)})
        await wake(services.modal, str(project))
        return await _shown(services, rows[0])

    @web.post("/v1/projects/{project}/link")
    async def link(project: UUID, services: ServicesDep, user: CurrentUser) -> Link:
        """To decide at the gate where it waits, for somebody without an account."""
        row = await _row(services.store, project, services.store.as_user(user))
        found = Project.from_row(row)
        if found.status != "waiting" or found.waiting_for not in ("script", "film"):
            raise InvalidInput("This project does not wait for a decision.")
        until = int(time.time()) + LINK
        token = sign_gate(found, found.waiting_for, services.settings.forge_signing_key, until)
        return Link(url=f"{services.settings.forge_url}/approve#{token}", expires_at=until)


async def _of_key(store: Store, user: User, key: str, digest: str) -> Row | None:
    """The project that this Idempotency-Key began. Raises Conflict when it was another body."""
    rows = await store.rows(store.as_user(user).from_("projects").select("*").eq("idempotency_key", key).limit(1))
    if rows and rows[0]["body_hash"] != digest:
        raise Conflict("This Idempotency-Key was used with another body.")
    return rows[0] if rows else None


async def _kept_music(services: Services, user: User, address: str | None) -> str | None:
    """The address of an uploaded file with the music, fetched and uploaded where it lies elsewhere."""
    if address is None:
        return None
    data = await upload.read(services.store, user, address)
    if data is None:
        async with Fetcher.open(services.settings) as fetcher:
            data = await fetcher.get(address, upload.LARGEST)
    kept = await upload.keep_once(services.store, user, data)
    if not kept.content_type.startswith("audio/"):
        raise AudioUnusable("The music is no sound: send WAV, MP3, Ogg, FLAC or M4A.")
    return kept.address(services.settings.forge_url)


def _add_events(web: FastAPI) -> None:
    events: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}

    @web.get("/v1/projects/{project}/events", response_class=StreamingResponse, responses=events)
    async def follow(project: UUID, services: ServicesDep, user: CurrentUser) -> StreamingResponse:
        """Scripts as they are written, their order at the end, and each change of state; ends after a minute."""
        client = services.store.as_user(user)
        return StreamingResponse(_events(services, client, await _row(services.store, project, client)), headers=LIVE)


async def _events(services: Services, client: Any, row: Row) -> AsyncIterator[str]:
    told: set[str] = set()
    limit = time.monotonic() + FOLLOWED
    while True:
        shown = await _shown(services, row)
        for script in shown.scripts:
            if script.id not in told:
                told.add(script.id)
                yield _event("script", script.model_dump_json())
        if shown.scripts and shown.scripts[0].rank and "order" not in told:
            told.add("order")
            yield _event("order", json.dumps([script.model_dump(mode="json") for script in shown.scripts]))
        state = f"{shown.status} {shown.stage} {shown.waiting_for} {shown.progress}"
        if state not in told:
            told.add(state)
            names = {"status", "stage", "waiting_for", "progress", "error"}
            yield _event("state", shown.model_dump_json(include=names))
        if shown.status not in ("ready", "working") or time.monotonic() > limit:
            yield _event("done", json.dumps({"status": shown.status}))
            return
        await asyncio.sleep(LOOK)
        row = await _row(services.store, shown.id, client)


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"


def _add_gates(web: FastAPI) -> None:
    """For whoever has a link, with or without an account."""

    @web.get("/v1/gates/{token}")
    async def look_at_gate(token: str, services: ServicesDep) -> ProjectResponse:
        """Only shows: mail scanners follow links."""
        row = await _of_gate(services, token)
        if row["waiting_for"] != token.split(".")[1]:  # what it was for is decided
            raise NotFound("This has been decided already.")
        shown = await _shown(services, row)
        given = shown.input.model_copy(update={"webhook": None, "music": None})
        return shown.model_copy(update={"cost_credits": None, "publication": None, "input": given})

    @web.post("/v1/gates/{token}")
    async def decide_at_gate(token: str, body: GateDecision, services: ServicesDep) -> Standing:
        row, gate = await _of_gate(services, token), token.split(".")[1]
        if body.decision == "reject":
            payload: dict[str, Any] = {"note": body.note or ""}
        else:
            payload = await _approved(services.store, row, gate, body)
        by = f"link {hashlib.sha256(token.encode()).hexdigest()[:12]}"
        return await _decide(services, row, gate, body.decision, payload, by, int(token.split(".")[2]))


async def _row(store: Store, project: UUID, client: Any) -> Row:
    rows = await store.rows(client.from_("projects").select("*").eq("id", str(project)).limit(1))
    if not rows:
        raise NotFound("There is no such project of yours.")
    return rows[0]


async def _of_gate(services: Services, token: str) -> Row:
    try:
        project = UUID(token.split(".", maxsplit=1)[0])
    except ValueError as error:
        raise NotFound("This link is not valid any more. Ask for a new one.") from error
    row = await _row(services.store, project, services.store.as_service())
    read_gate(token, services.settings.forge_signing_key, row)
    return row


async def _approved(store: Store, row: Row, gate: str, body: Approval) -> dict[str, Any]:
    """What is approved, checked against what there is."""
    if gate != "script":
        return {}
    scripts = await _scripts(store, row)
    if body.script not in [one["id"] for one in scripts if one["sentences"]]:
        raise InvalidInput(f"Choose a script: {', '.join(one['id'] for one in scripts)}.")
    if body.sentences is None:
        return {"script": body.script}
    said = " ".join(map(speakable, body.sentences))
    words, letters = count_words(said), len(re.findall(r"\w", said))
    if not SHORTEST <= letters <= LONGEST or len(said) > 2 * LONGEST:
        told = f"The edited script has {words} words, {letters} letters"
        raise InvalidInput(f"{told}; a film holds {SHORTEST} to {LONGEST} letters.")
    return {"script": body.script, "sentences": body.sentences}


async def _decide(
    services: Services, row: Row, gate: str, decision: str, payload: dict[str, Any], by: str, round_: int | None
) -> Standing:
    round_ = row["round"] if round_ is None else round_
    arguments = {
        "p_id": row["id"], "p_owner": row["owner"], "p_gate": gate, "p_round": round_,
        "p_decision": decision, "p_payload": payload, "p_by": by,
    }  # fmt: skip
    stands = await services.store.call("decide_project", arguments)
    await wake(services.modal, row["id"])
    return Standing(decision=Decision.model_validate(stands["event"]), first=stands["first"])


async def _gate(services: Services, row: Row, seen: int | None) -> Gate:
    """Where it waits; of one that waits no more, or in another round than was seen, the last one that was decided: a
    second click is told what the first one was."""
    round_ = row["round"] if seen is None else seen
    if round_ == row["round"] and row["waiting_for"] == "credits":
        raise Conflict("This project waits for credits. Add some, then retry it.")
    if round_ == row["round"] and row["waiting_for"]:
        return "film" if row["waiting_for"] == "film" else "script"
    query = services.store.as_service().from_("project_events").select("gate").eq("project_id", row["id"])
    found = await services.store.rows(query.eq("round", round_).order("created_at", desc=True).limit(1))
    return "film" if found and found[0]["gate"] == "film" else "script"


async def _scripts(store: Store, row: Row) -> list[dict[str, Any]]:
    query = store.as_service().from_("steps").select("result").eq("project_id", row["id"]).eq("stage", "scripts")
    found = await store.rows(query.eq("key", f"{row['round']}/ranked"))
    return list(found[0]["result"] or []) if found else []


async def _shown(services: Services, row: Row) -> ProjectResponse:
    """With its scripts, films, thumbnails and publication."""
    store, project = services.store, Project.from_row(row)
    service = store.as_service()
    query = service.from_("steps").select("stage,key,result,cost_usd").eq("project_id", str(project.id))
    published = service.from_("publications").select("*").eq("project_id", str(project.id)).limit(1)
    steps, publications = await asyncio.gather(
        store.rows(query.in_("stage", ["scripts", "voice", "footage", "film", "thumbnails"])), store.rows(published)
    )
    of_round = {
        (step["stage"], step["key"].partition("/")[2]): step["result"] for step in steps
        if step["key"].startswith(f"{project.round}/") and step["result"]
    }  # fmt: skip
    made = {key: one for (stage, key), one in of_round.items() if stage == "film" and "video" in one}
    pictures = [one for (stage, _), one in sorted(of_round.items()) if stage == "thumbnails" and "picture" in one]
    paths = [path for one in made.values() for path in (one["video"], one["captions"])]
    files = await store.addresses([*paths, *(one["picture"] for one in pictures)])
    films = {
        shape: {**one, "video": files.get(one["video"], ""), "captions": files.get(one["captions"], "")}
        for shape, one in made.items()
    }
    shown = to_api(project, steps, films, await _progress(services, row))
    thumbnails = [Thumbnail(**{**one, "picture": files.get(one["picture"], "")}) for one in pictures]
    publication = Publication.from_row(publications[0]) if publications else None
    return shown.model_copy(update={"thumbnails": thumbnails, "publication": publication})


async def _progress(services: Services, row: Row) -> str:
    beat = await services.heartbeats.latest(UUID(row["id"])) if row["status"] == "working" else None
    return beat.logs if beat else ""


@app.function(image=thin_image, secrets=secrets, timeout=60, max_containers=10)
@modal.concurrent(max_inputs=100)
@modal.asgi_app(label="personaforge-projects")
def projects() -> FastAPI:
    return build()
