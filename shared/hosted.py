"""Predictions that run at Replicate: started there, looked at when somebody asks, kept here when they are done."""

from __future__ import annotations

import asyncio
import logging
from io import BytesIO
from typing import Any
from uuid import uuid4

import numpy as np

from shared import persona as personas
from shared import prediction
from shared.auth import User
from shared.errors import ForgeError
from shared.lipsync.engine import RATE
from shared.prediction import LipsyncInput, PortraitInput, PredictionId
from shared.providers.elevenlabs import Voice
from shared.providers.replicate import Job, Replicate
from shared.settings import Settings
from shared.store import Row, Store

log = logging.getLogger("personaforge.hosted")


async def start(store: Store, replicate: Replicate, settings: Settings, user: User, row: Row) -> Row:
    """Start the prediction at the provider and note its id there. On failure it is settled with the reason."""
    try:
        persona = await personas.find(store, user, row["persona_id"])
        if row["model"] == "portrait":
            given = PortraitInput.model_validate(row["input"])
            job = await replicate.start(replicate.portrait_model, {"prompt": given.prompt or _prompt(persona)})
        else:
            inputs = await _speech_inputs(
                store, replicate, settings, persona, LipsyncInput.model_validate(row["input"])
            )
            job = await replicate.start(replicate.lipsync_model, inputs)
        await store.call("attach_provider", {"p_id": row["id"], "p_provider_id": job.id})
    except ForgeError as error:
        await prediction.fail(store, row["id"], error.detail, error.code)
        raise
    except BaseException:
        await asyncio.shield(prediction.fail(store, row["id"], "It could not be started.", "error"))
        raise
    return {**row, "provider_id": job.id, "status": "processing", "started_at": row["created_at"]}


def _prompt(persona: Row) -> str:
    look = persona["appearance"].strip() or persona["description"].strip()[:300]
    return f"Portrait of {persona['name']}: {look}. One person, from the front, mouth closed, head and shoulders."


async def _speech_inputs(
    store: Store, replicate: Replicate, settings: Settings, persona: Row, given: LipsyncInput
) -> dict[str, Any]:
    voice = Voice(settings)
    try:
        parts = [speech.samples async for speech in voice.speak(given.say, persona["voice_id"], "", [])]
    finally:
        await voice.close()
    picture = await store.get(personas.need_portrait(persona))
    image, audio = await asyncio.gather(
        replicate.upload(picture, "portrait.png"), replicate.upload(_wav(np.concatenate(parts)), "voice.wav")
    )
    return {"image": image, "audio": audio}


def _wav(samples: np.ndarray[Any, np.dtype[np.int16]]) -> bytes:
    import wave

    out = BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


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
        row = await prediction.read(store, user, identity.row, as_it_is=True)
        if row["status"] in prediction.FINISHED:
            return row
        raise
    if job.status not in prediction.FINISHED and not identity.overdue:
        return job.status
    row = await prediction.read(store, user, identity.row, as_it_is=True)
    if row["status"] in prediction.FINISHED:
        return row
    await finish(store, replicate, identity, job)
    return await prediction.read(store, user, identity.row)


async def finish(store: Store, replicate: Replicate, identity: PredictionId, job: Job) -> None:
    """Settle a prediction by what became of its job; one that still runs there is cancelled as overdue."""
    row = str(identity.row)
    if job.status == "succeeded":
        await _keep(store, replicate, identity, job)
    elif job.status == "failed":
        await prediction.fail(store, row, f"replicate: {job.error or 'no reason given'}", "provider_failed")
    elif job.status == "canceled":
        await prediction.settle(store, row, "canceled", {"receipt": {"provider_ids": {"replicate": job.id}}})
    else:
        await cancel(replicate, identity)
        await prediction.fail(store, row, "It was not finished before its deadline.", "deadline")


async def cancel(replicate: Replicate, identity: PredictionId) -> None:
    """Ask the provider to stop; that it does not answer is no reason to keep the job open here."""
    try:
        await replicate.cancel(identity.provider_id)
    except ForgeError as error:
        log.warning("prediction %s could not be cancelled at the provider: %s", identity.row, error.detail)


async def _keep(store: Store, replicate: Replicate, identity: PredictionId, job: Job) -> None:
    """Copy the output into our storage, then settle; what cannot be used settles as failed with the reason."""
    row = str(identity.row)
    path = f"{identity.owner}/{uuid4().hex}.{'png' if identity.model == 'portrait' else 'mp4'}"
    effects: Row = {}
    try:
        if not job.output:
            raise ForgeError("replicate: The model succeeded without an output.")
        data = await replicate.fetch(job.output)
        if identity.model == "portrait":
            portrait = await personas.read_portrait(data)
            data, effects = portrait.png, {"portrait": {"path": path, "face": portrait.face}}
        await store.put(path, data, "image/png" if identity.model == "portrait" else "video/mp4")
    except ForgeError as error:
        if not error.retryable:
            await prediction.fail(store, row, error.detail, error.code)
        raise
    receipt: Row = {"engine": "replicate", "bytes": len(data), "provider_ids": {"replicate": job.id}}
    if identity.model == "lipsync":
        receipt["duration_s"] = await asyncio.to_thread(_length, data)
    await prediction.settle(store, row, "succeeded", {"output": path, "receipt": receipt}, effects, (path,))
