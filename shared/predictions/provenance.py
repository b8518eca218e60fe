"""Where a video or picture comes from, signed into its file as C2PA has it: AI-generated, by which models, for whom."""

from __future__ import annotations

import json
import logging
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any

from shared.core.errors import ForgeError
from shared.core.settings import Settings
from shared.core.time import format_time

if TYPE_CHECKING:
    import c2pa

    from shared.predictions.prediction import Prediction
    from shared.predictions.receipt import Receipt

log = logging.getLogger("personaforge.provenance")
GENERATION = "org.personaforge.generation"  # our assertion
SIGNABLE = ("video/mp4", "image/png", "image/jpeg")  # of what we keep; C2PA has no way for WebM
# Of IPTC, as C2PA's actions name them: made by models alone, or a real photo that models changed.
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED, COMPOSITE = f"{_SOURCE_TYPES}trainedAlgorithmicMedia", f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"


class NotSigned(ForgeError):
    code, status, title = "not_signed", 500, "The file could not be signed"


def manifest(prediction: Prediction, receipt: Receipt, kind: str) -> dict[str, Any]:
    """Ids and models, no names and no words of people: it travels with every copy. kind: the file's content type."""
    models, consent = receipt.models or [], receipt.consent_at
    photo = consent is not None or bool(prediction.input.get("image"))
    told: dict[str, Any] = {"prediction": str(prediction.id), "model": prediction.model, "models": models}
    if prediction.persona_id:
        told["persona"] = str(prediction.persona_id)
    if consent:
        told["consent"] = {"persona": str(prediction.persona_id), "at": format_time(consent)}
    return describe(prediction.model, kind, told, models, composite=photo)


def describe(title: str, kind: str, told: dict[str, Any], models: list[str], *, composite: bool) -> dict[str, Any]:
    """The manifest of anything that models made. composite: whether something real is in it, a photo or footage."""
    action = {
        "action": "c2pa.created",
        "digitalSourceType": COMPOSITE if composite else GENERATED,
        "softwareAgent": {"name": ", ".join(models) or "PersonaForge"},
    }
    return {
        "claim_generator_info": [{"name": "PersonaForge"}],
        "title": title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": GENERATION, "data": told},
        ],
    }


def verdict(data: bytes, kind: str) -> str:
    """What C2PA says of a file's manifest: Valid, Trusted or Invalid; or that there is none."""
    import c2pa

    try:
        with c2pa.Reader(kind, BytesIO(data)) as reader:
            return str(json.loads(reader.json()).get("validation_state", "Invalid"))
    except c2pa.C2paError as error:
        return f"none: {type(error).__name__}"


class Signer:
    """Signs with the owner's certificates. Without any, nothing is signed and `on` is False."""

    def __init__(self, settings: Settings) -> None:
        self._chain, self._key = settings.forge_c2pa_chain, settings.forge_c2pa_key

    @property
    def on(self) -> bool:
        return bool(self._chain and self._key)

    @cached_property
    def _context(self) -> c2pa.Context:
        import c2pa

        return c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})

    def sign(self, data: bytes, what: dict[str, Any]) -> bytes:
        """The file with its manifest; blocks for some milliseconds. Raises NotSigned."""
        import c2pa

        out = BytesIO()
        try:
            # No time stamp: its authority would be asked over the network for every file.
            info = c2pa.C2paSignerInfo(b"es256", self._chain.encode(), self._key.encode(), None)
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(what), self._context) as builder:
                builder.sign(signer, what["format"], BytesIO(data), out)
        except Exception as error:  # the library's errors, and those of the certificates
            raise NotSigned(f"C2PA: {type(error).__name__}. Check FORGE_C2PA_CHAIN and FORGE_C2PA_KEY.") from error
        return out.getvalue()
