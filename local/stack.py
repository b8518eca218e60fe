"""The embedded stack: Supabase Lite, the vendors' stand-ins and the functions, each a process on 127.0.0.1."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import platformdirs

from local import certificates, page
from local.node_packages import NodeError, install, locked, node
from local.users import USER, user_token

ROOT = Path(__file__).parent.parent
_NODE_HOME = ROOT / "local" / "node"
_CLI = _NODE_HOME / "node_modules" / "@supabase" / "lite" / "dist" / "cli" / "index.js"

_DATABASE = "pg"  # PGlite's folder, within that of the stack

# Processes of ours; the others are what they talk to.
_WORKING = ("talk", "worker", "cron")
_FUNCTIONS = (*_WORKING, "functions")

_TEMPLATE_KEPT = 30 * 24 * 3600  # seconds

# A provider is real when its key stands in .env; else its stand-in is started.
PROVIDERS = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "elevenlabs": ("ELEVENLABS_API_KEY", "ELEVENLABS_BASE_URL"),
    "replicate": ("REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"),
    "fal": ("FAL_KEY", "FAL_BASE_URL"),
    "pexels": ("PEXELS_API_KEY", "PEXELS_BASE_URL"),
    "stripe": ("STRIPE_SECRET_KEY", "STRIPE_BASE_URL"),
    "youtube": ("YOUTUBE_CLIENT_SECRET", "YOUTUBE_BASE_URL"),
}
_PREFIXES = {"stripe": "sk_test_"}  # of keys that say by themselves what they are


class StackError(Exception):
    """The stack could not start; the text says which part, why, and where its log is."""


@dataclass
class _Process:
    name: str
    popen: subprocess.Popen[bytes]
    ready_url: str
    log: Path


class Stack:
    """Use as a context manager: entering starts everything, leaving ends every process it started.

    data: folder for the database, files, secrets and logs, kept between runs. port: of the functions, 0 for a
    free one. env: what stands in .env. say: told what is being done.
    """

    def __init__(
        self,
        data: Path,
        port: int = 0,
        env: Mapping[str, str | None] | None = None,
        say: Callable[[str], None] = lambda _: None,
        *,
        postgres: bool = False,
    ) -> None:
        self.data, self._say, self._postgres = data, say, postgres
        self.env = {key: value for key, value in (env or {}).items() if value}
        self.url = f"http://127.0.0.1:{port or free_port()}"
        self.addresses: dict[str, str] = {}
        self.settings: dict[str, str] = {}
        self._processes: list[_Process] = []
        self._lock: IO[str] | None = None

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End who works on predictions, as they settle them, then who passes on, then what they all talk to."""
        for names in (_WORKING, _FUNCTIONS):
            _end([process for process in self._processes if process.name in names])
        _end([process for process in self._processes if process.name not in _FUNCTIONS])
        self._processes.clear()
        if self._lock:
            self._lock.close()

    def reset(self) -> None:
        """Forget everything kept from earlier runs. Only before the start."""
        if self.data.exists():
            self._hold()
            shutil.rmtree(self.data)
            if self._lock:
                self._lock.close()

    def real(self, provider: str) -> bool:
        """Whether a provider (or supabase) is used for real."""
        return bool(self.env.get("SUPABASE_URL" if provider == "supabase" else PROVIDERS[provider][0]))

    def user(self, email: str = USER) -> str:
        """An access token of a user, who is signed up first where necessary."""
        token = user_token(self.settings, self._secrets()["password"], email)
        if not token:
            raise StackError(f"Supabase gave no access token for {email}.")
        return token

    @property
    def pids(self) -> dict[str, int]:
        """Of each process's supervisor, by name."""
        return {process.name: process.popen.pid for process in self._processes}

    def check(self) -> None:
        """Raises StackError when a process has ended by itself."""
        for process in self._processes:
            if process.popen.poll() is not None:
                raise StackError(_ended(process))

    def _start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self._hold()
        self._claim_port()
        try:
            page.build(self._say)
        except NodeError as error:
            raise StackError(str(error)) from error
        (self.data / "logs").mkdir(exist_ok=True)
        kept = self._secrets()
        self.settings = {**self.env, "FORGE_URL": self.url, "FORGE_SIGNING_KEY": kept["signing"]}
        self.settings["FORGE_LOOPBACK_URLS"] = "yes"
        if not self.env.get("FORGE_C2PA_CHAIN"):
            self.settings["FORGE_C2PA_CHAIN"], self.settings["FORGE_C2PA_KEY"] = certificates.own(self.data)
        for name, (key, base_url) in PROVIDERS.items():
            if not self.real(name):
                self.settings[key] = _PREFIXES.get(name, "") + kept["standin"]
                self.settings[base_url] = self._stand_in(name, kept["standin"])
        if not self.real("replicate"):
            self.settings.setdefault("FORGE_IDLE_MODEL", "wan-video/wan-2.7-i2v")
        if not self.real("fal"):
            self.settings["FAL_KEYS_URL"] = f"{self.settings['FAL_BASE_URL']}/.well-known/jwks.json"
        if not self.real("youtube"):
            url = self.settings["YOUTUBE_BASE_URL"]
            of_google = {"GOOGLE_CONSENT_URL": f"{url}/consent", "GOOGLE_TOKEN_URL": url, "YOUTUBE_ANALYTICS_URL": url}
            self.settings |= {"YOUTUBE_CLIENT_ID": "standin", **of_google}
        if not self.real("stripe"):
            self.settings |= {"STRIPE_WEBHOOK_SECRET": kept["standin"], "FORGE_TEST_SALES": "yes"}
        if not self.real("supabase"):
            self._supabase(kept)
        self._modal(kept)
        talk_url = self._uvicorn("talk", "functions.talk:build", free_port(), self.settings, "--factory")
        port = self.url.rpartition(":")[2]
        own = {"TALK_URL": talk_url, "LOCAL_PASSWORD": kept["password"]}
        self._uvicorn("functions", "local.gateway:app", int(port), {**self.settings, **own})
        command = [sys.executable, "-m", "local.cron"]
        self._spawn("cron", command, {**self.settings, "PYTHONUNBUFFERED": "1"}, "", ROOT)
        self._await_ready()

    def _hold(self) -> None:
        # Two databases in one folder would silently lose writes. The database inherits this lock, so that
        # it holds as long as the database lives, even when this process was killed.
        lock = (self.data / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise StackError(f"{self.data} is in use by another forge. Stop that one first.") from error
        self._lock = lock

    def _claim_port(self) -> None:
        port = int(self.url.rpartition(":")[2])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise StackError(f"Port {port} is in use by another program. Choose another with --port.") from error

    def _secrets(self) -> dict[str, str]:
        path = self.data / "secrets.json"
        if not path.exists():
            made = {
                name: secrets.token_hex(24)
                for name in ("jwt", "signing", "standin", "publishable", "secret", "password")
            }
            path.touch(mode=0o600)
            path.write_text(json.dumps(made))
        found: dict[str, str] = json.loads(path.read_text())
        return found

    def _stand_in(self, name: str, key: str) -> str:
        port = free_port()
        speed = {"STANDIN_TOKENS_PER_SECOND": self.env.get("STANDIN_TOKENS_PER_SECOND", "80")}
        hook = {"STANDIN_WEBHOOK": f"{self.url}/v1/billing/stripe", "STANDIN_WEBHOOK_SECRET": key}
        return self._uvicorn(name, f"local.{name}:app", port, {"STANDIN_KEY": key, **speed, **hook}, "--no-date-header")

    def _modal(self, kept: dict[str, str]) -> None:
        """The control plane, and the worker that it gives spawned functions to."""
        port, worker = free_port(), free_port()
        self.settings |= {
            "MODAL_SERVER_URL": f"http://127.0.0.1:{port}",
            "MODAL_TOKEN_ID": "ak-embedded",
            "MODAL_TOKEN_SECRET": kept["standin"],
            "MODAL_DISABLE_API_PROXY": "1",
        }
        self._uvicorn("worker", "local.worker:app", worker, self.settings)
        ports = {"MODAL_PORT": str(port), "WORKER_URL": f"http://127.0.0.1:{worker}"}
        self._uvicorn("modal", "local.modal:app", free_port(), {**self.settings, **ports})

    def _kept_port(self) -> int:
        """The database's port of the run before, where it is free: addresses of files stay what they were."""
        note = self.data / "port"
        port = int(note.read_text()) if note.exists() else free_port()
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                port = free_port()
        note.write_text(str(port))
        return port

    def _supabase(self, kept: dict[str, str]) -> None:
        port = self._kept_port()
        given = {
            "SUPABASE_URL": f"http://127.0.0.1:{port}",
            "SUPABASE_JWT_SECRET": kept["jwt"],
            "SUPABASE_PUBLISHABLE_KEY": f"sb_publishable_{kept['publishable']}",
            "SUPABASE_SECRET_KEY": f"sb_secret_{kept['secret']}",
        }
        self.settings.update(given)
        with locked(_NODE_HOME):
            if not _CLI.exists():
                self._say("installing Supabase Lite (once, about 150 MB)")
            install(_NODE_HOME / "package.json", _NODE_HOME)
        project = self.data / "supabase"
        project.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / "local" / "lite.toml", project / "config.toml")
        shutil.copytree(ROOT / "supabase" / "migrations", project / "migrations", dirs_exist_ok=True)
        env = {**given, "LITE_PORT": str(port), "EXPERIMENTAL_STORAGE": "1", "DO_NOT_TRACK": "1"}
        env |= self._database()
        self._migrate(env)
        command = [*_lite(), "start", "--host", "127.0.0.1", "--no-admin"]
        self._spawn("supabase", command, env, f"{given['SUPABASE_URL']}/storage/v1/status", self.data)

    def _database(self) -> dict[str, str]:
        if not self._postgres:
            return {"LITE_DRIVER": "pglite", "LITE_DATABASE": _DATABASE}
        folder = self.data / "postgres"
        folder.mkdir(exist_ok=True)
        host = folder / "host"
        host.unlink(missing_ok=True)
        self._spawn("postgres", [sys.executable, "-m", "local.postgres", str(folder)], {}, "", ROOT)
        limit = time.monotonic() + 60
        while not host.exists() or not host.read_text():
            self.check()
            if time.monotonic() > limit:
                raise StackError(f"Postgres was not ready within 60 s. Its log: {self._processes[-1].log}")
            time.sleep(0.05)
        return {
            "LITE_DRIVER": "postgres",
            "LITE_DATABASE": "postgres:///postgres",
            "PGHOST": host.read_text(),
            "PGUSER": "postgres",
        }

    def _migrate(self, env: dict[str, str]) -> None:
        files = sorted((ROOT / "supabase" / "migrations").glob("*.sql"))
        wanted = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        mark = self.data / "migrated.json"
        applied = json.loads(mark.read_text()) if mark.exists() else {}
        if applied == wanted:
            return
        if any(wanted.get(name) != digest for name, digest in applied.items()):  # what is applied is not applied again
            raise StackError(
                f"The data in {self.data} were made by an earlier version, whose migrations have changed since. "
                "Remove that folder, or run forge up --reset."
            )
        state = json.dumps(wanted)
        # A new database is a copy of one that was migrated before: four seconds of a core less.
        fresh = not (mark.exists() or self._postgres or (self.data / _DATABASE).exists())
        template = _template(state) if fresh else None
        if template and template.exists():
            part = self.data / f"{_DATABASE}.part"  # a start that is ended here leaves no half database
            shutil.rmtree(part, ignore_errors=True)
            shutil.copytree(template, part)
            part.rename(self.data / _DATABASE)
            os.utime(template)
        else:
            self._say("applying the migrations")
            done = subprocess.run(  # noqa: S603
                [*_lite(), "migration", "up"], cwd=self.data, env=_environment(env),
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                raise StackError(
                    f"A migration failed. Data of an earlier version? Remove {self.data}, or forge up --reset.\n"
                    f"{(done.stderr or done.stdout)[-2000:]}"
                )
            if template:
                _keep_template(self.data / _DATABASE, template)
        mark.write_text(state)

    def _uvicorn(self, name: str, app: str, port: int, env: Mapping[str, str], *options: str) -> str:
        # Idle connections are kept longer than clients keep theirs (httpx: 5 s, as uvicorn by itself): a server that
        # closes first now and then resets a request that is on its way.
        command = [
            sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port),
            "--log-level", "warning", "--no-access-log",
            "--timeout-graceful-shutdown", "2", "--timeout-keep-alive", "65", *options,
        ]  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        self._spawn(name, command, env, f"{url}/_faults" if name not in _FUNCTIONS else url, ROOT)
        return url

    def _spawn(self, name: str, command: list[str], env: Mapping[str, str], ready_url: str, cwd: Path) -> None:
        assert self._lock
        log = self.data / "logs" / f"{name}.log"
        if log.exists():  # of the run before: it may tell why that one ended
            log.replace(log.with_suffix(".log.1"))
        supervised = [sys.executable, str(ROOT / "local" / "supervisor.py"), *command]
        with log.open("wb") as out:
            popen = subprocess.Popen(  # noqa: S603
                supervised, cwd=cwd, env=_environment(env), stdin=subprocess.PIPE, stdout=out, stderr=out,
                pass_fds=(self._lock.fileno(),) if name == "supabase" else (), start_new_session=True,
            )  # fmt: skip
        self._processes.append(_Process(name, popen, ready_url, log))
        if ready_url:
            self.addresses[name] = ready_url.removesuffix("/_faults").removesuffix("/storage/v1/status")

    def _await_ready(self) -> None:
        limit = time.monotonic() + 60
        waiting = [process for process in self._processes if process.ready_url]
        with httpx.Client(timeout=2, trust_env=False) as http:
            while waiting:
                self._say(f"starting {', '.join(process.name for process in waiting)}")
                for process in list(waiting):
                    if process.popen.poll() is not None:
                        raise StackError(_ended(process))
                    try:
                        if http.get(process.ready_url).status_code < 500:
                            waiting.remove(process)
                    except httpx.TransportError:
                        pass
                if waiting and time.monotonic() > limit:
                    raise StackError(f"{waiting[0].name} was not ready within 60 s. Its log: {waiting[0].log}")
                time.sleep(0.05)


