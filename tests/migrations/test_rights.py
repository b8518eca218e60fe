"""What the database itself allows, asked over HTTP as each kind of user. Nothing is granted by default here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local.stack import Stack
from tests.support.person import Person


class Rest:
    """PostgREST as somebody."""

    def __init__(self, stack: Stack, token: str | None) -> None:
        key = stack.settings["SUPABASE_PUBLISHABLE_KEY"]
        if token == "service":
            key = token = stack.settings["SUPABASE_SECRET_KEY"]
        headers = {"apikey": key, "Prefer": "return=representation"}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        address = f"{stack.settings['SUPABASE_URL']}/rest/v1"
        limits = httpx.Limits(keepalive_expiry=4)  # the server closes after 5 s
        self.http = httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=20, limits=limits)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.http, name)


def row_of(service: Rest, persona: dict[str, Any]) -> dict[str, Any]:
    found = service.get("/predictions", params={"persona_id": f"eq.{persona['id']}", "system": "is.false"}).json()
    return dict(found[0])


@pytest.fixture(scope="module")
def scene(stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes) -> Iterator[dict[str, Any]]:
    owner, other = sign_up(), sign_up()
    persona = owner.persona(portrait_png)
    told = {"webhook": "http://127.0.0.1:9/nobody"}
    body = {"model": "talk", "stream": True, "input": {"persona": persona["id"], "say": "Mine."}, **told}
    owner.follow(owner.http.post("/v1/predictions", json=body).raise_for_status().json())
    clients = {"owner": owner.token, "other": other.token, "anonymous": None, "service": "service"}
    rests = {name: Rest(stack, token) for name, token in clients.items()}
    row = row_of(rests["service"], persona)
    film = {"owner": owner.id, "persona_id": persona["id"], "input": {}, "status": "failed"}
    project = rests["service"].post("/projects", json=film).raise_for_status().json()[0]["id"]
    for table in ("steps", "project_events"):
        rests["service"].post(f"/{table}", json=scratch(table, row, project)).raise_for_status()
    yield {"persona": persona, "row": row, "project": project, **rests}
    for rest in rests.values():
        rest.http.close()


@pytest.mark.parametrize(
    "table",
    [
        "personas",
        "predictions",
        "messages",
        "accounts",
        "usage",
        "files",
        "webhook_deliveries",
        "projects",
        "steps",
        "project_events",
    ],
)
@pytest.mark.parametrize(("who", "sees"), [("owner", True), ("other", False), ("anonymous", False), ("service", True)])
def test_rows_are_seen_by_their_owner_alone(scene: dict[str, Any], table: str, who: str, sees: bool) -> None:
    """Everybody else gets none of them."""
    owned = ("accounts", "usage", "files", "webhook_deliveries", "projects", "steps", "project_events")
    column = "id" if table == "personas" else "owner" if table in owned else "persona_id"
    wanted = scene["row"]["owner"] if column == "owner" else scene["persona"]["id"]
    answer = scene[who].get(f"/{table}", params={column: f"eq.{wanted}"})
    assert bool(answer.is_success and answer.json()) == sees


@pytest.mark.parametrize("who", ["owner", "other", "anonymous"])
def test_nobody_writes_predictions_or_messages_past_the_backend(scene: dict[str, Any], who: str) -> None:
    """A user cannot make, change or remove a prediction or a message directly, nor invent a finished one."""
    client, row = scene[who], scene["row"]
    forged = {
        **{name: value for name, value in row.items() if name != "project"},
        "id": str(uuid4()),
        "status": "succeeded",
    }
    assert client.post("/predictions", json=forged).status_code in (401, 403)
    message = {"owner": row["owner"], "persona_id": row["persona_id"], "role": "assistant", "content": "forged"}
    assert client.post("/messages", json=message).status_code in (401, 403)
    where = {"id": f"eq.{row['id']}"}
    for answer in (
        client.patch("/predictions", params=where, json={"text": "forged"}),
        client.delete("/predictions", params=where),
    ):
        assert answer.is_error or answer.json() == []
    assert scene["service"].get("/predictions", params=where).json() == [row]


def test_personas_are_made_without_a_picture_and_removed_with_their_files_or_not_at_all(scene: dict[str, Any]) -> None:
    """A picture or a consent cannot be claimed past the backend, nor another's persona touched."""
    persona = scene["persona"]
    claimed = {"name": "X", "portrait": "somebody/else.png"}
    assert scene["owner"].post("/personas", json=claimed).status_code == 403
    assert scene["owner"].post("/personas", json={"name": "X", "consent_at": "2026-01-01"}).status_code == 403
    where = {"id": f"eq.{persona['id']}"}
    for who in ("owner", "other", "anonymous"):
        answer = scene[who].patch("/personas", params=where, json={"portrait": "x"})
        assert answer.is_error or answer.json() == []
    for who in ("owner", "other", "anonymous"):
        answer = scene[who].delete("/personas", params=where)
        assert answer.is_error or answer.json() == []
    assert len(scene["owner"].get("/personas", params=where).json()) == 1


