"""The OpenAPI document of all functions, which lie behind one origin."""

from __future__ import annotations

from typing import Any

from functions import ENDPOINTS, load


def document() -> dict[str, Any]:
    """One document. Raises ValueError when two functions mean different things by one name."""
    merged: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "PersonaForge", "version": "1", "description": "Talking personas. Errors are problem+json."},
        "security": [{"bearer": []}],
        "paths": {},
        "components": {
            "schemas": {},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The user's Supabase access token."}
            },
        },
    }
    for name in ENDPOINTS:
        part = load(name).build().openapi()
        for path, operations in part["paths"].items():
            merged["paths"].setdefault(path, {}).update(operations)
        schemas = merged["components"]["schemas"]
        for schema, definition in part.get("components", {}).get("schemas", {}).items():
            if schemas.setdefault(schema, definition) != definition:
                raise ValueError(f"{name} has another {schema}")
    return merged
