"""Text that is no text, too much of it, or means something elsewhere, in every field that takes one."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import Attack, Target

VALUES = {
    "nothing": "",
    "blank": "   ",
    "null character": "a\0b",
    "lone surrogate": "\ud800",
    "surrogates in the wrong order": "\udc00\ud800",
    "not a character": "\uffff\ufdd0",
    "right to left override": "\u202eabc",
    "zero width": "\u200b\u200d\ufeff",
    "combining": "e" + "\u0301" * 2000,
    "emoji family": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
    "exclamations": "a" + "!" * 3999,
    "quotes": "\"'`" * 500,
    "very long": "x" * 50_000,
    "control characters": "".join(map(chr, range(1, 32))),
    "SQL": "'; drop table predictions; --",
    "PostgREST operators": 'eq.1,or(owner.neq.x)&select=*"',
    "markup": "<script>alert(1)</script><speak><break time='9s'/></speak>",
    "template": "${jndi:ldap://127.0.0.1/a} {{7*7}} %s%s%n",
    "a path": "../../../../etc/passwd",
    "header lines": "a\r\nSet-Cookie: a=b",
    "a number": 12345678901234567890,
    "a float": 1e308,
    "true": True,
    "null": None,
    "a list": ["a"] * 1000,
    "an object": {"a": {"b": {"c": {}}}},
}


def attacks(target: Target) -> Iterator[Attack]:
    for name, value in VALUES.items():
        bodies = {
            "persona name": ("POST", "/v1/personas", {"name": value}),
            "persona description": ("POST", "/v1/personas", {"name": "A", "description": value}),
            "voice": ("PATCH", f"/v1/personas/{target.persona}", {"voice_id": value}),
            "liveliness": ("PATCH", f"/v1/personas/{target.persona}", {"liveliness": value}),
            "message": ("POST", "/v1/predictions", _talk(target, message=value)),
            "say": ("POST", "/v1/predictions", _talk(target, say=value)),
            "persona": (
                "POST",
                "/v1/predictions",
                _talk(target, say="Hi.") | {"input": {"persona": value, "say": "Hi."}},
            ),
            "model": ("POST", "/v1/predictions", {"model": value, "input": {}}),
            "version": ("POST", "/v1/predictions", {"version": value, "input": {}}),
            "webhook": ("POST", "/v1/predictions", _talk(target, say="Hi.") | {"webhook": value}),
            "size": ("POST", "/v1/predictions", _talk(target, say="Hi.", size=value)),
            "unknown": ("POST", "/v1/predictions", _talk(target, say="Hi.", **{"x" * 300: value})),
        }
        for field, (method, path, body) in bodies.items():
            yield Attack("text", f"{name} as {field}", method, path, json=body)


def _talk(target: Target, **given: object) -> dict[str, object]:
    return {"model": "talk", "stream": True, "input": {"persona": target.persona, **given}}