def _end(processes: list[_Process]) -> None:
    """Let go of them, wait, and kill what does not end."""
    processes = [process for process in processes if process.popen.poll() is None]
    for process in processes:
        assert process.popen.stdin
        process.popen.stdin.close()
    for process in processes:
        try:
            process.popen.wait(6)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()


def _ended(process: _Process) -> str:
    tail = process.log.read_text(errors="replace")[-1500:]
    return f"{process.name} ended with code {process.popen.returncode}. Its log ({process.log}):\n{tail}"


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a child sees: the machine's paths and our settings, no proxy between 127.0.0.1 and itself."""
    kept = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
    private = {key for names in PROVIDERS.values() for key in names} | {"STANDIN_KEY"}
    kept = {key: value for key, value in kept.items() if not key.startswith("MODAL_")}
    return {**{k: v for k, v in kept.items() if k not in private}, "NO_PROXY": "*", **extra}


def _lite() -> list[str]:
    """Supabase Lite's command line, with a hosted project's default grants (none) and way of serving files."""
    hooks = [(ROOT / "local" / "node" / name).as_uri() for name in ("hosted_grants.mjs", "kept_files.mjs")]
    return [node(), *(part for hook in hooks for part in ("--import", hook)), str(_CLI)]


def _template(state: str) -> Path:
    """Where the database lies that has these migrations and was made by this Supabase Lite."""
    maker = b"".join(path.read_bytes() for path in sorted(_NODE_HOME.glob("*.*")))
    name = hashlib.sha256(state.encode() + maker).hexdigest()[:16]
    return platformdirs.user_cache_path("personaforge") / "databases" / name


def _keep_template(database: Path, template: Path) -> None:
    """Of several stacks that start at once, any one's. Templates of other versions go."""
    template.parent.mkdir(parents=True, exist_ok=True)
    for other in template.parent.iterdir():
        with suppress(FileNotFoundError):  # of another stack that starts just now
            if time.time() - other.stat().st_mtime > _TEMPLATE_KEPT:
                shutil.rmtree(other, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix="part-", dir=template.parent))
    shutil.copytree(database, part, dirs_exist_ok=True)
    try:
        part.rename(template)
    except OSError:  # another one was faster
        shutil.rmtree(part)


# Below what systems hand out to outgoing connections (from 32768 or 49152 on): a port that is free there is not taken
# by chance before its server has started. In an order of their own, so that two stacks that start at once differ.
_PORTS = itertools.cycle(random.sample(range(20_000, 32_000), 12_000))


def free_port() -> int:
    """A port on which nothing listens; never the same twice."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
