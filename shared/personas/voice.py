"""Which voice a persona speaks with."""

from __future__ import annotations

import re

from shared.personas.persona import Persona

# Of ElevenLabs, for personas that have none of their own.
VOICES = {"woman": "21m00Tcm4TlvDq8ikWAM", "man": "JBFqnCBsd6RMkjVDRZzb", "neutral": "SAz9YHcvj6GT2YYXdXww"}
_WOMEN = {"woman", "female", "girl", "lady", "she", "her", "mother", "grandmother", "sister", "queen", "actress"}
_MEN = {"man", "male", "boy", "gentleman", "he", "his", "him", "father", "grandfather", "brother", "king", "actor"}


def voice_of(persona: Persona, default: str = "") -> str:
    """The persona's own voice, else the deployment's default, else one that fits its description."""
    if persona.voice_id or default:
        return persona.voice_id or default
    words = set(re.findall(r"[a-z]+", f"{persona.appearance} {persona.description}".lower()))
    woman, man = bool(words & _WOMEN), bool(words & _MEN)
    return VOICES["neutral" if woman == man else "woman" if woman else "man"]
