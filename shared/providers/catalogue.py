"""The models of providers that settings may name: what each takes, gives, costs, and how long it takes. Data alone.

Collected in November 2026. Prices of Claude, of omni-human-1.5, of p-video-avatar and of Ovi at fal are list prices.
The others, seconds and licences are second-hand: look at the vendor's page before you rely on them. A deployment adds
what is missing here in FORGE_HOSTED_MODELS: a JSON list of entries with the same fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from shared.core.errors import SettingInvalid
from shared.core.settings import Settings

Kind = Literal["portrait", "lipsync", "clip", "idle"]
TAKES: dict[Kind, tuple[str, ...]] = {  # what our models hand over, by kind; a clip's picture may be missing
    "portrait": ("prompt",),
    "lipsync": ("picture", "sound"),
    "clip": ("prompt",),
    "idle": ("prompt", "picture", "last"),
}


# That eleven_flash_v2_5 speaks, by ISO 639-1.
LANGUAGES = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "fi", "fr", "hi", "hr", "hu", "id", "it", "ja", "ko", "ms", "nl",
    "no", "pl", "pt", "ro", "ru", "sk", "sv", "ta", "tr", "uk", "vi", "zh",
)  # fmt: skip


def _within(value: Any, allowed: tuple[Any, ...]) -> bool:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and len(allowed) == 2:
        return bool(allowed[0] <= value <= allowed[1])
    return value in allowed


class HostedModel(BaseModel):
    """A model that a provider runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)+$", description="As the provider calls it, such as owner/name.")
    provider: Literal["replicate", "fal"] = "replicate"
    kind: Kind
    version: str = Field("", description="Models of Replicate's community are called by it.")
    inputs: dict[str, str] = Field(description="Its names for `prompt`, `picture`, `sound` and `last`, the last frame.")
    options: dict[str, Any] = Field({}, description="Sent with every call.")
    ranges: dict[str, tuple[Any, ...]] = Field({}, description="Of options: the words, or the lowest and highest.")
    output: Literal["file", "files"] = Field("file", description="files: a list, of which the first is taken.")
    seconds: float = Field(60, description="That it takes, as a rule.")
    price: float = Field(ge=0, description="US dollars a unit.")
    unit: Literal["run", "second"] = Field("run", description="second: of video.")
    longest: int | None = Field(None, description="Seconds of sound that it takes at most.")
    from_picture: str = Field("", description="Of a clip: its variant that begins with a picture; itself if it must.")
    speech: str = Field("", description="Of a clip: how it is told what is said, as `<S>{}<E>`.")
    sound_tag: str = Field("", description="Of a clip: how it is told what else is heard.")
    licence: str = ""

    @model_validator(mode="after")
    def _complete(self) -> HostedModel:
        if missing := [one for one in TAKES[self.kind] if one not in self.inputs]:
            raise ValueError(f"inputs does not say what it calls {' and '.join(missing)}")
        for name, allowed in self.ranges.items():
            if name in self.options and not _within(self.options[name], allowed):
                raise ValueError(f"options.{name} is {self.options[name]!r}; it may be {allowed}")
        return self

    @property
    def call(self) -> str:
        """What the provider is asked to run: the name, with the version where it has one."""
        return f"{self.name}:{self.version}" if self.version else self.name

    def given(self, **ours: object) -> dict[str, Any]:
        """The inputs of a call, under its own names."""
        return {**self.options, **{self.inputs[name]: value for name, value in ours.items()}}

    def cost(self, seconds: float) -> float:
        """Dollars for one run that makes so many seconds of video."""
        return self.price * (seconds if self.unit == "second" else 1)


_OVI = {"speech": "<S>{}<E>", "sound_tag": "<AUDCAP>{}<ENDAUDCAP>"}  # Ovi 1.0; 1.1 takes "Audio: …" as its last part
_SADTALKER: dict[str, Any] = {
    "kind": "lipsync",
    "inputs": {"picture": "source_image", "sound": "driven_audio"},
    "options": {"preprocess": "full", "still": True, "enhancer": "gfpgan"},
    "ranges": {"preprocess": ("crop", "resize", "full", "extcrop", "extfull"), "enhancer": ("gfpgan", "RestoreFormer")},
    "seconds": 120, "price": 0.10, "longest": 60, "licence": "Apache-2.0; its face models forbid commercial use",
}  # fmt: skip
_SEEDANCE = {"prompt": "prompt", "picture": "image", "last": "last_frame_image"}
# Unasked it makes sound, and a wide picture.
_SEEDANCE_OPTIONS = {"duration": 5, "resolution": "720p", "aspect_ratio": "1:1", "generate_audio": False}

