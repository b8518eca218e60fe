"""A persona: who speaks, with which face and voice."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.core.auth import User
from shared.core.errors import Conflict, NotFound
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import format_time
from shared.lipsync.engine import Style

# Of ElevenLabs, for personas that have none of their own.
VOICES = {"woman": "21m00Tcm4TlvDq8ikWAM", "man": "JBFqnCBsd6RMkjVDRZzb", "neutral": "SAz9YHcvj6GT2YYXdXww"}
_WOMEN = {"woman", "female", "girl", "lady", "she", "her", "mother", "grandmother", "sister", "queen", "actress"}
_MEN = {"man", "male", "boy", "gentleman", "he", "his", "him", "father", "grandfather", "brother", "king", "actor"}
STYLE_FIELDS = ("liveliness", "gaze")


Share = Annotated[float, AfterValidator(lambda value: round(value, 3))]


class PersonaInput(BaseModel):
    """What a person says about a new persona."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: Text = Field(min_length=1, max_length=80)
    description: Text = Field("", max_length=4000, description="Who it is and how it speaks.")
    appearance: Text = Field("", max_length=1000, description="What it looks like; a portrait is made from it.")
    voice_id: str = Field("", pattern="^[A-Za-z0-9]{0,40}$", description="An ElevenLabs voice.")
    liveliness: Share = Field(0.5, ge=0, le=1, description="How much head, brows and shoulders move.")
    gaze: Literal["viewer", "natural", "wandering"] = Field("natural", description="How often it looks away.")


Point = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]


class FacePoints(BaseModel):
    """Points of the face to put right, each (x, y) as shares of the portrait's width and height."""

    model_config = ConfigDict(extra="forbid")
    left_eye: Point | None = None
    right_eye: Point | None = None
    mouth_left: Point | None = None
    mouth_right: Point | None = None
    lip_top: Point | None = None
    lip_bottom: Point | None = None


class PersonaChange(BaseModel):
    """What is to change of a persona; what is left out stays."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: Text | None = Field(None, min_length=1, max_length=80)
    description: Text | None = Field(None, max_length=4000)
    appearance: Text | None = Field(None, max_length=1000)
    voice_id: str | None = Field(None, pattern="^[A-Za-z0-9]{0,40}$")
    liveliness: Share | None = Field(None, ge=0, le=1)
    gaze: Literal["viewer", "natural", "wandering"] | None = None
    face: FacePoints | None = None


@dataclass(frozen=True)
class Portrait:
    """A picture ready to be kept: PNG without metadata, and the face in it."""

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
    from shared.lipsync.face import WARNINGS, Face

    hidden = ("owner", "portrait", "face")
    told = {k: v for k, v in row.items() if k not in hidden}
    times = {name: format_time(row[name]) for name in ("created_at", "consent_at")}
    face = Face.load(row["face"]) if row["face"] else None
    warnings = [
        {"code": code, "detail": WARNINGS[code]} for code in (face.warnings if face else ()) if code in WARNINGS
    ]
    return {
        **told,
        **times,
        "portrait": store.address(row["portrait"]),
        "face": face.key_points if face else None,
        "warnings": warnings,
    }


def style(row: Row) -> Style:
    """How the persona holds itself."""
    return Style(**{name: row[name] for name in STYLE_FIELDS})


def voice_of(row: Row, usual: str = "") -> str:
    """The persona's own voice, else the one that is usual in this deployment, else one that fits its description."""
    if row["voice_id"] or usual:
        return str(row["voice_id"] or usual)
    words = set(re.findall(r"[a-z]+", f"{row['appearance']} {row['description']}".lower()))
    woman, man = bool(words & _WOMEN), bool(words & _MEN)
    return VOICES["neutral" if woman == man else "woman" if woman else "man"]


async def read_portrait(data: bytes, *, generated: bool = False) -> Portrait:
    """Check a picture and make it ready to be kept. Raises PictureUnusable with what to send instead.

    generated: by a portrait model, whose note of where the face is can be believed.
    """
    return await asyncio.to_thread(_read_portrait, data, generated)


def _read_portrait(data: bytes, generated: bool) -> Portrait:
    from PIL import Image

    from shared.lipsync.picture import read_picture

    sent = read_picture(data, generated=generated)
    out = BytesIO()  # from pixels: no place of taking, no camera, no foreign notes
    Image.fromarray(sent.bgr[:, :, ::-1]).save(out, "PNG", compress_level=3)
    return Portrait(out.getvalue(), sent.face.dump())


def portrait_path(owner: str) -> str:
    return f"{owner}/{uuid4().hex}.png"


def prepared_path(portrait: str, size: int) -> str:
    """Where a portrait lies when the GPU's engine has made it ready: beside itself."""
    return f"{portrait}.{size}.musetalk2"


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


async def change(store: Store, user: User, persona: UUID, changes: PersonaChange) -> Row:
    """Change a persona and give its row. Raises NotFound, Conflict without a portrait, InvalidInput for bad points."""
    row = await find(store, user, persona)
    fields = changes.model_dump(exclude_none=True, exclude={"face"})
    if fields:
        arguments = {"p_persona": str(persona), "p_changes": fields}
        await store.call("change_persona", arguments, user)
    if changes.face is not None:
        await _correct_face(store, user, row, changes.face)
    return await find(store, user, persona)


async def _correct_face(store: Store, user: User, row: Row, points: FacePoints) -> None:
    from shared.lipsync.face import Face
    from shared.media.image import decode

    path = need_portrait(row)
    height, width = (await asyncio.to_thread(decode, await store.get(path))).shape[:2]
    face = Face.load(row["face"]).corrected(points.model_dump(exclude_none=True), width / height)
    arguments = {"p_persona": row["id"], "p_owner": str(user.id), "p_path": path, "p_face": face.dump()}
    if not await store.call("correct_face", arguments):
        raise Conflict("The portrait has been replaced in the meantime. Look at the new one and correct that.")
    await store.remove(*with_prepared(path)[1:])  # made from the points before


def need_portrait(row: Row) -> str:
    """The path of the persona's picture. Raises Conflict when there is none yet."""
    if not row["portrait"]:
        raise Conflict(
            f"{row['name']} has no portrait yet. Make one with the model personaforge/portrait, or upload a "
            f"photo with PUT /v1/personas/{row['id']}/portrait."
        )
    return str(row["portrait"])
