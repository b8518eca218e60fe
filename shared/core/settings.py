"""What a deployment sets: environment variables, read and checked once when a function starts, never at import."""

from __future__ import annotations

import os
from collections.abc import Mapping

from shared.core.errors import ForgeError, SettingInvalid, SettingMissing


class _Setting:
    """One variable, named like the attribute in capitals. Without a default it must be set where it is needed."""

    def __init__(self, default: str | None = None, choices: tuple[str, ...] = ()) -> None:
        self._default, self._choices = default, choices

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.upper()

    def __get__(self, settings: Settings, owner: type) -> str:
        value = settings.values.get(self._name) or self._default
        if value is None:
            raise SettingMissing(
                f"The environment variable {self._name} is not set. See Settings in docs/operations.md."
            )
        if self._choices and value not in self._choices:
            allowed = " or ".join(repr(choice) for choice in self._choices)
            raise SettingInvalid(f"The environment variable {self._name} is {value!r}; it may be {allowed}.")
        return value.rstrip("/") if self._name.endswith("_URL") else value  # paths are put behind it


class Settings:
    """Immutable. A function names what it needs to `validate`; each missing or wrong variable is named in the error."""

    forge_url = _Setting()  # the one origin under which all functions are reached
    forge_signing_key = _Setting()  # signs prediction ids; any long random string

    forge_engine = _Setting("cpu", ("cpu", "musetalk"))  # musetalk: on the GPU of functions/lipsync.py, cpu next
    forge_gpu = _Setting("L40S,A100-40GB,H100")  # that Modal may choose from, the first that is free; when deploying
    forge_decoder = _Setting("vae", ("vae", "taesd"))  # of musetalk; taesd: about a quarter of a frame's arithmetic
    forge_clip_model = _Setting("fal-ai/ovi")  # or character-ai/ovi-i2v, at Replicate: shared/providers/catalogue.py
    forge_idle_model = _Setting("")  # makes loops of personas listening, for who asks and pays; without: ours alone
    forge_hosted_models = _Setting("")  # JSON: descriptions of models that the catalogue lacks
    forge_origins = _Setting("")  # whose pages may call the API, with commas between; without: every one
    forge_loopback_urls = _Setting("no", ("no", "yes"))  # yes where all runs on one machine: users may name 127.0.0.1

    forge_c2pa_chain = _Setting("")  # certificates that sign what is made, the leaf first (PEM); without: nothing is
    forge_c2pa_key = _Setting("")  # the leaf's key: PKCS#8 in PEM, of P-256

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

    fal_key = _Setting()  # for clips alone
    fal_base_url = _Setting("https://queue.fal.run")
    fal_keys_url = _Setting("https://rest.fal.ai/.well-known/jwks.json")  # with which its webhooks are signed

    stripe_secret_key = _Setting("")  # credits are sold with it: sk_test_… or sk_live_…
    stripe_webhook_secret = _Setting("")  # whsec_… of the endpoint /v1/billing/stripe
    stripe_base_url = _Setting("https://api.stripe.com")
    forge_test_sales = _Setting("no", ("no", "yes"))  # yes: also in Stripe's test mode, where anybody can pay

    youtube_client_id = _Setting("")  # of an OAuth client of one's own at Google, for publishing
    youtube_client_secret = _Setting("")
    youtube_base_url = _Setting("https://www.googleapis.com")
    youtube_analytics_url = _Setting("https://youtubeanalytics.googleapis.com")
    google_consent_url = _Setting("https://accounts.google.com/o/oauth2/v2/auth")
    google_token_url = _Setting("https://oauth2.googleapis.com")

    firefly_client_id = _Setting("")  # of Adobe: grounds for thumbnails; without it they are composed of the film
    firefly_client_secret = _Setting("")
    firefly_base_url = _Setting("https://firefly-api.adobe.io")
    firefly_token_url = _Setting("https://ims-na1.adobelogin.com")

    pexels_api_key = _Setting("")  # stock footage for films; without it the persona tells everything
    pexels_base_url = _Setting("https://api.pexels.com")

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values: Mapping[str, str] = dict(values)

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(os.environ)

    def validate(self, *needed: str) -> None:
        """Check the settings that are needed, and every one that has choices.

        Raises SettingMissing or SettingInvalid, whose text names each variable.
        """
        problems: list[ForgeError] = []
        for name in sorted(SETTINGS):
            try:
                getattr(self, name)
            except SettingMissing as error:
                if name in needed:
                    problems.append(error)
            except SettingInvalid as error:
                problems.append(error)
        if problems:
            raise type(problems[0])(" ".join(problem.detail for problem in problems))


SETTINGS = tuple(name for name, setting in vars(Settings).items() if isinstance(setting, _Setting))
# What each vendor's adapter reads: functions put together from these what they need.
SUPABASE = ("supabase_url", "supabase_publishable_key", "supabase_secret_key", "forge_signing_key", "forge_url")
ANTHROPIC = ("anthropic_api_key",)
ELEVENLABS = ("elevenlabs_api_key",)
REPLICATE = ("replicate_api_token",)
REQUIRED_KEYS = tuple(name.upper() for name in (*SUPABASE, *ANTHROPIC, *ELEVENLABS, *REPLICATE))
