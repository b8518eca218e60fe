"""openapi.json is what the functions answer to."""

from __future__ import annotations

import json

from local.openapi import document
from local.stack import ROOT


def test_the_document_is_fresh() -> None:
    """Generate it anew: uv run forge openapi > openapi.json"""
    assert json.loads((ROOT / "openapi.json").read_text()) == json.loads(json.dumps(document()))


def test_every_operation_says_what_it_answers() -> None:
    """A schema for what goes well, but for videos, events and empty answers; problem+json for everything else."""
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            responses = dict(operation["responses"])
            problem = responses.pop("default")["content"]["application/problem+json"]["schema"]
            assert problem == {"$ref": "#/components/schemas/Problem"}, path
            for status, response in responses.items():
                content = response.get("content", {})
                export = path.endswith("/export")  # whatever tables there are
                described = export or bool(content.get("application/json", {}).get("schema", {}).get("$ref"))
                live = {"video/mp4", "text/event-stream"} & set(content)
                assert described or status == "204" or live, (method, path, status)
