"""The command line: `forge demo`, `forge up`, and a look at what goes on: `jobs`, `videos`, `replay`, `doctor`."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import click
import httpx
import typer
from dotenv import dotenv_values
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from local import diagnostics
from local.openapi import document
from local.routes import vercel
from local.stack import PROVIDERS, ROOT, Stack, StackError
from shared.core.errors import FaceModelsMissing, ForgeError
from shared.core.settings import Settings
from shared.lipsync import face_models
from shared.personas.voice import VOICES

cli = typer.Typer(help="PersonaForge on this machine.", no_args_is_help=True, add_completion=False)
console = Console(stderr=True, highlight=False)
DATA = Path(os.environ.get("FORGE_DATA") or ROOT / ".forge").absolute()
QUESTION = "Hello! Who are you, and what do you see when you look at the night sky?"
EXAMPLE = {"name": "Ada", "appearance": "a friendly woman with auburn hair and round glasses"}
STRANGER = {"name": "Robin", "description": "Friendly, curious and clear."}  # in a photo that comes without a name
ADA = {
    "name": "Ada",
    "description": "A warm-hearted astronomer. She runs a small observatory; she loves the moons of Jupiter.",
    "appearance": "A friendly young woman astronomer with auburn wavy hair, a teal sweater, slate background",
}


@cli.command()
def demo(
    ask: Annotated[str | None, typer.Option(help="The persona answers this.")] = None,
    say: Annotated[str | None, typer.Option(help="The persona says exactly this.")] = None,
    photo: Annotated[
        Path | None,
        typer.Option(
            help="A photo instead of the drawn portrait; you say that its person agrees.", exists=True, dir_okay=False
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="What the persona is called; asked for with a photo.")] = None,
    voice: Annotated[str | None, typer.Option(help="woman, man, neutral, or an id of ElevenLabs.")] = None,
    out: Annotated[Path, typer.Option(help="Where the video goes.")] = Path("talk.mp4"),
    size: Annotated[int, typer.Option(help="512 or 1024 pixels.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, all else on stderr.")] = False,
) -> None:
    """A persona answers, on video; then everything that was started is stopped."""
    if ask is not None and say is not None:
        _stop("Use --ask or --say, not both.", 2)
    if out.is_dir() or not out.absolute().parent.is_dir():
        _stop(f"{out} cannot be written: name a file in a folder that exists.", 2)
    if size not in (512, 1024):
        _stop("--size is 512 or 1024.", 2)
    if not (say or ask or QUESTION).strip() or "" in (say, ask):
        _stop("The text is blank. Write what is to be said or asked.", 2)
    talk_input = {"say": say} if say is not None else {"message": ask if ask is not None else QUESTION}
    persona = dict(STRANGER if photo else ADA)
    if photo:
        _look_at(photo)
        if name is None and not as_json and sys.stdin.isatty():
            name = typer.prompt("What is the persona called?", default=persona["name"], err=True)
            voice = voice or typer.prompt("Which voice (woman, man, neutral)?", default="neutral", err=True)
    persona |= {"name": name} if name else {}
    persona |= {"voice_id": VOICES.get(voice, voice)} if voice else {}
    with _running(DATA / "demo", 0) as stack, console.status("signing up") as status, _api(stack) as http:
        result = _Demo(http, status).run(persona, photo, {**talk_input, "size": size}, out)
    if as_json:
        print(json.dumps(result))
    else:
        _show(result)


@cli.command()
def film(
    idea: Annotated[str, typer.Argument(help="What the film is about, in a sentence.")],
    shape: Annotated[list[str] | None, typer.Option(help="wide, tall or square; more than once for several.")] = None,
    seconds: Annotated[int, typer.Option(help="About how long.")] = 60,
    out: Annotated[Path, typer.Option(help="Folder for the films, captions and receipt.")] = Path("film"),
    yes: Annotated[bool, typer.Option("--yes", help="Take the first script, and the film as it is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout, all else on stderr.")] = False,
) -> None:
    """An idea becomes a film: scripts to choose from, the persona's voice, shots, captions, a report of its checks."""
    shapes = list(dict.fromkeys(shape or ["wide"]))
    if set(shapes) - {"wide", "tall", "square"}:
        _stop("--shape is wide, tall or square.", 2)
    if not yes and (as_json or not sys.stdin.isatty()):
        _stop("Somebody has to choose a script and look at the film: run it in a terminal, or with --yes.", 2)
    if out.exists() and not out.is_dir():
        _stop(f"{out} is a file; name a folder.", 2)
    out.mkdir(parents=True, exist_ok=True)
    with _running(DATA / "demo", 0) as stack, console.status("signing up") as status, _api(stack) as http:
        asked = {"idea": idea, "seconds": seconds, "shapes": shapes}
        result = _Film(http, status).make(dict(ADA), asked, out, yes=yes)
    print(json.dumps(result)) if as_json else _show_film(result)


