"""A backend that is set up wrongly says so at once, by name, with what to do."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from functions import ENDPOINTS, load
from local.stack import ROOT, Stack
from shared.core.errors import Conflict, DatabaseNotMigrated, ForgeError, NotFound, SettingInvalid, SettingMissing
from shared.core.settings import ANTHROPIC, REQUIRED_KEYS, SUPABASE, Settings
from shared.core.store import Store
from tests.support.container import Container
from tests.support.person import Person
from tests.support.postgres import MIGRATIONS, PROGRAMS

WHOLE = dict.fromkeys(REQUIRED_KEYS, "x")


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"SUPABASE_SECRET_KEY": ""}, "setting_missing", "SUPABASE_SECRET_KEY"),
        ({"FORGE_ENGINE": "MuseTalk"}, "setting_invalid", "'MuseTalk'; it may be 'cpu' or 'musetalk'"),
        ({"FORGE_DECODER": "vea"}, "setting_invalid", "FORGE_DECODER"),
    ],
)
def test_a_function_that_cannot_start_answers_why(name: str, change: dict[str, str], code: str, named: str) -> None:
    """Every request gets a problem that names the variable: nobody waits for what never starts, no silent default."""
    app = load(name).build(Settings({**WHOLE, **change}))

    async def ask() -> httpx.Response:
        path = next(path for path, methods in app.openapi()["paths"].items() if "models" not in path)
        method = next(iter(app.openapi()["paths"][path]))
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as http:
                return await http.request(
                    method, path.format_map(dict.fromkeys(("public", "persona_id", "model"), "x"))
                )

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (500, code)
    assert named in answer.json()["detail"]


def test_every_missing_setting_is_named_at_once() -> None:
    """Not one by one, deployment after deployment."""
    with pytest.raises(SettingMissing) as error:
        Settings({"SUPABASE_URL": "x"}).validate(*SUPABASE, *ANTHROPIC)
    for name in ("FORGE_SIGNING_KEY", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY", "ANTHROPIC_API_KEY"):
        assert name in error.value.detail
    with pytest.raises(SettingInvalid, match="FORGE_LOOPBACK_URLS is 'on'"):
        Settings({**WHOLE, "FORGE_LOOPBACK_URLS": "on"}).validate(*SUPABASE)


def test_an_address_may_end_with_a_slash() -> None:
    """As it is copied from a browser: none of the addresses made of it has two."""
    assert Settings({**WHOLE, "FORGE_URL": "https://studio.example.com/"}).forge_url == "https://studio.example.com"


def in_store(stack: Stack, ask: Callable[[Store], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Store.open(Settings(stack.settings)) as store:
            return await ask(store)

    return asyncio.run(run())


def test_a_database_without_our_migrations_is_named(stack: Stack) -> None:
    """A table or a function that is not there: what to do stands in the error, and it is no outage."""
    with pytest.raises(DatabaseNotMigrated, match="supabase db push"):
        in_store(stack, lambda store: store.rows(store.as_service().from_("planets").select("*")))
    with pytest.raises(DatabaseNotMigrated):
        in_store(stack, lambda store: store.call("claim_planet", {}))
    with pytest.raises(DatabaseNotMigrated):
        in_store(stack, lambda store: store.rows(store.as_service().from_("personas").select("shoe_size")))


def test_a_state_that_nobody_foresaw_is_our_bug(stack: Stack, person: Person, persona: dict[str, Any]) -> None:
    """Not the caller's mistake and no outage: 500, with the code of the database and nothing else of it."""
    from uuid import UUID

    from shared.core.auth import User

    user = User(UUID(person.id), person.token)
    arguments = {"p_id": persona["id"], "p_model": "talk", "p_persona": persona["id"], "p_input": {}, "p_stream": True}
    with pytest.raises(ForgeError, match="22003") as error:
        in_store(stack, lambda store: store.call("create_prediction", {**arguments, "p_seconds": 10**12}, user))
    assert (type(error.value), error.value.status) == (ForgeError, 500)


def test_a_file_that_is_not_there_is_no_outage(stack: Stack) -> None:
    """404, and a path that is taken is a conflict."""
    with pytest.raises(NotFound):
        in_store(stack, lambda store: store.get("nobody/nothing.png"))

    async def twice(store: Store) -> None:
        from uuid import uuid4

        path, owner = f"{uuid4()}/a.txt", uuid4()
        await store.put(path, b"a", "text/plain", owner=owner)
        try:
            await store.put(path, b"b", "text/plain", owner=owner)
        finally:
            await store.remove(path)

    with pytest.raises(Conflict):
        in_store(stack, twice)


@pytest.mark.slow
def test_what_goes_wrong_from_500_up_is_logged_with_its_chain(stack: Stack, person: Person, tmp_path: Path) -> None:
    """The line names the places it passed and the errors that caused it, not what they said."""
    log = tmp_path / "container.log"
    container = Container(stack, log, SUPABASE_URL="http://127.0.0.1:9")
    try:
        with container.client(person) as http:
            assert http.get("/v1/personas").status_code == 503
    finally:
        container.close()
    line = next(line for line in log.read_text().splitlines() if "store_unavailable in" in line)
    assert "StoreUnavailable" in line
    assert "ConnectError" in line
    assert "store.py" in line


def test_code_of_this_month_over_last_months_schema_says_what_is_missing(
    stack: Stack, person: Person, portrait_png: bytes
) -> None:
    """What the schema knows goes on; what it does not is named with what to do, and nothing is broken by trying."""
    persona = person.persona(portrait_png)
    where = f"/v1/personas/{persona['id']}"
    language = next(path for path in MIGRATIONS if path.stem.endswith("_language"))
    run_sql(stack, ROOT / "supabase" / "rollbacks" / language.name)
    try:
        assert person.follow(person.talk(persona["id"], say="Good evening."))[4:8] == b"ftyp"
        refused = person.http.post("/v1/personas", json={"name": "Ada", "language": "de"})
        assert (refused.status_code, refused.json()["code"]) == (500, "database_not_migrated")
        assert "supabase db push" in refused.json()["detail"]
        assert person.http.get(where).json()["language"] == ""
    finally:
        run_sql(stack, language)
    assert person.http.patch(where, json={"language": "de"}).json()["language"] == "de"


def run_sql(stack: Stack, file: Path) -> None:
    host = (stack.data / "postgres" / "host").read_text()
    command = [str(PROGRAMS / "psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-h", host, "-U", "postgres"]
    done = subprocess.run([*command, "-d", "postgres", "-f", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