FACE = {"p_path": "x", "p_face": {}}
CLOSED: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "claim_prediction": lambda row: {"p_id": row["id"]},
    "attach_provider": lambda row: {"p_id": row["id"], "p_provider_id": "x"},
    "settle_prediction": lambda row: {"p_id": row["id"], "p_outcome": {"status": "failed"}},
    "remove_persona": lambda row: {"p_persona": row["persona_id"], "p_owner": row["owner"]},
    "set_portrait": lambda row: {"p_persona": row["persona_id"], "p_owner": row["owner"], **FACE},
    "correct_face": lambda row: {"p_persona": row["persona_id"], "p_owner": row["owner"], **FACE},
    "book": lambda row: {"p_owner": row["owner"], "p_kind": "grant", "p_credits": 1000},
    "limit_rate": lambda row: {"p_owner": row["owner"], "p_kind": "uploads"},
    "limit_running": lambda row: {"p_owner": row["owner"], "p_limit": 1},
    "extend_reservation": lambda row: {"p_id": row["id"], "p_credits": 1},
    "ensure_account": lambda row: {"p_owner": row["owner"]},
    "due_deliveries": lambda _: {},
    "overdue_predictions": lambda _: {},
    "waiting_predictions": lambda _: {"p_models": ["talk"]},
    "unreferenced_files": lambda _: {},
    "as_object": lambda _: {"p": {}},
}


@pytest.mark.parametrize("who", ["owner", "other", "anonymous"])
@pytest.mark.parametrize("function", CLOSED)
def test_the_backends_functions_are_closed_to_users(scene: dict[str, Any], who: str, function: str) -> None:
    """Claiming, settling and giving portraits is for the secret key."""
    row = scene["row"]
    arguments = CLOSED[function](row)
    assert scene[who].post(f"/rpc/{function}", json=arguments).status_code in (401, 403, 404)
    assert scene["service"].get("/predictions", params={"id": f"eq.{row['id']}"}).json() == [row]


def test_a_finished_prediction_never_changes_not_even_for_the_secret_key(scene: dict[str, Any]) -> None:
    """A second settlement is told that it came too late; a direct change is refused."""
    row, service = scene["row"], scene["service"]
    again = {"p_id": row["id"], "p_outcome": {"status": "failed", "error": "late"}}
    assert service.post("/rpc/settle_prediction", json=again).json()["settled"] is False
    changed = service.patch("/predictions", params={"id": f"eq.{row['id']}"}, json={"error": "late"})
    assert changed.status_code == 409
    assert service.get("/predictions", params={"id": f"eq.{row['id']}"}).json() == [row]


def test_a_prediction_is_not_settled_with_a_status_that_is_none(scene: dict[str, Any]) -> None:
    """`processing` is not an end."""
    arguments = {"p_id": scene["row"]["id"], "p_outcome": {"status": "processing"}}
    assert scene["service"].post("/rpc/settle_prediction", json=arguments).status_code == 422


def test_a_prediction_made_past_the_backend_has_time_too(scene: dict[str, Any]) -> None:
    """A deadline in the past would be overdue before anybody saw it, and its id could not be signed."""
    arguments = {
        "p_id": str(uuid4()), "p_model": "talk", "p_persona": scene["persona"]["id"], "p_input": {"say": "x"},
        "p_stream": True, "p_seconds": -2147483648,
    }  # fmt: skip
    made = scene["owner"].post("/rpc/create_prediction", json=arguments).raise_for_status().json()["prediction"]
    assert made["deadline"] > made["created_at"]