HOSTED = (
    HostedModel(
        name="black-forest-labs/flux-1.1-pro", kind="portrait", inputs={"prompt": "prompt"},
        options={"aspect_ratio": "1:1", "output_format": "png"},
        ranges={"aspect_ratio": ("1:1", "3:4", "4:5"), "output_format": ("webp", "jpg", "png")},
        seconds=8, price=0.04, licence="commercial use of the pictures",
    ),
    HostedModel(
        name="black-forest-labs/flux-2-pro", kind="portrait", inputs={"prompt": "prompt"},
        options={"aspect_ratio": "1:1", "output_format": "png", "resolution": "1 MP"},
        ranges={"output_format": ("webp", "jpg", "png")}, seconds=15, price=0.05,
        licence="commercial use of the pictures",
    ),
    HostedModel(
        name="black-forest-labs/flux-2-klein-4b", kind="portrait", inputs={"prompt": "prompt"},
        options={"aspect_ratio": "1:1", "output_format": "png"}, output="files", seconds=3, price=0.002,
        licence="Apache-2.0",
    ),
    HostedModel(
        name="bytedance/omni-human-1.5", kind="lipsync", inputs={"picture": "image", "sound": "audio"}, seconds=180,
        price=0.16, unit="second", longest=35, licence="commercial use of the videos",
    ),
    HostedModel(
        name="bytedance/omni-human", kind="lipsync", inputs={"picture": "image", "sound": "audio"}, seconds=180,
        price=0.14, unit="second", longest=15, licence="commercial use of the videos",
    ),
    HostedModel(
        name="prunaai/p-video-avatar", kind="lipsync", inputs={"picture": "image", "sound": "audio"},
        options={"resolution": "720p"}, ranges={"resolution": ("720p", "1080p")}, seconds=60, price=0.025,
        unit="second", licence="commercial use of the videos",
    ),
    HostedModel(
        name="cjwbw/sadtalker", version="3aa3dac9353cc4d6bd62a8f95957bd844003b401ca4e4a9b33baa574c549d376",
        **_SADTALKER,
    ),
    HostedModel(
        name="fal-ai/ovi", provider="fal", kind="clip", inputs={"prompt": "prompt", "picture": "image_url"},
        from_picture="fal-ai/ovi/image-to-video", seconds=60, price=0.20, licence="Apache-2.0", **_OVI,
    ),
    HostedModel(
        name="character-ai/ovi-i2v", kind="clip", inputs={"prompt": "prompt", "picture": "image"},
        from_picture="character-ai/ovi-i2v", seconds=90, price=0.30, licence="Apache-2.0", **_OVI,
    ),
    HostedModel(
        name="wan-video/wan-2.7-i2v", kind="idle",
        inputs={"prompt": "prompt", "picture": "first_frame", "last": "last_frame"},
        options={"duration": 5, "resolution": "720p"}, ranges={"duration": (2, 15), "resolution": ("720p", "1080p")},
        seconds=600, price=0.10, unit="second", licence="commercial use of the videos",
    ),
    HostedModel(
        name="bytedance/seedance-2.0-fast", kind="idle", inputs=_SEEDANCE, options=_SEEDANCE_OPTIONS,
        ranges={"duration": (-1, 15)}, seconds=120, price=0.25, unit="second", licence="commercial use of the videos",
    ),
    HostedModel(
        name="bytedance/seedance-2.0", kind="idle", inputs=_SEEDANCE, options=_SEEDANCE_OPTIONS,
        ranges={"duration": (-1, 15)}, seconds=180, price=0.30, unit="second", licence="commercial use of the videos",
    ),
)  # fmt: skip


class Claude(BaseModel):
    """A language model of Anthropic. Prices in US dollars per million tokens."""

    model_config = ConfigDict(frozen=True)
    name: str
    price_in: float
    price_out: float
    thinking: dict[str, str] | None = Field(None, description="What has it answer at once, if it would think unasked.")
    effort: str | None = Field(None, description="Least effort, of a model that always thinks.")
    cached_from: int = Field(description="Tokens from which a beginning is cached; a shorter one is not, in silence.")
    ends: date | None = Field(None, description="From which on Anthropic refuses it.")

    def ended(self, today: date | None = None) -> bool:
        return self.ends is not None and (today or datetime.now(UTC).date()) >= self.ends


