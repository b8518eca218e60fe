"""The comparison of stand-ins with their vendors' documents finds what does not fit."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.shapes import misfits

DOCUMENT: dict[str, Any] = {
    "paths": {"/voices": {"get": {"responses": {"200": {"content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Voices"}
    }}}}}}},
    "components": {"schemas": {
        "Voices": {"type": "object", "required": ["voices"], "properties": {
            "voices": {"type": "array", "items": {"$ref": "#/components/schemas/Voice"}},
        }},
        "Voice": {"type": "object", "required": ["voice_id"], "properties": {"voice_id": {"type": "string"}}},
    }},
}  # fmt: skip


def test_an_answer_that_lacks_a_field_is_told_with_its_place() -> None:
    """And one that fits is not."""
    good = httpx.Response(200, json={"voices": [{"voice_id": "a"}]})
    bad = httpx.Response(200, json={"voices": [{"voice_id": "a"}, {"voice_id": 1}, {}]})
    assert misfits(DOCUMENT, "get", "/voices", good) == []
    found = misfits(DOCUMENT, "get", "/voices", bad)
    assert len(found) == 2
    assert found[0].startswith("voices.1.voice_id: ")
    assert "voice_id" in found[1]