@cli.command()
def up(
    port: Annotated[int, typer.Option(help="Where the functions listen.")] = 8000,
    postgres: Annotated[bool, typer.Option("--postgres", help="A real Postgres with many connections.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Forget all data of earlier runs.")] = False,
) -> None:
    """Keep everything running on http://127.0.0.1:8000 until Ctrl-C; data stay between runs."""
    data = DATA / ("up-postgres" if postgres else "up")
    _fetch_face_models()
    with _running(data, port, reset=reset, postgres=postgres) as stack, _noted(stack):
        token = stack.user()
        console.print(f"\n[bold]Ready.[/] The player page:\n{stack.url}/#token={token}\n", soft_wrap=True)
        for name, address in stack.addresses.items():
            console.print(f"  {name:<11} {address}")
        console.print(f"\nA user's token, good for a week:\n{token}\n\nTry:", soft_wrap=True)
        console.print(
            f"curl -s {stack.url}/v1/personas -H 'Authorization: Bearer {token}' \\\n"
            f"  -H 'Content-Type: application/json' -d '{json.dumps(EXAMPLE)}'",
            soft_wrap=True,
        )
        console.print(f"\nData and logs: {data}. Ctrl-C stops everything.")
        while True:
            time.sleep(1)
            stack.check()


@cli.command()
def jobs(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Recent predictions, those unfinished for over two minutes, and failed ones with reason and provider id."""
    found = _ask(diagnostics.jobs)
    print(json.dumps(found)) if as_json else diagnostics.show_jobs(Console(highlight=False), found)


@cli.command()
def videos(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Every persona and its videos, with links."""
    found = _ask(diagnostics.videos)
    print(json.dumps(found)) if as_json else diagnostics.show_videos(Console(highlight=False), found)


@cli.command()
def replay(
    prediction: Annotated[str, typer.Argument(help="A prediction's id, or its row as `forge jobs` shows it.")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Send the webhooks of a prediction again. Exits 1 when one did not arrive, or there are none."""
    found = _ask(lambda settings: diagnostics.replay(settings, prediction))
    if not found and not as_json:
        _stop(f"{prediction} has no webhooks: it was made without one, or there is no such prediction.", 1)
    print(json.dumps(found)) if as_json else diagnostics.show_deliveries(Console(highlight=False), found)
    raise SystemExit(0 if found and all(row["delivered_at"] for row in found) else 1)


@cli.command()
def openapi() -> None:
    """Print the OpenAPI document of all functions together."""
    print(json.dumps(document(), indent=2))


@cli.command()
def routes() -> None:
    """Print the routes of all functions for Vercel: web/vercel.json."""
    print(json.dumps(vercel(), indent=2))


@cli.command()
def attack(
    url: Annotated[str | None, typer.Argument(help="Of a backend on this machine; else one is started.")] = None,
    token: Annotated[str, typer.Option(envvar="FORGE_TOKEN", help="A user's access token, where a url is given.")] = "",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Send everything in tests/attacks. Exits 1 when something does not hold."""
    from local import attack as attacks

    try:
        if url:
            attacks.check_loopback(url)
            tried, failures = attacks.run(attacks.prepare(url.rstrip("/"), token))
        else:
            with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack:
                tried, failures = attacks.run_on(stack)
    except (ForgeError, httpx.HTTPError) as error:
        _stop(getattr(error, "detail", str(error)))
    if as_json:
        print(json.dumps({"tried": tried, "failed": len(failures), "failures": [asdict(one) for one in failures]}))
    else:
        for one in failures:
            print(f"{one.kind}: {one.name}: {one.request}: {one.problem}")
        print(f"{tried} tried, {len(failures)} failed")
    raise SystemExit(1 if failures else 0)


@cli.command()
def doctor(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Settings, reachability, keys, migrations, clock. Exits 1 when something is wrong."""
    checks = _ask(diagnostics.doctor)
    if as_json:
        print(json.dumps([asdict(check) for check in checks]))
    else:
        diagnostics.show_checks(Console(highlight=False), checks)
    raise SystemExit(0 if all(check.ok for check in checks) else 1)


def _look_at(photo: Path) -> None:
    """Refuse a photo that cannot speak before anything is started; say what one should know of the others."""
    from shared.lipsync.face import WARNINGS
    from shared.lipsync.picture import read_picture

    try:
        with console.status("fetching the models that find faces (once, 36 MB)"):
            face_models.fetch(face_models.models_folder())
        face = read_picture(photo.read_bytes()).face
    except ForgeError as error:
        _stop(f"{photo.name}: {error.detail}", 1)
    for code in face.warnings:
        console.print(f"[yellow]{escape(photo.name)}:[/] {WARNINGS[code]}")


def _fetch_face_models() -> None:
    """What portraits are looked at with; without it all but photos works."""
    try:
        with console.status("fetching the models that find faces (once, 36 MB)"):
            face_models.fetch(face_models.models_folder())
    except FaceModelsMissing as error:
        console.print(f"[yellow]Photos cannot be read:[/] {escape(error.detail)}", soft_wrap=True)


T = TypeVar("T")
_RUNNING = DATA / "running.json"


def _ask(question: Callable[[Settings], T]) -> T:
    """Ask the hosted project that .env names, or else the `forge up` that runs here."""
    try:
        settings, where = diagnostics.find_settings(_RUNNING, dotenv_values(".env"))
        console.print(f"[dim]{where}[/]")
        return question(settings)
    except FileNotFoundError:
        _stop("Nothing to look at: start `forge up`, or put SUPABASE_URL and the keys of a project into .env.")
    except ForgeError as error:
        _stop(error.detail)


@contextmanager
def _noted(stack: Stack) -> Iterator[None]:
    """Note where the running stack is, for `forge jobs` and its like."""
    _RUNNING.touch(mode=0o600)
    _RUNNING.write_text(json.dumps(stack.settings))
    try:
        yield
    finally:
        _RUNNING.unlink(missing_ok=True)


@contextmanager
def _running(data: Path, port: int, *, reset: bool = False, postgres: bool = False) -> Iterator[Stack]:
    """A stack from start to stop, with its troubles as one clear line and a non-zero exit."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    env = dict(dotenv_values(".env"))
    try:
        with console.status("starting") as status:
            stack = Stack(data, port, env, status.update, postgres=postgres)
            _table(stack)
            if reset:
                stack.reset()
            stack.__enter__()
        try:
            yield stack
        finally:
            stack.__exit__()
    except (StackError, _Refused, OSError) as error:
        _stop(str(error))
    except httpx.HTTPError as error:
        _stop(f"The connection broke off ({type(error).__name__}). Logs are in {data / 'logs'}.")
    except KeyboardInterrupt:
        console.print("stopped")
        raise SystemExit(130) from None


def _table(stack: Stack) -> None:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for name in ("supabase", *PROVIDERS):
        used = "[green]real[/], key from .env" if stack.real(name) else "embedded"
        table.add_row(name, used)
    console.print(table)


@contextmanager
def _api(stack: Stack) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {stack.user()}"}
    with httpx.Client(base_url=stack.url, headers=headers, timeout=180, trust_env=False) as http:
        yield http


class _Refused(Exception):
    """The backend answered with a problem; the text is its explanation."""


@dataclass
class _Demo:
    """The main job, as any client would do it over HTTP."""

    http: httpx.Client
    status: Status

    def run(
        self, persona_input: dict[str, str], photo: Path | None, talk_input: dict[str, Any], out: Path
    ) -> dict[str, Any]:
        self.status.update("making a persona")
        persona = self._ask("POST", "/v1/personas", json=persona_input)
        if photo:
            self.status.update(f"looking at {escape(photo.name)}")
            where = f"/v1/personas/{persona['id']}/portrait"
            self._ask("PUT", where, content=photo.read_bytes(), params={"consent": "true"})
        else:
            self.status.update("drawing its portrait")
            self._portrait(persona["id"])
        started = time.perf_counter()
        job = self._ask(
            "POST", "/v1/predictions",
            json={"model": "personaforge/talk", "input": {**talk_input, "persona": persona["id"]}, "stream": True},
        )  # fmt: skip
        first, received = self._follow(job["urls"]["stream"], started)
        total = round((time.perf_counter() - started) * 1000)
        job = self._ask("GET", job["urls"]["get"])
        if job["status"] != "succeeded":
            raise _Refused(f"The talk {job['status']}: {job['error']}")
        self.status.update("saving")
        out.write_bytes(httpx.get(job["output"], timeout=60, trust_env=False).raise_for_status().content)
        captions = httpx.get(job["captions"], timeout=60, trust_env=False).raise_for_status()
        out.with_suffix(".vtt").write_bytes(captions.content)
        return {
            "output": str(out.resolve()),
            "captions": str(out.with_suffix(".vtt").resolve()),
            "text": job["text"],
            "duration_s": job["receipt"]["duration_s"],
            "first_frame_ms": first,
            "total_ms": total,
            "streamed_bytes": received,
            "receipt": job["receipt"],
        }

    def _portrait(self, persona: str) -> None:
        body = {"model": "personaforge/portrait", "input": {"persona": persona}}
        job = self._ask("POST", "/v1/predictions", json=body, headers={"Prefer": "wait=60"})
        while job["status"] in ("starting", "processing"):
            time.sleep(1)
            job = self._ask("GET", job["urls"]["get"])
        if job["status"] != "succeeded":
            raise _Refused(f"The portrait {job['status']}: {job['error']}")

    def _follow(self, url: str, started: float) -> tuple[int, int]:
        """Read the stream to its end; returns ms to the first playable fragment, and bytes."""
        first, received, tail = 0, 0, b""
        with self.http.stream("GET", url) as answer:
            if answer.is_error:
                answer.read()
                raise _refusal(answer)
            for chunk in answer.iter_raw():
                received += len(chunk)
                if not first and b"moof" in tail + chunk:
                    first = round((time.perf_counter() - started) * 1000)
                tail = chunk[-3:]
                elapsed = time.perf_counter() - started
                self.status.update(
                    f"talking: first frame after {first} ms, {received / 1024:.0f} KiB in {elapsed:.1f} s"
                )
        return first, received

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, **arguments)
        if answer.is_error:
            raise _refusal(answer)
        found: dict[str, Any] = answer.json()
        return found


def _refusal(answer: httpx.Response) -> _Refused:
    try:
        problem = answer.json()
        return _Refused(f"{problem['title']}: {problem['detail']}")
    except (ValueError, KeyError):
        return _Refused(f"The backend answered {answer.status_code}.")


def _show(result: dict[str, Any]) -> None:
    console.print(f"\n[bold green]{escape(result['output'])}[/]", soft_wrap=True)
    console.print(f"“{escape(result['text'])}”\n", soft_wrap=True)
    console.print(f"Captions: {escape(result['captions'])}\n", soft_wrap=True)
    receipt = result["receipt"]
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_row("first frame", f"{result['first_frame_ms']} ms after the question")
    table.add_row("length", f"{result['duration_s']:.1f} s, made in {result['total_ms'] / 1000:.1f} s")
    table.add_row("real-time factor", f"{result['duration_s'] / (result['total_ms'] / 1000):.1f} x")
    for key in ("engine", "first_token_ms", "first_audio_ms", "first_frame_ms", "total_ms", "bytes", "characters"):
        if receipt[key]:
            table.add_row(f"receipt {key}", str(receipt[key]))
    table.add_row("receipt cost_usd", f"{receipt['cost_usd']} (at list prices)")
    console.print(table)


class _Film(_Demo):
    """A film, as any client would make it over HTTP."""

    def make(self, persona_input: dict[str, str], asked: dict[str, Any], out: Path, *, yes: bool) -> dict[str, Any]:
        self.status.update("making a persona")
        persona = self._ask("POST", "/v1/personas", json=persona_input)
        self._portrait(persona["id"])
        project = self._ask("POST", "/v1/projects", json={**asked, "persona": persona["id"]})
        where = f"/v1/projects/{project['id']}"
        while project["status"] in ("ready", "working", "waiting"):
            project = self._ask("GET", where)
            if project["status"] != "waiting":
                doing = STAGES.get(project["stage"], project["stage"])
                self.status.update(f"{doing} {escape(project['progress'].strip())}")
            elif project["waiting_for"] == "script":
                chosen = self._choose(project["scripts"], yes=yes)
                self._ask("POST", f"{where}/approve", json={"script": chosen})
            elif project["waiting_for"] == "film":
                files = self._save(project["films"], out)
                self._ask("POST", f"{where}/approve", json={}) if self._good(files, yes=yes) else self._again(where)
            else:
                raise _Refused(project["error"]["detail"])
            time.sleep(0.5)
        if project["status"] != "succeeded":
            raise _Refused(project["error"]["detail"] if project["error"] else f"The project {project['status']}.")
        steps = self._ask("GET", f"{where}/history")["steps"]
        receipt = {"project": project["id"], "cost_credits": project["cost_credits"], "steps": len(steps)}
        (out / "receipt.json").write_text(json.dumps({**receipt, "history": steps}, indent=2))
        qc = {shape: one["report"] for shape, one in project["films"].items()}
        (out / "credits.txt").write_text("".join(f"{one}\n" for one in project["credits"]))
        return {**files, "credits": project["credits"], "receipt": receipt, "qc": qc}

    def _choose(self, scripts: list[dict[str, Any]], *, yes: bool) -> str:
        if yes:
            return str(scripts[0]["id"])
        self.status.stop()
        for script in scripts:
            text = " ".join(one["text"] for one in script["sentences"])
            length = f"{script['words']} words, {script['seconds']} s"
            console.print(f"\n[bold]{script['rank']}. {escape(script['title'])}[/]  {length}")
            console.print(escape(text))
            console.print(f"[dim]{escape(script['differs'])} {escape('; '.join(script['facts']))}[/]")
        number = typer.prompt("Which one?", default="1", err=True, type=click.Choice(["1", "2", "3"]))
        self.status.start()
        return str(scripts[int(number) - 1]["id"])

    def _save(self, films: dict[str, Any], out: Path) -> dict[str, Any]:
        found: dict[str, Any] = {"films": {}, "captions": {}}
        for shape, one in films.items():
            for kind, path in (("video", out / f"{shape}.mp4"), ("captions", out / f"{shape}.vtt")):
                path.write_bytes(httpx.get(one[kind], timeout=60, trust_env=False).raise_for_status().content)
                found["films" if kind == "video" else "captions"][shape] = str(path.resolve())
        return found

    def _good(self, files: dict[str, Any], *, yes: bool) -> bool:
        if yes:
            return True
        self.status.stop()
        answer = typer.confirm(f"Is it good? {', '.join(files['films'].values())}", default=True, err=True)
        self.status.start()
        return bool(answer)

    def _again(self, where: str) -> None:
        note = typer.prompt("What should be better?", err=True)
        self._ask("POST", f"{where}/reject", json={"note": note})


STAGES = {
    "scripts": "writing scripts", "voice": "speaking", "shots": "planning", "footage": "looking for footage",
    "film": "rendering",
}  # fmt: skip


def _show_film(result: dict[str, Any]) -> None:
    for shape, path in result["films"].items():
        failed = [one["name"] for one in result["qc"][shape] if not one["passed"]]
        report = (
            f"[red]{', '.join(failed)} failed[/]" if failed else f"[green]{len(result['qc'][shape])} checks passed[/]"
        )
        console.print(f"[bold]{path}[/]  {report}", soft_wrap=True)
    console.print(f"{result['receipt']['cost_credits']} credits, {result['receipt']['steps']} steps")


def _stop(text: str, code: int = 1) -> NoReturn:
    console.print(f"[bold red]forge:[/] {escape(text)}", soft_wrap=True)
    raise SystemExit(code)


def main() -> None:
    cli()
