"""Users of the embedded Supabase."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

USER = "demo@personaforge.example"  # the one whom `forge up` and the page sign in


def user_token(settings: Mapping[str, str], password: str, email: str) -> str | None:
    """An access token of a user, who is signed up first where necessary; None where Supabase gives none."""
    headers = {"apikey": settings["SUPABASE_PUBLISHABLE_KEY"]}
    body = {"email": email, "password": password}
    with httpx.Client(base_url=settings["SUPABASE_URL"], headers=headers, timeout=20, trust_env=False) as http:
        answer = http.post("/auth/v1/token", params={"grant_type": "password"}, json=body)
        if answer.is_error:
            answer = http.post("/auth/v1/signup", json=body)
    token: str | None = answer.json().get("access_token")
    return token
