"""Access tokens that nobody gave out."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator

from tests.attacks import Attack, Target


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def attacks(target: Target) -> Iterator[Attack]:
    head, claims, signature = target.token.split(".")
    known = json.loads(base64.urlsafe_b64decode(claims + "=="))
    later = {**known, "exp": time.time() + 10**6}
    tokens = {
        "none": "",
        "no scheme": target.token,
        "basic": "Basic YTpi",
        "bearer alone": "Bearer",
        "bearer and a comma": "Bearer ,",
        "no token": "Bearer x",
        "two dots": "Bearer ..",
        "four parts": f"Bearer {target.token}.a",
        "algorithm none": f"Bearer {_part({'alg': 'none'})}.{claims}.",
        "algorithm NONE": f"Bearer {_part({'alg': 'NONE', 'typ': 'JWT'})}.{_part(later)}.",
        "unknown algorithm": f"Bearer {_part({'alg': 'XX99'})}.{claims}.{signature}",
        "RS256 without a key": f"Bearer {_part({'alg': 'RS256'})}.{claims}.{signature}",
        "unknown kid": f"Bearer {_part({'alg': 'ES256', 'kid': 'nobody'})}.{claims}.{signature}",
        "a kid that is a path": f"Bearer {_part({'alg': 'HS256', 'kid': '../../dev/null'})}.{claims}.{signature}",
        "own key in the head": f"Bearer {_part({'alg': 'HS256', 'jwk': {'kty': 'oct', 'k': ''}})}.{claims}.{signature}",
        "key from elsewhere": f"Bearer {_part({'alg': 'RS256', 'jku': 'http://127.0.0.1:9/'})}.{claims}.{signature}",
        "other claims": f"Bearer {head}.{_part(later)}.{signature}",
        "service role": f"Bearer {head}.{_part({**known, 'role': 'service_role'})}.{signature}",
        "signature cut": f"Bearer {head}.{claims}.{signature[:-4]}",
        "no signature": f"Bearer {head}.{claims}.",
        "claims no object": f"Bearer {head}.{_part([1])}.{signature}",
        "head no object": f"Bearer {_part('HS256')}.{claims}.{signature}",
        "head not JSON": f"Bearer e30x.{claims}.{signature}",
        "very long": "Bearer " + "a" * 7000,
    }
    for name, token in tokens.items():
        headers = {"Authorization": token}
        yield Attack("tokens", name, "GET", "/v1/predictions", (401,), headers)
        yield Attack("tokens", f"{name}, to write", "POST", "/v1/personas", (401,), headers, json={"name": "A"})
    for path in (f"/v1/predictions/{target.waiting}", f"/v1/talk/{target.waiting}", f"/v1/personas/{target.persona}"):
        yield Attack("tokens", f"none at {path.split('/')[2]}", "GET", path, (401,), {"Authorization": ""})
