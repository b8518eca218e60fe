"""Rows written and functions called past ours, as anybody may who has a token and the publishable key."""

from __future__ import annotations

from collections.abc import Iterator

from tests.attacks import Attack, Target

SOMEBODY = "11111111-2222-4333-8444-555555555555"
PERSONAS: dict[str, dict[str, object]] = {
    "created in infinity": {"created_at": "infinity"},
    "created before time": {"created_at": "-infinity"},
    "created in year 1": {"created_at": "0001-01-01"},
    "somebody else's": {"owner": SOMEBODY},
    "with a portrait": {"portrait": "x/y.png"},
    "with a face": {"face": {"points": "x"}},
    "consented": {"consent_at": "2026-01-01"},
    "liveliness NaN": {"liveliness": "NaN"},
    "liveliness infinity": {"liveliness": "Infinity"},
    "a voice that is a path": {"voice_id": "../../x"},
    "a long name": {"name": "n" * 5000},
    "a name with a null character": {"name": "a\0b"},
    "an own id": {"id": "00000000-0000-0000-0000-000000000000"},
}
CALLS: dict[str, dict[str, object]] = {
    "ensure_account": {"p_owner": SOMEBODY},
    "book": {"p_owner": SOMEBODY, "p_kind": "grant", "p_credits": 1000},
    "settle_prediction": {"p_id": SOMEBODY, "p_outcome": {"status": "succeeded"}},
    "claim_prediction": {"p_id": SOMEBODY},
    "extend_reservation": {"p_id": SOMEBODY, "p_credits": 1},
    "remove_persona": {
        "p_persona": SOMEBODY,
        "p_owner": SOMEBODY,
    },
    "overdue_predictions": {},
    "due_deliveries": {},
    "limit_rate": {"p_owner": SOMEBODY, "p_kind": "x"},
    "note_logs": {"p_id": SOMEBODY, "p_logs": "x"},
    "unreferenced_files": {},
}
TABLES = (
    "accounts", "usage", "predictions", "messages", "files", "models", "webhook_deliveries", "recent_requests",
)  # fmt: skip
REFUSED = (400, 401, 403, 404, 405, 409, 422)


def attacks(target: Target) -> Iterator[Attack]:
    if target.database is None:
        return
    for name, fields in PERSONAS.items():
        body = {"name": "Direct", **fields}
        yield Attack("database", f"a persona {name}", "POST", "/personas", json=body, database=True)
        yield Attack("database", f"personas after one {name}", "GET", "/v1/personas", (200,))
    for table in (
        "accounts",
        "usage",
        "predictions",
        "messages",
        "files",
        "models",
        "webhook_deliveries",
        "recent_requests",
    ):
        row = {"owner": SOMEBODY, "balance": 10**9, "credits": 10**9}
        yield Attack("database", f"a row of {table}", "POST", f"/{table}", REFUSED, json=row, database=True)
        yield Attack(
            "database", f"a change of {table}", "PATCH", f"/{table}?owner=not.is.null", REFUSED, json=row, database=True
        )
        yield Attack(
            "database", f"a removal of {table}", "DELETE", f"/{table}?owner=not.is.null", REFUSED, database=True
        )
    for function, arguments in CALLS.items():
        yield Attack(
            "database", f"a call of {function}", "POST", f"/rpc/{function}", REFUSED, json=arguments, database=True
        )
    created: dict[str, object] = {
        "p_id": "21111111-2222-4333-8444-555555555555", "p_model": "talk", "p_persona": target.persona,
        "p_stream": True, "p_seconds": None,
    }  # fmt: skip
    changes: dict[str, dict[str, object]] = {
        "a list as input": {"p_input": []},
        "no schema": {"p_input": {"persona": [], "say": {"a": 1}}},
        "a large input": {"p_input": {"say": "x" * 200_000}},
        "an age": {"p_input": {}, "p_seconds": 10**9},
        "an event": {"p_input": {}, "p_events": ["never"]},
        "an unknown model": {"p_input": {}, "p_model": "x"},
    }
    for name, change in changes.items():
        body, path = {**created, **change}, "/rpc/create_prediction"
        yield Attack("database", f"a prediction with {name}", "POST", path, json=body, database=True)
        yield Attack("database", f"predictions after {name}", "GET", "/v1/predictions", (200,))
