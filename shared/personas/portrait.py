"""A persona's picture: checked, kept without metadata, replaced, its face corrected."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from shared.core.auth import User
from shared.core.bounded import BoundedProcesses
from shared.core.errors import Conflict, PictureUnusable
from shared.core.store import Store
from shared.personas.persona import FacePoints, Persona, PersonaChange, find, give_voice

if TYPE_CHECKING:
    from shared.lipsync.picture import Picture

log = logging.getLogger("personaforge.portrait")


@dataclass(frozen=True)
class Portrait:
    """A picture ready to be kept: PNG without metadata, and the face in it."""

    png: bytes
    face: dict[str, Any]


async def read_portrait(processes: BoundedProcesses, data: bytes, *, generated: bool = False) -> Portrait:
    """Check a picture and make it ready to be kept. Raises PictureUnusable with what to send instead.

    generated: by a portrait model, whose note of where the face is can be believed.
    """
    try:
        return await processes.run(_read_portrait, data, generated)
    except (TimeoutError, MemoryError) as error:
        raise PictureUnusable("Decoding this picture takes too long or too much memory. Save it anew.") from error


def _read_portrait(data: bytes, generated: bool) -> Portrait:
    from PIL import Image

    from shared.lipsync.picture import read_picture

    picture = read_picture(data, generated=generated)
    _try_engine(picture)
    out = BytesIO()  # from pixels: no place of taking, no camera, no foreign notes
    Image.fromarray(picture.bgr[:, :, ::-1]).save(out, "PNG", compress_level=3)
    return Portrait(out.getvalue(), picture.face.dump())


def _try_engine(picture: Picture) -> None:
    """Find out now whether our own engine can move this face, not in a talk, where a dearer one would take its place.

    Raises PictureUnusable.
    """
    import numpy as np

    from shared.lipsync.cpu.engine import CpuEngine
    from shared.media.types import RATE, Speech

    try:
        session = CpuEngine().prepare(picture, 512).session()
        for _ in (*session.render(Speech(np.full(RATE // 5, 5000, np.int16))), *session.finish()):
            pass
    except Exception as error:
        log.warning("a portrait cannot be moved by our engine", exc_info=error)
        raise PictureUnusable("Our engine cannot move the face in this picture. Send another one.") from error


def prepared_path(portrait: str, size: int) -> str:
    """Where a portrait lies when the GPU's engine has prepared it for videos of this size: beside itself."""
    return f"{portrait}.{size}.musetalk2"


async def set_portrait(store: Store, user: User, persona: UUID, portrait: Portrait) -> None:
    """Keep an uploaded picture, with the time of consent, and remove what the former one was kept for."""
    path = f"{user.id}/{uuid4().hex}.png"
    await store.put(path, portrait.png, "image/png", owner=user.id)
    arguments = {"p_persona": str(persona), "p_owner": str(user.id), "p_path": path, "p_face": portrait.face}
    try:
        released = await store.call("set_portrait", arguments)
    except BaseException:
        await store.remove(path)
        raise
    if released:
        await store.discard(*released)


async def change(store: Store, user: User, persona: UUID, changes: PersonaChange, voice_agreed: str | None) -> Persona:
    """Change a persona. Raises NotFound, Conflict without a portrait, InvalidInput for impossible points.

    voice_agreed: when the person whose voice was cloned agreed.
    """
    former = await find(store, persona, user)
    fields = changes.model_dump(exclude_none=True, exclude={"face", "voice_consent", "voice_id"})
    if fields:
        await store.call("change_persona", {"p_persona": str(persona), "p_changes": fields}, user)
    if changes.voice_id is not None and changes.voice_id != former.voice_id:
        await give_voice(store, former, changes.voice_id, voice_agreed)
    if changes.face is not None:
        await _correct_face(store, former, changes.face)
    return await find(store, persona, user)


async def _correct_face(store: Store, persona: Persona, points: FacePoints) -> None:
    from shared.lipsync.face import Face
    from shared.lipsync.picture import Picture
    from shared.media.image import decode

    path = persona.required_portrait
    pixels = await asyncio.to_thread(decode, await store.get(path))
    height, width = pixels.shape[:2]
    face = Face.load(persona.face).corrected(points.model_dump(exclude_none=True), width / height)
    await asyncio.to_thread(_try_engine, Picture(pixels, face))
    arguments = {"p_persona": str(persona.id), "p_owner": str(persona.owner), "p_path": path, "p_face": face.dump()}
    released = await store.call("correct_face", arguments)
    if released is None:
        raise Conflict("The portrait has been replaced in the meantime. Look at the new one and correct that.")
    if released:
        await store.discard(*released)
