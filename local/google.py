"""Stand-in for Google's sign-in, as part of youtube.py: consent, codes with PKCE, tokens, and what they may do.

A test acts over HTTP:
POST /consent/{allow|unpaid|less|deny} ?state=…&channel=UC…    what a person does on Google's page (also by its buttons)
POST /_revoke ?channel=UC…                              the person withdraws their consent
POST /_expire                                           every access token ends
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from html import escape
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route


@dataclass
class Grant:
    """What a person has consented to. scopes: granted ones."""

    channel: str
    scopes: str
    challenge: str = ""
    redirect: str = ""


_codes: dict[str, Grant] = {}
_refresh: dict[str, Grant] = {}
_access: dict[str, Grant] = {}


def refusal(status: int, code: str = "", message: str = "") -> dict[str, Any]:
    reason = code or {401: "authError", 403: "forbidden", 404: "notFound", 429: "rateLimitExceeded"}.get(
        status, "backendError"
    )
    words = message or reason
    return {
        "error": {
            "code": status,
            "message": words,
            "errors": [{"message": words, "domain": "youtube", "reason": reason}],
        }
    }


def refused(status: int, reason: str, message: str = "") -> JSONResponse:
    return JSONResponse(refusal(status, reason, message), status)


async def consent_page(request: Request) -> Response:
    asked = request.query_params
    if asked.get("client_id") != "standin" or asked.get("code_challenge_method") != "S256" or not asked.get("state"):
        return HTMLResponse("<h1>Error 400: invalid_request</h1>", 400)
    query = escape(str(request.url.query))
    buttons = {"allow": "Allow", "less": "Allow only to see the numbers", "deny": "Cancel"}
    forms = "".join(
        f'<form method="post" action="/consent/{what}?{query}"><button>{words}</button></form>'
        for what, words in buttons.items()
    )
    head = '<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Google</title>'
    return HTMLResponse(
        f"{head}<h1>PersonaForge wants to publish on your channel</h1><p>Stands in for Google.</p>{forms}"
    )


async def consent(request: Request) -> Response:
    asked, what = request.query_params, request.path_params["what"]
    back = asked["redirect_uri"]
    if what == "deny":
        return RedirectResponse(f"{back}?error=access_denied&state={asked['state']}", 303)
    scopes = asked["scope"].split()[{"less": 1}.get(what, 0) : {"unpaid": -1}.get(what)]
    code = uuid4().hex
    channel = asked.get("channel", "UCforge")
    _codes[code] = Grant(channel, " ".join(scopes), asked["code_challenge"], back)
    return RedirectResponse(f"{back}?code={code}&state={asked['state']}&scope={'%20'.join(scopes)}", 303)


async def token(request: Request) -> Response:
    form = {name: str(value) for name, value in (await request.form()).items()}
    if (form.get("client_id"), form.get("client_secret")) != ("standin", os.environ["STANDIN_KEY"]):
        return JSONResponse({"error": "invalid_client"}, 401)
    if form.get("grant_type") == "authorization_code":
        grant = _codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if not grant or grant.challenge != challenge.rstrip(b"=").decode() or grant.redirect != form["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant", "error_description": "Bad Request"}, 400)
        refresh = f"1//{uuid4().hex}"
        _refresh[refresh] = grant
        return JSONResponse({**_given(grant), "refresh_token": refresh})
    kept = _refresh.get(form.get("refresh_token", ""))
    if not kept:
        return JSONResponse({"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, 400)
    return JSONResponse(_given(kept))


def _given(grant: Grant) -> dict[str, Any]:
    access = f"ya29.{uuid4().hex}"
    _access[access] = grant
    return {"access_token": access, "expires_in": 3599, "scope": grant.scopes, "token_type": "Bearer"}


async def revoke(request: Request) -> Response:
    grant = _refresh.pop(str((await request.form()).get("token", "")), None)
    return JSONResponse({} if grant else {"error": "invalid_token"}, 200 if grant else 400)


async def withdraw(request: Request) -> Response:
    channel = request.query_params["channel"]
    for tokens in (_refresh, _access):
        for one in [one for one, grant in tokens.items() if grant.channel == channel]:
            del tokens[one]
    return JSONResponse({})


async def expire_access(_: Request) -> Response:
    _access.clear()
    return JSONResponse({})


def authorized(handler: Any, scope: str = "youtube.force-ssl") -> Any:
    async def check(request: Request) -> Response:
        grant = _access.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if grant is None:
            return refused(401, "authError", "Invalid Credentials")
        if scope not in grant.scopes:
            return refused(403, "insufficientPermissions")
        request.state.channel, request.state.scopes = grant.channel, grant.scopes
        answer: Response = await handler(request)
        return answer

    return check


routes = [
    Route("/consent", consent_page),
    Route("/consent/{what}", consent, methods=["POST"]),
    Route("/token", token, methods=["POST"]),
    Route("/revoke", revoke, methods=["POST"]),
    Route("/_revoke", withdraw, methods=["POST"]),
    Route("/_expire", expire_access, methods=["POST"]),
]
