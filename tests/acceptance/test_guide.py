"""docs/deploy.md by the letter: its commands for the database, with Supabase's own program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import ROOT, free_port
from tests.support.postgres import MIGRATIONS, PROGRAMS, Postgres

pytestmark = pytest.mark.slow
GUIDE = (ROOT / "docs" / "deploy.md").read_text()


@pytest.fixture(scope="module")
def project() -> Iterator[Postgres]:
    """A database in the state of a new hosted project."""
    with Postgres(18, free_port()) as postgres:
        yield postgres


def walk(project: Postgres, home: Path, heading: str, **filled: str) -> list[str]:
    """Run the commands of a section's code blocks, one by one; what each printed. filled: for what stands in < >."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for block in re.findall(r"```\n(.*?)```", section, re.S) for line in block.splitlines()]
    commands = [line for line in lines if not line.startswith("export ")]  # what a person looks up
    assert commands, f"{heading} has no commands"
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        pytest.skip("uv is not here")
    environment = {
        **os.environ, "PATH": f"{Path(uv).parent}:{PROGRAMS}:{os.environ['PATH']}", "DATABASE_URL": project.url,
        "SUPABASE_YES": "1", "SUPABASE_HOME": str(home), "DO_NOT_TRACK": "1", "npm_config_yes": "true",
        "UV_NO_SYNC": "1",
    }  # fmt: skip
    printed = []
    for line in commands:
        command = re.sub(r"<(\w+)>", lambda found: filled[found[1]], line)
        done = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout + done.stderr)
    return printed


def applied(project: Postgres) -> list[str]:
    found = project.query("select version from supabase_migrations.schema_migrations order by 1")
    return [version for [version] in found]


def test_the_database_is_made_by_the_command_and_says_what_the_guide_says(project: Postgres, tmp_path: Path) -> None:
    """Every migration is listed and noted; doing it again changes nothing."""
    [said] = walk(project, tmp_path, "2. Supabase")
    assert all(path.name in said for path in MIGRATIONS)
    assert "Finished supabase db push" in said
    assert applied(project) == [path.name.partition("_")[0] for path in MIGRATIONS]
    assert project.dump() == (ROOT / "supabase" / "schema.sql").read_text()
    [again] = walk(project, tmp_path, "2. Supabase")
    assert "up to date" in again


def test_the_newest_migration_is_taken_back_and_made_again(project: Postgres, tmp_path: Path) -> None:
    """By its file of supabase/rollbacks and the program's list, as under "Upgrade and rollback"."""
    version, _, name = MIGRATIONS[-1].stem.partition("_")
    walk(project, tmp_path, "Upgrade and rollback", version=version, name=name)
    assert applied(project) == [path.name.partition("_")[0] for path in MIGRATIONS[:-1]]
    [said] = walk(project, tmp_path, "2. Supabase")
    assert MIGRATIONS[-1].name in said
    assert MIGRATIONS[0].name not in said
    assert project.dump() == (ROOT / "supabase" / "schema.sql").read_text()
