"""Which voice a persona speaks with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from shared.personas.persona import Persona

if TYPE_CHECKING:
    from shared.providers.elevenlabs import Voice, VoiceSettings

# Of ElevenLabs, for personas that have none of their own.
VOICES = {"woman": "21m00Tcm4TlvDq8ikWAM", "man": "JBFqnCBsd6RMkjVDRZzb", "neutral": "SAz9YHcvj6GT2YYXdXww"}
_WOMEN = {"woman", "female", "girl", "lady", "she", "her", "mother", "grandmother", "sister", "queen", "actress"}
_MEN = {"man", "male", "boy", "gentleman", "he", "his", "him", "father", "grandfather", "brother", "king", "actor"}


class VoiceResponse(BaseModel):
    """A voice that a persona may be given as `voice_id`."""

    id: str
    name: str
    description: str
    language: str | None
    gender: str | None
    preview: str | None = Field(description="Address of a sample.")
    cloned: bool = Field(description="Of a person, who has to agree: send `voice_consent` with it.")


class VoicePage(BaseModel):
    """At most a hundred: search for the others."""

    results: list[VoiceResponse]


def to_api(voices: list[Voice], language: str | None, gender: str | None) -> VoicePage:
    """Those in a language (ISO 639-1) and of a gender, as far as their labels tell."""
    shown = [
        VoiceResponse(
            id=one.id, name=one.name, description=one.description, language=one.labels.get("language"),
            gender=one.labels.get("gender"), preview=one.preview, cloned=one.cloned,
        )
        for one in voices
    ]  # fmt: skip
    return VoicePage(
        results=[
            one for one in shown
            if language in (None, one.language) and gender in (None, one.gender)
        ]
    )  # fmt: skip


def voice_settings(persona: Persona) -> VoiceSettings:
    from shared.providers.elevenlabs import VoiceSettings

    return VoiceSettings(persona.voice_speed, persona.voice_stability, persona.language)


def voice_of(persona: Persona, default: str = "") -> str:
    """The persona's own voice, else the deployment's default, else one that fits its description."""
    if persona.voice_id or default:
        return persona.voice_id or default
    words = set(re.findall(r"[a-z]+", f"{persona.appearance} {persona.description}".lower()))
    woman, man = bool(words & _WOMEN), bool(words & _MEN)
    return VOICES["neutral" if woman == man else "woman" if woman else "man"]
