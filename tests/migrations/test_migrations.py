"""The migrations, there and back, on new hosted projects: no default grants, and a `postgres` that is no superuser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from local.stack import ROOT
from shared.models.registry import models
from tests.support.postgres import MIGRATIONS, Postgres, SqlError

ROLLBACKS = ROOT / "supabase" / "rollbacks"
OURS = "select count(*) from information_schema.tables where table_schema = 'public'"
OF_THE_SERVICE = ("month_limits", "month_usage", "erased_addresses")
FUNCTIONS = "select count(*) from pg_proc where pronamespace = 'public'::regnamespace"
TYPES = "select count(*) from pg_type where typnamespace = 'public'::regnamespace"


@pytest.fixture(scope="module", params=[15, 18])
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with Postgres(request.param) as server:
        for path in MIGRATIONS:
            server.file(path)
        yield server


@pytest.mark.parametrize("version", [15, 18])
def test_every_migration_has_a_way_back(version: int) -> None:
    """Up, each one back and up again, then all the way down: nothing of ours is left, and up once more."""
    with Postgres(version) as server:
        empty = [server.query(sql) for sql in (OURS, FUNCTIONS, TYPES)]
        for path in MIGRATIONS:
            server.file(path)
        whole = server.dump()
        for path in reversed(MIGRATIONS):
            server.file(ROLLBACKS / path.name)
        assert [server.query(sql) for sql in (OURS, FUNCTIONS, TYPES)] == empty
        for path in MIGRATIONS:
            server.file(path)
            before = server.dump()
            server.file(ROLLBACKS / path.name)
            server.file(path)
            assert server.dump() == before, path.name
        assert server.dump() == whole


def test_code_of_before_works_on_a_schema_of_after() -> None:
    """A migration takes away no table, column or function that deployed code uses, and asks nothing new of its rows."""
    columns = "select table_name, column_name from information_schema.columns where table_schema = 'public'"
    calls = (
        "select proname, pg_get_function_identity_arguments(oid) from pg_proc "
        "where pronamespace = 'public'::regnamespace"
    )
    needed = f"{columns} and is_nullable = 'NO' and column_default is null and is_identity = 'NO'"
    with Postgres(18) as server:
        server.file(MIGRATIONS[0])
        for path in MIGRATIONS[1:]:
            before = [{tuple(row) for row in server.query(sql)} for sql in (columns, calls, needed)]
            server.file(path)
            after = [{tuple(row) for row in server.query(sql)} for sql in (columns, calls, needed)]
            tables = {table for table, _ in before[0]}
            assert before[0] <= after[0], path.name
            assert before[1] <= after[1], path.name
            assert not {(table, column) for table, column in after[2] - before[2] if table in tables}, path.name


def test_a_model_goes_back_with_what_was_made_by_it() -> None:
    """Its migration can be taken back on a database that is used, and made again."""
    loop = next(path for path in MIGRATIONS if path.stem.endswith("_loop"))
    with Postgres(18) as server:
        for path in MIGRATIONS:
            server.file(path)
        [[owner]] = server.query(
            "insert into auth.users (id) values (gen_random_uuid()) returning id", "supabase_admin"
        )
        server.query(f"select public.ensure_account('{owner}')")
        for model, code in (("loop", 5), ("clip", 4)):
            values = f"gen_random_uuid(), '{owner}', '{model}', {code}, '{{}}', 'succeeded', now()"
            server.query(
                "insert into public.predictions (id, owner, model, model_code, input, status, deadline) "
                f"values ({values})", "supabase_admin",
            )  # fmt: skip
        server.file(ROLLBACKS / loop.name)
        assert server.query("select model from public.predictions") == [["clip"]]
        server.file(loop)
        assert server.query("select count(*) from public.models where name = 'loop'") == [["1"]]


def test_the_schema_says_which_migration_is_its_newest(postgres: Postgres) -> None:
    """`forge doctor` goes by it: whoever adds a migration replaces the function."""
    assert postgres.query("select public.schema_version()") == [[MIGRATIONS[-1].name.partition("_")[0]]]


def test_who_comes_back_after_an_erasure_gets_no_second_welcome(postgres: Postgres) -> None:
    """By the same address, however it is written; of it a digest is kept. Others are welcome."""

    def balance(address: str) -> float:
        [[owner]] = postgres.query(
            f"insert into auth.users (id, email) values (gen_random_uuid(), '{address}') returning id", "supabase_admin"
        )
        postgres.query(f"select public.ensure_account('{owner}')")
        [[found]] = postgres.query(f"select balance from public.accounts where owner = '{owner}'")
        postgres.query(f"select public.erase_account('{owner}')")
        postgres.query(f"delete from auth.users where id = '{owner}'", "supabase_admin")
        return float(found)

    assert balance("Grace@example.com") == 5000
    assert balance("grace@example.com") == balance("grace+2@Example.com") == 0
    assert balance("ada@example.com") == 5000
    assert postgres.query("select count(*) from public.erased_addresses") == [["2"]]


def test_schema_sql_is_what_the_migrations_make(postgres: Postgres) -> None:
    """The same on 15 and 18. Generate it anew: python -m tests.support.postgres > supabase/schema.sql"""
    assert postgres.dump() == (ROOT / "supabase" / "schema.sql").read_text()


def test_realtime_is_told_of_predictions_and_of_nothing_else(postgres: Postgres) -> None:
    """The table is in Realtime's publication; whose rows a subscriber sees is decided by row-level security."""
    published = postgres.query("select tablename from pg_publication_tables where pubname = 'supabase_realtime'")
    assert published == [["predictions"]]
    assert postgres.query("select relrowsecurity from pg_class where oid = 'public.predictions'::regclass") == [["t"]]


