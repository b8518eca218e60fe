"""A persona: who speaks, with which face and voice."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from shared.auth import User
from shared.errors import Conflict, NotFound
from shared.prediction import iso
from shared.store import Row, Store
from shared.text import Text

KEPT_SIDE = 1600  # pixels: larger pictures are reduced before they are kept


class PersonaInput(BaseModel):
    """What a person says about a new persona."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: Text = Field(min_length=1, max_length=80)
    description: Text = Field("", max_length=4000, description="Who it is and how it speaks.")
    appearance: Text = Field("", max_length=1000, description="What it looks like; a portrait is made from it.")
    voice_id: str = Field("", pattern="^[A-Za-z0-9]{0,40}$", description="An ElevenLabs voice.")


@dataclass(frozen=True)
class Portrait:
    """A picture ready to be kept: PNG without metadata but the face, and the face itself."""

    png: bytes
    face: dict[str, Any]


async def find(store: Store, user: User, persona: UUID) -> Row:
    """The persona's row. Raises NotFound when it is not the user's."""
    query = store.as_user(user).from_("personas").select("*").eq("id", str(persona)).limit(1)
    rows = await store.rows(query)
    if not rows:
        raise NotFound("There is no such persona of yours.")
    return rows[0]


def shown(row: Row, store: Store) -> dict[str, Any]:
    """The persona as HTTP shows it."""
    hidden = ("owner", "portrait")
    told = {k: v for k, v in row.items() if k not in hidden}
    times = {name: iso(row[name]) for name in ("created_at", "consent_at")}
    return {**told, **times, "portrait": store.address(row["portrait"])}


async def read_portrait(data: bytes) -> Portrait:
    """Check a picture and make it ready to be kept. Raises PictureUnusable with what to send instead."""
    return await asyncio.to_thread(_read_portrait, data)


def _read_portrait(data: bytes) -> Portrait:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from shared.lipsync.face import PNG_KEY
    from shared.lipsync.picture import read_picture

    sent = read_picture(data)
    picture = Image.fromarray(sent.bgr[:, :, ::-1])  # from pixels: no place of taking, no camera, no foreign notes
    picture.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    note, out = PngInfo(), BytesIO()
    note.add_text(PNG_KEY, json.dumps(sent.face.dump()))
    picture.save(out, "PNG", pnginfo=note, compress_level=3)
    return Portrait(out.getvalue(), sent.face.dump())


def portrait_path(owner: str) -> str:
    return f"{owner}/{uuid4().hex}.png"


def prepared_path(portrait: str, size: int) -> str:
    """Where a portrait lies when the GPU's engine has made it ready: beside itself."""
    return f"{portrait}.{size}.musetalk1"


def with_prepared(*files: str) -> tuple[str, ...]:
    """Files to remove, and with each portrait what an engine has made of it."""
    made = [prepared_path(file, size) for file in files if file.endswith(".png") for size in (512, 1024)]
    return (*files, *made)


async def give_portrait(store: Store, user: User, persona: UUID, portrait: Portrait) -> None:
    """Keep an uploaded picture, with the moment of consent, and remove the one before."""
    path = portrait_path(str(user.id))
    await store.put(path, portrait.png, "image/png")
    arguments = {"p_persona": str(persona), "p_owner": str(user.id), "p_path": path, "p_face": portrait.face}
    try:
        before = await store.call("set_portrait", arguments)
    except BaseException:
        await store.remove(path)
        raise
    if before["replaced"]:
        await store.remove(*with_prepared(before["replaced"]))


def need_portrait(row: Row) -> str:
    """The path of the persona's picture. Raises Conflict when there is none yet."""
    if not row["portrait"]:
        raise Conflict(
            f"{row['name']} has no portrait yet. Make one with the model personaforge/portrait, or upload a "
            f"photo with PUT /v1/personas/{row['id']}/portrait."
        )
    return str(row["portrait"])
