"""Predictions that run at Replicate: started there, looked at when somebody asks, kept here when they are done."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np

from shared.billing import prices
from shared.core.auth import User
from shared.core.errors import ForgeError, SoundUnusable
from shared.core.fetch import Fetcher
from shared.core.settings import Settings
from shared.core.store import Row, Store
from shared.core.time import parse_time
from shared.media.audio import LONGEST, decode_audio, encode_wav
from shared.media.types import RATE, Samples
from shared.models.inputs import LipsyncInput, PortraitInput
from shared.personas import persona as personas
from shared.predictions import lifecycle
from shared.predictions.prediction import FINISHED, PredictionId
from shared.providers.elevenlabs import TextToSpeech
from shared.providers.replicate import Job, Replicate

log = logging.getLogger("personaforge.hosted")
LARGEST_SOUND = 20 * 1024 * 1024
COLD = 5  # seconds in the provider's queue: its model had to be started


async def start(store: Store, replicate: Replicate, user: User, row: Row) -> Row:
    """Start the prediction at the provider and note its id there. On failure it is settled with the reason."""
    try:
        persona = await personas.find(store, user, row["persona_id"])
        if row["model"] == "portrait":
            given = PortraitInput.model_validate(row["input"])
            model, inputs = replicate.portrait_model, {"prompt": given.prompt or _prompt(persona)}
        else:
            samples = await _voice(store.settings, persona, LipsyncInput.model_validate(row["input"]))
            picture = await store.get(personas.need_portrait(persona))
            model, inputs = replicate.lipsync_model, await speaking(replicate, picture, samples)
        job = await begin(store, replicate, model, inputs, _webhook(store.settings, row))
        try:
            attached = await lifecycle.attach(store, row, job.id)
        except BaseException:
            store.soon(cancel(replicate, job.id))
            raise
        if attached is None:  # ended meanwhile: canceled, or overdue
            store.soon(cancel(replicate, job.id))
            return await lifecycle.read(store, user, UUID(row["id"]))
        return attached
    except ForgeError as error:
        await lifecycle.fail(store, row["id"], error.detail, error.code)
        raise
    except BaseException:
        await asyncio.shield(lifecycle.fail(store, row["id"], "It could not be started.", "error"))
        raise


async def begin(
    store: Store, replicate: Replicate, model: str, inputs: dict[str, Any], webhook: str | None = None
) -> Job:
    """Start a job. Cancelled while the answer is on its way, the job is stopped as soon as its id is known."""
    starting = asyncio.ensure_future(replicate.start(model, inputs, webhook))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        store.soon(_unwanted(replicate, starting))
        raise


async def _unwanted(replicate: Replicate, starting: asyncio.Future[Job]) -> None:
    with suppress(ForgeError):
        await cancel(replicate, (await starting).id)


def _webhook(settings: Settings, row: Row) -> str | None:
    """Where Replicate can tell us, if it can: over https, or when it stands on the same machine."""
    near = httpx.URL(settings.replicate_base_url).host == httpx.URL(settings.forge_url).host
    if not (near or settings.forge_url.startswith("https://")):
        return None
    return f"{settings.forge_url}/v1/webhooks/replicate/{PredictionId.of(row).sign(settings.forge_signing_key)}"


def _prompt(persona: Row) -> str:
    look = persona["appearance"].strip() or persona["description"].strip()[:300]
    return f"Portrait of {persona['name']}: {look}. One person, from the front, mouth closed, head and shoulders."


async def _voice(settings: Settings, persona: Row, given: LipsyncInput) -> Samples:
    """What is to be heard: the persona's voice, or the sound at an address."""
    if given.audio:
        async with Fetcher.open(settings) as fetcher:
            data = await fetcher.get(given.audio, LARGEST_SOUND)
        return await asyncio.to_thread(decode_audio, data)
    assert given.say
    voice = TextToSpeech(settings)
    try:
        samples = np.concatenate(
            [part.samples async for part in voice.speak(given.say, personas.voice_of(persona, voice.usual), "", [])]
        )
    finally:
        await voice.close()
    if len(samples) > LONGEST * RATE:
        raise SoundUnusable(f"Spoken, this takes {len(samples) / RATE:.0f} s; hosted models take up to {LONGEST} s.")
    return samples


async def speaking(replicate: Replicate, picture: bytes, samples: Samples) -> dict[str, Any]:
    """The inputs of a hosted lip-sync model: picture and sound, uploaded."""
    image, audio = await asyncio.gather(
        replicate.upload(picture, "portrait.png"), replicate.upload(encode_wav(samples), "voice.wav")
    )
    return {"image": image, "audio": audio}


def _length(video: bytes) -> float | None:
    """Seconds of a video, or None when the hosted model's file does not say."""
    import av

    try:
        with av.open(BytesIO(video), "r") as file:
            return round(file.duration / av.time_base, 3) if file.duration else None
    except av.FFmpegError:
        return None


