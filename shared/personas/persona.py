"""A persona: who speaks, with which face and voice."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shared.core.auth import User
from shared.core.errors import Conflict, NotFound, PictureUnusable
from shared.core.store import Row, Store
from shared.core.text import Text
from shared.core.time import Time
from shared.lipsync.engine import Style

if TYPE_CHECKING:
    from shared.lipsync.face import Face

log = logging.getLogger("personaforge.persona")
Gaze = Literal["viewer", "natural", "wandering"]
Share = Annotated[float, AfterValidator(lambda value: round(value, 3))]
Point = tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]
VOICE_ID = "^[A-Za-z0-9]{0,40}$"


def _known_language(code: str) -> str:
    from shared.providers.catalogue import LANGUAGES

    if code and code not in LANGUAGES:
        raise ValueError(f"a language is one of {', '.join(LANGUAGES)}")
    return code


Language = Annotated[str, AfterValidator(_known_language)]


class Persona(BaseModel):
    """One row of the table, frozen.

    portrait, idle, thinking and poster: paths in our storage. face: as Face.dump writes it. look_since: when it last
    changed what the loops are made from.
    """

    model_config = ConfigDict(frozen=True)
    id: UUID
    owner: UUID
    name: str
    description: str = ""
    appearance: str = ""
    language: str = ""
    voice_id: str = ""
    voice_speed: float = 1.0
    voice_stability: float = 0.5
    voice_consent_at: Time | None = None
    liveliness: float = 0.5
    gaze: Gaze = "natural"
    portrait: str | None = None
    face: dict[str, Any] | None = None
    consent_at: Time | None = None
    idle: str | None = None
    thinking: str | None = None
    poster: str | None = None
    hue: int | None = None
    look_since: Time
    created_at: Time

    @classmethod
    def from_row(cls, row: Row) -> Persona:
        return cls.model_validate(row)

    @property
    def style(self) -> Style:
        """How it holds itself."""
        return Style(self.liveliness, self.gaze)

    @property
    def readable_face(self) -> Face | None:
        """Where its face is; None while it has no portrait, or when that cannot be read, which is logged."""
        from shared.lipsync.face import Face

        try:
            return Face.load(self.face) if self.face else None
        except PictureUnusable:
            log.exception("the face of persona %s cannot be read", self.id)
            return None

    @property
    def required_portrait(self) -> str:
        """The path of its picture. Raises Conflict when there is none yet."""
        if not self.portrait:
            raise Conflict(
                f"{self.name} has no portrait yet. Make one with the model personaforge/portrait, or upload a "
                f"photo with PUT /v1/personas/{self.id}/portrait."
            )
        return self.portrait


class PersonaInput(BaseModel):
    """A new persona."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: Text = Field(min_length=1, max_length=80)
    description: Text = Field("", max_length=4000, description="Who it is and how it speaks.")
    appearance: Text = Field("", max_length=1000, description="What it looks like; a portrait is made from it.")
    language: Language = Field("", description="That it speaks (ISO 639-1), such as de; empty: its listener's.")
    voice_id: str = Field("", pattern=VOICE_ID, description="An ElevenLabs voice.")
    voice_speed: Share = Field(1.0, ge=0.7, le=1.2, description="Times its own speed.")
    voice_stability: Share = Field(0.5, ge=0, le=1, description="From moved (0) to even (1).")
    voice_consent: bool = Field(False, description="The person whose voice was cloned agrees; the time is kept.")
    liveliness: Share = Field(0.5, ge=0, le=1, description="How much head, brows and shoulders move.")
    gaze: Gaze = Field("natural", description="How often it looks away.")


class FacePoints(BaseModel):
    """Points of the face to correct, each (x, y) as shares of the portrait's width and height."""

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
    language: Language | None = None
    voice_id: str | None = Field(None, pattern=VOICE_ID)
    voice_speed: Share | None = Field(None, ge=0.7, le=1.2)
    voice_stability: Share | None = Field(None, ge=0, le=1)
    voice_consent: bool = False
    liveliness: Share | None = Field(None, ge=0, le=1)
    gaze: Gaze | None = None
    face: FacePoints | None = None


class PortraitWarning(BaseModel):
    """What will look worse in its videos."""

    code: str
    detail: str


