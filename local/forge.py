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
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import httpx
import typer
from dotenv import dotenv_values
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local import costs, deployment, diagnostics, talk
from local import film as filming
from local.client import Refused, connected, console
from local.openapi import document
from local.routes import vercel
from local.stack import PROVIDERS, ROOT, Stack, StackError
from shared.core.errors import FaceModelsMissing, ForgeError
from shared.core.settings import Settings
from shared.lipsync import face_models
from shared.personas.voice import VOICES

cli = typer.Typer(help="PersonaForge on this machine.", no_args_is_help=True, add_completion=False)
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
    with _running(DATA / "demo", 0) as stack, console.status("signing up") as status, connected(stack) as http:
        result = talk.Talk(http, status).run(persona, photo, {**talk_input, "size": size}, out)
    if as_json:
        print(json.dumps(result))
    else:
        talk.show(result)


@cli.command()
def film(
    idea: Annotated[str, typer.Argument(help="What the film is about, in a sentence.")],
    shape: Annotated[list[str] | None, typer.Option(help="wide, tall or square; more than once for several.")] = None,
    seconds: Annotated[int, typer.Option(help="About how long.")] = 60,
    research: Annotated[
        Path | None, typer.Option(help="A text with its facts, such as notes.", exists=True, dir_okay=False)
    ] = None,
    corner: Annotated[bool, typer.Option("--corner", help="Over footage the persona stays in a corner.")] = False,
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
    try:
        notes = research.read_text() if research else ""
    except UnicodeDecodeError:
        _stop(f"{research} is no text in UTF-8.", 2)
    out.mkdir(parents=True, exist_ok=True)
    with _running(DATA / "demo", 0) as stack, console.status("signing up") as status, connected(stack) as http:
        style = {"presenter": "corner" if corner else "full"}
        asked = {"idea": idea, "research": notes, "seconds": seconds, "shapes": shapes, "style": style}
        result = filming.Film(http, status).make(dict(ADA), asked, out, yes=yes)
    print(json.dumps(result)) if as_json else filming.show(result)


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


@cli.command("vercel")
def routes(
    example: Annotated[
        bool, typer.Option("--example", help="With YOUR-WORKSPACE, as web/vercel.json is kept.")
    ] = False,
) -> None:
    """Print web/vercel.json: each route with the address at which its function is deployed."""
    try:
        print(json.dumps(vercel(None if example else deployment.addresses()), indent=2))
    except ForgeError as error:
        _stop(error.detail)


@cli.command()
def secrets() -> None:
    """Write the settings of .env to Modal's secret `personaforge`, which `modal deploy` asks for."""
    values = _dotenv()
    if not values:
        _stop("There is no .env here, or nothing is set in it. Begin with: cp .env.example .env")
    try:
        written = deployment.write_secret(values)
    except ForgeError as error:
        _stop(error.detail)
    console.print(
        f"Modal's secret personaforge has {', '.join(written)}. Deployed functions see it when they start anew."
    )


@cli.command()
def user(email: Annotated[str, typer.Argument(help="Their address; no mail is sent.")]) -> None:
    """Print an access token of a user of the Supabase project in .env, who is made if there is none."""
    values = _dotenv()
    if "SUPABASE_URL" not in values:
        _stop("SUPABASE_URL is not in .env. On this machine `forge up` has a user and prints a token.")
    try:
        print(deployment.user(Settings(values), email))
    except ForgeError as error:
        _stop(error.detail)


@cli.command("prices")
def price_table() -> None:
    """Print what a minute of talk, of film, a portrait and so on cost: docs/prices.md."""
    print(costs.table(), end="")


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


def _dotenv() -> dict[str, str]:
    """What is set in .env."""
    try:
        return {name: value for name, value in dotenv_values(".env").items() if value}
    except UnicodeDecodeError:
        _stop(".env is no text in UTF-8.")


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
        settings, where = diagnostics.find_settings(_RUNNING, _dotenv())
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
    env = dict(_dotenv())
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
    except (StackError, Refused, OSError) as error:
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


def _stop(text: str, code: int = 1) -> NoReturn:
    console.print(f"[bold red]forge:[/] {escape(text)}", soft_wrap=True)
    raise SystemExit(code)


def main() -> None:
    cli()
