"""What a deployment sets, read from environment variables once per container, never at import."""

from __future__ import annotations

import os
from collections.abc import Mapping

from shared.core.errors import SettingMissing


class _Setting:
    """A variable read when it is used: a function needs only its own, and a missing one is named."""

    def __init__(self, default: str | None = None) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.upper()

    def __get__(self, settings: Settings, owner: type) -> str:
        value = settings.values.get(self._name) or self._default
        if value is None:
            raise SettingMissing(f"The environment variable {self._name} is not set. See README, Settings.")
        return value


class Settings:
    """Immutable. Variables are named like the attributes, in capitals."""

    forge_url = _Setting("http://127.0.0.1:8000")  # the one origin under which all functions are reached
    forge_signing_key = _Setting()  # signs prediction ids; any long random string

    forge_engine = _Setting("cpu")  # or musetalk: on the GPU of functions/lipsync.py, with cpu as the next step
    forge_decoder = _Setting("vae")  # of musetalk; or taesd: about a quarter of the arithmetic of a frame
    forge_loopback_urls = _Setting("")  # "yes" where all of it runs on one machine: users may name http://127.0.0.1

    supabase_url = _Setting()
    supabase_publishable_key = _Setting()
    supabase_secret_key = _Setting()
    supabase_jwt_secret = _Setting("")  # only for projects that still sign tokens with HS256

    anthropic_api_key = _Setting()
    anthropic_base_url = _Setting("https://api.anthropic.com")
    anthropic_model = _Setting("claude-haiku-5-5")

    elevenlabs_api_key = _Setting()
    elevenlabs_base_url = _Setting("https://api.elevenlabs.io")
    elevenlabs_model = _Setting("eleven_flash_v2_5")
    elevenlabs_voice = _Setting("")  # for personas without a voice of their own; else one that fits their description

    replicate_api_token = _Setting()
    replicate_base_url = _Setting("https://api.replicate.com")
    replicate_webhook_secret = _Setting("")  # else asked of Replicate
    replicate_portrait_model = _Setting("black-forest-labs/flux-1.1-pro")
    replicate_lipsync_model = _Setting("bytedance/omni-human-1.5")

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values: Mapping[str, str] = dict(values)

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(os.environ)