class PersonaResponse(BaseModel):
    """A persona over HTTP. Its loops are there a few seconds after it got its portrait or was changed."""

    id: UUID
    name: str
    description: str
    appearance: str
    language: str
    voice_id: str
    voice_speed: float
    voice_stability: float
    voice_consent_at: Time | None
    liveliness: float
    gaze: Gaze
    portrait: str | None = Field(description="Address of the picture.")
    face: dict[str, tuple[float, float]] | None = Field(
        description="Where eyes and mouth are, as shares of the picture."
    )
    warnings: list[PortraitWarning]
    idle: str | None = Field(description="Address of a seamless loop (MP4 without sound) of it listening.")
    thinking: str | None = Field(description="The same of it thinking.")
    poster: str | None = Field(description="Address of the first frame of `idle` (JPEG); every video begins with it.")
    hue: int | None = Field(description="Of the poster's edge, in degrees of OKLCH: the colour of its room.")
    consent_at: Time | None
    created_at: Time


class PersonaPage(BaseModel):
    """Personas, newest first."""

    next: str | None = Field(description="Address of the next page.")
    previous: str | None
    results: list[PersonaResponse]


async def all_to_api(personas: Sequence[Persona], store: Store) -> list[PersonaResponse]:
    """Personas as HTTP shows them."""
    files = await store.addresses(
        path for one in personas for path in (one.portrait, one.idle, one.thinking, one.poster)
    )
    return [_to_api(one, files) for one in personas]


async def to_api(persona: Persona, store: Store) -> PersonaResponse:
    """A persona as HTTP shows it."""
    return (await all_to_api([persona], store))[0]


def _to_api(persona: Persona, files: Mapping[str | None, str]) -> PersonaResponse:
    from shared.lipsync.face import WARNINGS

    face = persona.readable_face  # without one its owner must still see the persona, to give it another picture
    codes = [code for code in (face.warnings if face else ()) if code in WARNINGS]
    fields = persona.model_dump(exclude={"owner", "portrait", "face", "idle", "thinking", "poster", "look_since"})
    return PersonaResponse(
        **fields,
        portrait=files.get(persona.portrait),
        idle=files.get(persona.idle),
        thinking=files.get(persona.thinking),
        poster=files.get(persona.poster),
        face=face.key_points if face else None,
        warnings=[PortraitWarning(code=code, detail=WARNINGS[code]) for code in codes],
    )


async def find(store: Store, persona: UUID, user: User) -> Persona:
    """The user's persona. Raises NotFound when it is not theirs."""
    return await _first(store, store.as_user(user).from_("personas").select("*").eq("id", str(persona)))


async def find_of(store: Store, persona: UUID, owner: UUID) -> Persona:
    """The same where no user is present: for workers. Raises NotFound."""
    query = store.as_service().from_("personas").select("*").eq("id", str(persona)).eq("owner", str(owner))
    return await _first(store, query)


async def look_up(store: Store, persona: UUID | None, owner: UUID) -> Persona | None:
    """The same; None where there is none, or none any more."""
    try:
        return await find_of(store, persona, owner) if persona else None
    except NotFound:
        return None


async def _first(store: Store, query: Any) -> Persona:
    rows = await store.rows(query.limit(1))
    if not rows:
        raise NotFound("There is no such persona of yours.")
    return Persona.from_row(rows[0])


async def create(store: Store, user: User, request: PersonaInput, voice_agreed: str | None) -> Persona:
    """voice_agreed: when the person whose voice was cloned agreed."""
    row = {**request.model_dump(exclude={"voice_consent", "voice_id"}), "owner": str(user.id)}
    made = Persona.from_row((await store.rows(store.as_user(user).from_("personas").insert(row)))[0])
    return await give_voice(store, made, request.voice_id, voice_agreed) if request.voice_id else made


async def give_voice(store: Store, persona: Persona, voice_id: str, agreed: str | None) -> Persona:
    """The voice and the consent that belongs to it, together: whose it is, only the backend knows."""
    voice = {"voice_id": voice_id, "voice_consent_at": agreed}
    rows = await store.rows(store.as_service().from_("personas").update(voice).eq("id", str(persona.id)))
    if not rows:
        raise NotFound("There is no such persona of yours.")
    return Persona.from_row(rows[0])
