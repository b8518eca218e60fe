"""`forge secrets`, `vercel`, `user`: what a deployment needs beside `modal deploy`, done from this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from functions import ENDPOINTS
from local.diagnostics import UNREACHABLE
from shared.core.errors import ForgeError, SettingMissing
from shared.core.settings import REQUIRED_KEYS, SETTINGS, Settings
from shared.providers import catalogue

APP = SECRET = "personaforge"  # noqa: S105  # the name of Modal's secret, not one


def write_secret(values: Mapping[str, str]) -> list[str]:
    """Bring Modal's secret to these settings; returns the names of those that are set.

    A setting that is not set is emptied there, as if it had never been; what the secret has beside stays.

    Raises SettingMissing or SettingInvalid for settings that functions could not start with, ForgeError for Modal.
    """
    import modal
    from modal.exception import Error, NotFoundError

    settings = Settings(values)
    settings.validate(*(name.lower() for name in REQUIRED_KEYS))
    catalogue.check(settings)
    known = {name: value for name, value in values.items() if name.startswith("OTEL_")}
    known |= {name.upper(): values.get(name.upper()) or "" for name in SETTINGS}
    try:
        try:
            modal.Secret.from_name(SECRET).hydrate().update(known)
        except NotFoundError:
            modal.Secret.objects.create(SECRET, known)
    except Error as error:
        raise ForgeError(f"Modal took no secret: {error}. Sign in with `uv run modal setup`.") from error
    return sorted(name for name, value in known.items() if value)


def addresses() -> dict[str, str]:
    """Of each endpoint as it is deployed. Raises ForgeError where nothing is."""
    import modal
    from modal.exception import Error

    found: dict[str, str] = {}
    for name in ENDPOINTS:
        try:
            address = modal.Function.from_name(APP, name).hydrate().get_web_url()
        except Error as error:
            raise ForgeError(
                f"{name} is not deployed: {error}. Run `uv run modal deploy modal_app.py` first."
            ) from error
        found[name] = str(address)
    return found


def user(settings: Settings, email: str) -> str:
    """An access token of the user with this address, who is created where there is none. No mail is sent.

    Raises SettingMissing, ForgeError with Supabase's own words.
    """
    if not settings.supabase_secret_key:
        raise SettingMissing("SUPABASE_SECRET_KEY is not set: users are made with it.")
    secret, public = settings.supabase_secret_key, settings.supabase_publishable_key
    try:
        with httpx.Client(base_url=settings.supabase_url, timeout=20) as http:
            link = _ask(http, "/auth/v1/admin/generate_link", {"type": "magiclink", "email": email}, secret)
            properties = link.get("properties") or link
            proof = {"type": properties["verification_type"], "token_hash": properties["hashed_token"]}
            return str(_ask(http, "/auth/v1/verify", proof, public)["access_token"])
    except UNREACHABLE as error:
        raise ForgeError(f"{settings.supabase_url} cannot be reached ({type(error).__name__}).") from error
    except KeyError as error:
        raise ForgeError(f"Supabase's answer lacks {error}.") from error


def _ask(http: httpx.Client, path: str, body: dict[str, str], key: str) -> dict[str, Any]:
    answer = http.post(path, json=body, headers={"apikey": key, "Authorization": f"Bearer {key}"})
    found = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    if answer.is_error:
        said = found.get("msg") or found.get("message") or "nothing more"
        raise ForgeError(f"Supabase answered {answer.status_code} to {path}: {said}.")
    return dict(found)