def test_the_table_of_models_says_what_their_files_say(postgres: Postgres) -> None:
    """Code, reservation and needs: enforced in the database, declared in shared/models."""
    rows = postgres.query("select name, code, reserve::int, seconds, array_to_string(needs, ',') from public.models")
    declared = [
        [model.name, str(model.code), str(model.reserve), str(model.seconds), ",".join(model.needs)]
        for model in models().values()
    ]
    assert sorted(rows) == sorted(declared)


def test_what_is_granted_is_what_is_written_down(postgres: Postgres) -> None:
    """To anon, authenticated and the backend, on every table, and nothing that a project may have left to them."""
    sql = """
        select table_name, grantee, string_agg(privilege_type, ',' order by privilege_type)
        from information_schema.role_table_grants
        where table_schema = 'public' and grantee in ('anon', 'authenticated', 'service_role') group by 1, 2
    """
    granted = {(table, role): privileges for table, role, privileges in postgres.query(sql)}
    tables = {table for table, _ in granted}
    expected = {(table, "service_role"): "DELETE,INSERT,SELECT,UPDATE" for table in tables}
    expected |= {(table, "authenticated"): "SELECT" for table in tables}
    for hidden in ("recent_requests", "footage_searches", "channels", "consents", "youtube_quota", *OF_THE_SERVICE):
        del expected[hidden, "authenticated"]
    expected |= {("personas", "authenticated"): "INSERT,SELECT", ("models", "anon"): "SELECT"}
    assert granted == expected
    assert len(tables) == int(postgres.query(OURS)[0][0])
    unprotected = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' "
    assert postgres.query(unprotected + "and not relrowsecurity") == []


def test_functions_are_called_by_whom_they_are_for(postgres: Postgres) -> None:
    """Some by users, for themselves; nothing by anybody who has not signed in."""
    sql = """
        select p.proname from pg_proc p
        where p.pronamespace = 'public'::regnamespace and has_function_privilege('{}', p.oid, 'execute') order by 1
    """
    assert postgres.query(sql.format("anon")) == []
    theirs = [
        ["audience"], ["billing"], ["change_persona"], ["create_prediction"], ["create_project"], ["ledger"],
        ["project_costs"], ["project_stats"],
    ]  # fmt: skip
    assert postgres.query(sql.format("authenticated")) == theirs
    of_ours = "select p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace "
    unsafe = of_ours + "and p.prosecdef and not coalesce(p.proconfig::text like '%search_path%', false)"
    assert postgres.query(unsafe) == []


def test_booking_without_an_account_is_an_error(postgres: Postgres) -> None:
    """Never a line of the ledger that no balance has."""
    with pytest.raises(SqlError, match="has no account"):
        postgres.query(f"select public.book('{uuid4()}', 'grant', 10)")
    assert postgres.query("select count(*) from public.usage where credits = 10") == [["0"]]