async def look(store: Store, replicate: Replicate, user: User, identity: PredictionId) -> Row | str:
    """The status from the provider alone while it runs there; its row once it is finished.

    A finished one is kept and settled first; one past its deadline is cancelled there and settled as failed.
    """
    try:
        job = await replicate.look(identity.provider_id)
    except ForgeError:
        # Its own record lives for an hour; ours for good.
        row = await lifecycle.read(store, user, identity.row, as_it_is=True)
        if row["status"] in FINISHED:
            return row
        raise
    if job.status not in FINISHED and not identity.overdue:
        return job.status
    row = await lifecycle.read(store, user, identity.row, as_it_is=True)
    if row["status"] in FINISHED:
        return row
    await finish(store, replicate, row, job)
    return await lifecycle.read(store, user, identity.row)


async def hear(store: Store, replicate: Replicate, identity: PredictionId, job_id: str) -> None:
    """Follow a hint that a job changed. One that we no longer want is stopped there."""
    query = store.as_service().from_("predictions").select("*").eq("id", str(identity.row))
    rows = await store.rows(query)
    job = await replicate.look(job_id)
    if not rows or rows[0]["status"] in FINISHED:
        if job.status not in FINISHED:
            await cancel(replicate, job_id)
        return
    row = rows[0]
    if not row["provider_id"]:  # the answer to our creating it was lost
        row = await lifecycle.attach(store, row, job_id) or row
    if row["provider_id"] == job_id and job.status in FINISHED:
        await finish(store, replicate, row, job)


async def finish(store: Store, replicate: Replicate, row: Row, job: Job) -> None:
    """Settle a prediction by what became of its job; one that still runs there is cancelled as overdue."""
    if job.status == "succeeded":
        await _keep(store, replicate, row, job)
    elif job.status == "failed":
        await lifecycle.fail(store, row["id"], f"replicate: {job.error or 'no reason given'}", "provider_failed")
    elif job.status == "canceled":
        await lifecycle.settle(store, row["id"], "canceled", {"receipt": {"provider_ids": {"replicate": job.id}}})
    else:
        await cancel(replicate, job.id)
        await lifecycle.fail(store, row["id"], "It was not finished before its deadline.", "deadline")


async def cancel(replicate: Replicate, job_id: str) -> None:
    """Ask the provider to stop; that it does not answer is no reason to keep the job open here."""
    try:
        await replicate.cancel(job_id)
    except ForgeError as error:
        log.warning("job %s could not be cancelled at the provider: %s", job_id, error.detail)


async def _keep(store: Store, replicate: Replicate, row: Row, job: Job) -> None:
    """Copy the output into our storage, then settle; what cannot be used settles as failed with the reason."""
    picture = row["model"] == "portrait"
    path = f"{row['owner']}/{uuid4().hex}.{'png' if picture else 'mp4'}"
    effects: Row = {}
    try:
        if not job.output:
            raise ForgeError("replicate: The model succeeded without an output.")
        data = await replicate.fetch(job.output)
        if picture:
            portrait = await personas.read_portrait(data, generated=True)
            data, effects = portrait.png, {"portrait": {"path": path, "face": portrait.face}}
        await store.put(path, data, "image/png" if picture else "video/mp4")
    except ForgeError as error:
        if not error.retryable:
            await lifecycle.fail(store, row["id"], error.detail, error.code)
        raise
    receipt = _receipt(store.settings, replicate, row, job, len(data))
    if not picture:
        seconds = receipt["duration_s"] = await asyncio.to_thread(_length, data)
        receipt["realtime_factor"] = round((seconds or 0) / receipt["total_ms"] * 1000, 3)
        receipt["cost_usd"] += prices.replicate(replicate.lipsync_model, seconds or 0)
    await lifecycle.settle(store, row["id"], "succeeded", {"output": path, "receipt": receipt}, effects, (path,))


def _receipt(settings: Settings, replicate: Replicate, row: Row, job: Job, size: int) -> Row:
    """total_ms: until the result was here; first_frame_ms is the same, as nothing streams. cold: waited to start."""
    total = max(1, round((datetime.now(UTC) - parse_time(row["created_at"])).total_seconds() * 1000))
    picture = row["model"] == "portrait"
    characters = 0 if picture else len(row["input"].get("say") or "")
    cost = prices.replicate(replicate.portrait_model, 1) if picture else 0.0
    return {
        "engine": "replicate",
        "model": replicate.portrait_model if picture else replicate.lipsync_model,
        "cold": None if job.seconds is None else total - job.seconds * 1000 > COLD * 1000,
        "compute_ms": None if job.seconds is None else round(job.seconds * 1000),
        "first_frame_ms": total,
        "total_ms": total,
        "bytes": size,
        "characters": characters,
        "provider_ids": {"replicate": job.id},
        "cost_usd": round(cost + prices.elevenlabs(settings.elevenlabs_model, characters), 6),
    }
