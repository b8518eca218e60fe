"""Addresses that a server inside a cloud must not visit for a stranger."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import Attack, Target

ADDRESSES = (
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "https://10.0.0.1/", "https://192.168.1.1/",
    "https://172.16.0.1/", "https://100.64.0.1/", "https://0.0.0.0/", "https://0xa.0.0.1/", "https://167772161/",
    "https://012.0.0.1/", "https://10.1/", "https://[::ffff:10.0.0.1]/", "https://[::ffff:a00:1]/", "https://[64:ff9b::a00:1]/",
    "https://[fe80::1]/", "https://[fc00::1]/", "https://[2002:a00:1::]/", "https://224.0.0.1/", "https://198.18.0.1/",
    "https://192.0.2.1/", "https://255.255.255.255/", "ftp://example.com/a.wav", "file:///etc/passwd", "gopher://example.com/",
    "http://example.com/a.wav", "//example.com/", "/v1/predictions", "https://", "https:///a", "https://a b/",
    "https://example.com:99999/", "https://example.com:-1/", "https://user:pass@10.0.0.1/", "https://[::1", "https://\u2488/",
    "javascript:alert(1)", "data:text/html,hi", "https://example.com:22/", "https://" + "a" * 300 + ".com/",
)  # fmt: skip


def attacks(target: Target) -> Iterator[Attack]:
    for address in ADDRESSES:
        given = {"persona": target.persona, "audio": address}
        body = {"model": "lipsync", "input": given}
        yield Attack("addresses", f"sound at {address[:50]}", "POST", "/v1/predictions", (404, 422), json=body)