CLAUDE = (
    Claude(name="claude-haiku-5-5", price_in=0.10, price_out=0.50, thinking={"type": "disabled"}, cached_from=4096),
    Claude(name="claude-sonnet-5-5", price_in=2, price_out=10, thinking={"type": "between_tools"}, cached_from=512),
    Claude(name="claude-opus-5-5", price_in=4, price_out=20, effort="low", cached_from=512),
    Claude(name="claude-fable-5-1", price_in=10, price_out=50, effort="low", cached_from=512),
    Claude(name="claude-opus-5", price_in=5, price_out=25, thinking={"type": "disabled"}, cached_from=512),
    Claude(name="claude-sonnet-5", price_in=3, price_out=15, thinking={"type": "disabled"}, cached_from=1024),
    Claude(name="claude-haiku-4-5", price_in=1, price_out=5, cached_from=4096),
    Claude(name="claude-sonnet-4-5", price_in=3, price_out=15, cached_from=1024, ends=date(2026, 11, 30)),
)

SPEECH = {"eleven_flash_v2_5": 20e-6, "eleven_multilingual_v2": 80e-6, "eleven_v4": 80e-6}  # dollars a character
TRANSCRIPTION = 0.40 / 3600  # dollars a second of sound, of scribe_v2


def hosted(settings: Settings, kind: Kind) -> HostedModel:
    """The model of a kind that the settings choose.

    Raises SettingInvalid for one that neither the catalogue nor FORGE_HOSTED_MODELS describes.
    """
    setting = _SETTINGS[kind]
    wanted = getattr(settings, setting)
    known = {one.name: one for one in (*HOSTED, *_added(settings))}
    name, _, version = wanted.partition(":")
    found = known.get(name)
    if found is None or found.kind != kind:
        names = ", ".join(one.name for one in known.values() if one.kind == kind)
        raise SettingInvalid(
            f"{setting.upper()} is {wanted!r}. It may be one of {names}; describe any other in FORGE_HOSTED_MODELS."
        )
    if found.provider != "replicate" and kind != "clip":
        raise SettingInvalid(f"{setting.upper()} is {wanted!r}, at {found.provider}, where only clips are made.")
    return found.model_copy(update={"version": version}) if version else found


def claude(settings: Settings, today: date | None = None) -> Claude:
    """The language model that the settings choose.

    Raises SettingInvalid for one that is not in the catalogue, or that has ended.
    """
    known = {one.name: one for one in CLAUDE if not one.ended(today)}
    wanted = settings.anthropic_model
    if wanted in known:
        return known[wanted]
    over = next((one for one in CLAUDE if one.name == wanted), None)
    why = f" has ended on {over.ends:%Y-%m-%d}" if over and over.ends else " is not in the catalogue"
    raise SettingInvalid(f"ANTHROPIC_MODEL: {wanted}{why}. It may be {', '.join(known)}.")


def check(settings: Settings) -> None:
    """Raises SettingInvalid for the first setting that names a model which cannot be used."""
    claude(settings)
    for kind in TAKES:
        if kind != "idle" or settings.forge_idle_model:
            hosted(settings, kind)
    if settings.elevenlabs_model not in SPEECH:
        raise SettingInvalid(f"ELEVENLABS_MODEL is {settings.elevenlabs_model!r}; it may be {', '.join(SPEECH)}.")


def _added(settings: Settings) -> list[HostedModel]:
    if not settings.forge_hosted_models:
        return []
    try:
        return _ADDED.validate_python(json.loads(settings.forge_hosted_models))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SettingInvalid(f"FORGE_HOSTED_MODELS: {where or 'the list'}: {first['msg']}.") from error
    except ValueError as error:
        raise SettingInvalid("FORGE_HOSTED_MODELS is no JSON.") from error


_ADDED = TypeAdapter(list[HostedModel])
_SETTINGS: Mapping[Kind, str] = {
    "portrait": "replicate_portrait_model",
    "lipsync": "replicate_lipsync_model",
    "clip": "forge_clip_model",
    "idle": "forge_idle_model",
}