TABLES = {
    "personas": ("name", "Changed"),
    "predictions": ("text", "Changed"),
    "messages": ("content", "Changed"),
    "accounts": ("running_limit", 99),
    "usage": ("credits", 99),
    "files": ("bytes", 99),
    "recent_requests": ("kind", "nothing"),
    "models": ("reserve", 99),
    "webhook_deliveries": ("attempts", 99),
    "projects": ("round", 99),
    "steps": ("attempt", 99),
    "project_events": ("by", "Changed"),
}
_CODES = itertools.count(100)  # of models that are nobody's, and of rounds


def scratch(table: str, row: dict[str, Any], project: str) -> dict[str, Any]:
    """A new row of the scene's owner (accounts: of nobody, as there is one each)."""
    owner, persona = row["owner"], row["persona_id"]
    return {
        "personas": {"name": "Scratch", "owner": owner},
        "predictions": {
            "id": str(uuid4()),
            "owner": owner,
            "persona_id": persona,
            "model": "talk",
            "model_code": 0,
            "input": {},
            "deadline": "2030-01-01T00:00:00Z",
        },
        "messages": {"owner": owner, "persona_id": persona, "role": "user", "content": "Scratch"},
        "accounts": {"owner": str(uuid4())},
        "recent_requests": {"owner": owner, "kind": "uploads"},
        "usage": {"owner": owner, "kind": "grant", "credits": 1},
        "files": {"path": uuid4().hex, "owner": owner, "content_type": "text/vtt", "bytes": 1},
        "models": {"name": uuid4().hex, "code": next(_CODES), "reserve": 1},
        "webhook_deliveries": {"owner": owner, "prediction_id": row["id"], "event": "start", "next_at": None},
        "projects": {"owner": owner, "persona_id": persona, "input": {}, "status": "failed"},
        "steps": {"project_id": project, "owner": owner, "stage": "voice", "key": uuid4().hex},
        "project_events": {
            "project_id": project, "owner": owner, "gate": "film", "round": next(_CODES), "decision": "approve",
            "by": owner,
        },
    }[table]  # fmt: skip


@pytest.mark.parametrize("who", ["anonymous", "owner", "other", "service"])
@pytest.mark.parametrize("table", TABLES)
def test_who_may_do_what_with_which_table(scene: dict[str, Any], table: str, who: str) -> None:
    """Every table, every kind of user, insert, select, update, delete: by real requests."""
    service, client, path = scene["service"], scene[who], f"/{table}"
    key = {"accounts": "owner", "files": "path", "models": "name", "steps": "key", "project_events": "round"}.get(
        table, "id"
    )
    made = client.post(path, json=scratch(table, scene["row"], scene["project"]))
    assert made.is_success == (who == "service" or (who == "owner" and table == "personas")), made.text
    kept = service.post(path, json=scratch(table, scene["row"], scene["project"])).raise_for_status().json()[0]
    where = {key: f"eq.{kept[key]}"}
    seen = client.get(path, params=where)
    hidden = table in ("accounts", "recent_requests")
    sees = who == "service" or (who == "owner" and not hidden) or table == "models"
    assert bool(seen.is_success and seen.json()) == sees
    column, value = TABLES[table]
    client.patch(path, params=where, json={column: value})
    changed = str(service.get(path, params=where).json()[0][column]).startswith(str(value))
    assert changed == (who == "service")
    made_too = made.json()[0][key] if made.is_success else ""
    client.delete(path, params=where)
    gone = service.get(path, params=where).json() == []
    assert gone == (who == "service")
    service.delete(path, params=where)
    service.delete(path, params={key: f"eq.{made_too}"})


@pytest.mark.parametrize("wrong", [{"p_input": [1]}, {"p_input": "x"}, {"p_events": [None]}, {"p_events": ["never"]}])
def test_a_prediction_that_nobody_could_read_is_not_created(scene: dict[str, Any], wrong: dict[str, Any]) -> None:
    """Past the backend as well: it would stop whoever settles what is overdue."""
    arguments = {
        "p_id": str(uuid4()), "p_model": "talk", "p_persona": scene["persona"]["id"], "p_input": {"say": "x"},
        "p_stream": True, "p_seconds": 60, "p_webhook": "https://example.com", **wrong,
    }  # fmt: skip
    refused = scene["owner"].post("/rpc/create_prediction", json=arguments)
    assert refused.is_error
    rows = scene["service"].get("/predictions", params={"id": f"eq.{arguments['p_id']}"}).json()
    assert rows == []