def test_an_account_gets_its_welcome_once_and_a_payment_is_booked_once(postgres: Postgres) -> None:
    """However often it is made sure of, and however often a payment is reported."""
    owner = uuid4()
    for _ in range(3):
        assert postgres.query(f"select (public.ensure_account('{owner}')).balance::int") == [["5000"]]
    book = f"select public.book('{owner}', 'purchase', 700, null, 'cs_{owner}')"
    assert [postgres.query(book), postgres.query(book)] == [[["t"]], [["f"]]]
    postgres.query(f"select public.book('{owner}', 'refund', -700, null, 're_{owner}')")
    lines = postgres.query(f"select kind, credits::int from public.usage where owner = '{owner}' order by id")
    assert lines == [["grant", "5000"], ["purchase", "700"], ["refund", "-700"]]
    assert postgres.query(f"select balance::int from public.accounts where owner = '{owner}'") == [["5000"]]
    with pytest.raises(SqlError, match="usage_kind_check"):
        postgres.query(f"select public.book('{owner}', 'gift', 1)")


def test_files_lose_their_referrer_with_its_row(postgres: Postgres) -> None:
    """Whatever refers to them: no kind of file is named in SQL."""
    owner, persona = uuid4(), uuid4()
    postgres.query(f"""
        insert into public.personas (id, owner, name) values ('{persona}', '{owner}', 'Ada');
        insert into public.files (path, owner, referrer, content_type, bytes, created_at)
        values ('{owner}/a.xyz', '{owner}', '{persona}', 'a/b', 1, now() - interval '1 hour')
    """)
    sweep = f"select * from public.unreferenced_files() as path where path like '{owner}%'"
    assert postgres.query(sweep) == []
    postgres.query(f"delete from public.personas where id = '{persona}'")
    assert postgres.query(sweep) == [[f"{owner}/a.xyz"]]


def test_a_row_with_the_id_of_anothers_lets_go_of_nothing(postgres: Postgres) -> None:
    """Whoever creates a persona under the id of somebody's prediction and removes it does not reach its files."""
    victim, other, known = uuid4(), uuid4(), uuid4()
    postgres.query(f"""
        insert into public.files (path, owner, referrer, content_type, bytes)
        values ('{victim}/v.mp4', '{victim}', '{known}', 'video/mp4', 1);
        insert into public.personas (id, owner, name) values ('{known}', '{other}', 'Mallory')
    """)
    assert postgres.query(f"select public.remove_persona('{known}', '{other}')") == [["{}"]]
    kept = f"select referrer from public.files where owner = '{victim}'"
    assert postgres.query(kept) == [[str(known)]]


def test_a_migration_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """Each file is applied whole or not at all, and what is missing can be applied later."""
    with Postgres(18) as server:
        for path in MIGRATIONS[:3]:
            server.file(path)
        broken = tmp_path / "broken.sql"
        tmp_path.chmod(0o755)
        broken.write_text(MIGRATIONS[3].read_text() + "\nselect 1 / 0;\n")
        with pytest.raises(SqlError, match="division by zero"):
            server.file(broken)
        for path in MIGRATIONS[3:]:
            server.file(path)
        assert server.dump() == (ROOT / "supabase" / "schema.sql").read_text()


def test_a_payer_who_is_deleted_before_stripe_tells_of_it_leaves_a_whole_ledger(postgres: Postgres) -> None:
    """Accounts, orders and their ledger are not gone with the sign-in; a second report changes nothing."""
    user, order = str(uuid4()), str(uuid4())
    postgres.query(f"insert into auth.users (id, email) values ('{user}', '{user}@example.com')")
    values = f"'{order}', '{user}', 'small', 5000, 500, 'usd', false"
    postgres.query(f"insert into public.orders (id, owner, pack, credits, amount, currency, live) values ({values})")
    postgres.query(f"delete from auth.users where id = '{user}'")
    for seen in (0, 0):
        postgres.query(f"select public.follow_order('{order}', {seen}, 'cs_test_1', 'paid', 0, 0)")
    ledger = f"select kind, credits from public.usage where owner = '{user}' and kind <> 'grant'"
    assert postgres.query(ledger) == [["purchase", "5000.000"]]
