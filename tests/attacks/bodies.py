"""Bodies that are no JSON, or too much of it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

from tests.attacks import Attack, Target

JSON = {"Content-Type": "application/json"}


def attacks(target: Target) -> Iterator[Attack]:
    given = f'"model": "talk", "stream": true, "input": {{"persona": "{target.persona}", "say": "Hi."'
    bodies: dict[str, bytes] = {
        "empty": b"",
        "a word": b"hello",
        "brackets": b"[" * 20_000,
        "braces": b'{"a":' * 20_000,
        "closed brackets": b"[" * 5000 + b"]" * 5000,
        "many digits": b'{"input": ' + b"9" * 5000 + b"}",
        "a large exponent": b'{"input": 1e999999}',
        "NaN": b'{"model": "talk", "input": {"size": NaN}}',
        "infinity": b'{"model": "talk", "input": {"size": -Infinity}}',
        "a list": b"[]",
        "null": b"null",
        "text": b'"text"',
        "cut": b'{"model": "talk"',
        "not UTF-8": b'{"model": "\xff\xfe"}',
        "UTF-16": '{"model": "talk", "input": {}}'.encode("utf-16"),
        "byte order mark": b'\xef\xbb\xbf{"model": "talk", "input": {}}',
        "half a surrogate": b'{"model": "\\ud800", "input": {}}',
        "a key twice": b'{"model": "portrait", "model": "talk", "input": {}}',
        "a million keys": b"{" + b",".join(b'"%d":1' % number for number in range(30_000)) + b"}",
        "prototype": b'{"__proto__": {"x": 1}, "constructor": {}, "model": "talk", "input": {"__class__": 1}}',
        "too large": b'{"model": "' + b"x" * 600_000 + b'"}',
        "comments": b'{/* no */ "model": "talk", "input": {}}',
        "null characters": b"\0" * 1000,
    }
    for name, body in bodies.items():
        yield Attack("bodies", name, "POST", "/v1/predictions", (400, 404, 413, 422), JSON, content=body)
        yield Attack("bodies", f"{name}, for a persona", "POST", "/v1/personas", (400, 413, 422), JSON, content=body)
    whole = f"{{{given}}}}}".encode()
    for kind in ("text/plain", "application/xml", "multipart/form-data", "multipart/form-data; boundary=x", "x" * 500):
        yield Attack(
            "bodies", f"as {kind[:40]}", "POST", "/v1/predictions", (400, 422), {"Content-Type": kind}, content=whole
        )
    squeezed = {**JSON, "Content-Encoding": "gzip"}
    yield Attack("bodies", "gzip", "POST", "/v1/predictions", (400, 415, 422), squeezed, content=gzip.compress(whole))
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    parts = b"".join(b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n1\r\n' % n for n in range(3000))
    forms = {
        "no content": b"--x--\r\n",
        "three thousand parts": parts + b"--x--\r\n",
        "not closed": b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\nRIFF',
        "text": b'--x\r\nContent-Disposition: form-data; name="content"\r\n\r\nRIFF\r\n--x--\r\n',
        "no head": b"--x\r\n\r\n\r\n--x--\r\n",
        "a head without end": b"--x\r\n" + b"a" * 100_000,
        "a page": b'--x\r\nContent-Disposition: form-data; name="content"; filename="../a"\r\n\r\n<html>\r\n--x--\r\n',
    }
    for name, body in forms.items():
        yield Attack("bodies", f"a form: {name}", "POST", "/v1/files", (400, 413, 422), form, content=body)
