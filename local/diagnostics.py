"""`forge jobs`, `videos`, `replay`, `doctor`: what goes on, here or in a hosted project."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shared.core.errors import ForgeError
from shared.core.settings import ANTHROPIC, ELEVENLABS, REPLICATE, SUPABASE, Settings
from shared.core.store import Row, Store
from shared.core.time import parse_time
from shared.predictions import webhook
from shared.predictions.id import PredictionId
from shared.providers import catalogue

STUCK = 120  # seconds
UNREACHABLE = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)  # by network, by address, by a key that is no header
SKEW = 30  # seconds that clocks may be apart: tokens are checked to a minute
PAUSED = 540  # Supabase's own status
MIGRATIONS = Path(__file__).parent.parent / "supabase" / "migrations"
TABLES = ("personas", "predictions", "messages", "accounts", "usage", "files", "models", "webhook_deliveries")

KEYS = {
    "anthropic": "ANTHROPIC_API_KEY", "elevenlabs": "ELEVENLABS_API_KEY", "replicate": "REPLICATE_API_TOKEN",
    "fal": "FAL_KEY", "pexels": "PEXELS_API_KEY", "stripe": "STRIPE_SECRET_KEY",
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One thing that must be right."""

    name: str
    ok: bool
    detail: str


def find_settings(running: Path, env: Mapping[str, str | None]) -> tuple[Settings, str]:
    """Those of a hosted project when .env names one, else those of the `forge up` that runs here.

    Raises FileNotFoundError when there is neither.
    """
    values = {key: value for key, value in env.items() if value}
    if "SUPABASE_URL" in values:
        return Settings(values), values["SUPABASE_URL"]
    return Settings(json.loads(running.read_text())), "this machine"


def jobs(settings: Settings) -> dict[str, list[Row]]:
    """The newest predictions, those unfinished for over two minutes, and the newest failed ones."""

    async def ask() -> dict[str, list[Row]]:
        async with Store.open(settings) as store:
            columns = "id,model,status,error,provider_id,created_at,started_at,completed_at,receipt,persona_id"
            table = store.as_service().from_("predictions")
            newest = await store.rows(table.select(columns).order("created_at", desc=True).limit(20))
            open_ = table.select(columns).in_("status", ["starting", "processing"]).order("created_at").limit(100)
            failed = table.select(columns).eq("status", "failed").order("created_at", desc=True).limit(20)
            old = [
                row
                for row in await store.rows(open_)
                if time.time() - parse_time(row["created_at"]).timestamp() > STUCK
            ]
            return {"recent": newest, "stuck": old, "failed": await store.rows(failed)}

    return asyncio.run(ask())


def videos(settings: Settings) -> list[Row]:
    """Every persona with the addresses of its finished videos, newest first."""

    async def ask() -> list[Row]:
        async with Store.open(settings) as store:
            table = store.as_service().from_("personas")
            found = await store.rows(
                table.select("id,name,owner,predictions(model,status,output,text,created_at)")
                .order("created_at", desc=True)
                .limit(1000)
            )
            files = await store.addresses(one["output"] for row in found for one in row["predictions"])
            for row in found:
                created = [one for one in row.pop("predictions") if one["output"] and one["model"] != "portrait"]
                created.sort(key=lambda one: str(one["created_at"]), reverse=True)
                row["videos"] = [{**one, "output": files.get(one["output"])} for one in created]
            return found

    return asyncio.run(ask())


def replay(settings: Settings, public: str) -> list[Row]:
    """Send a prediction's webhooks again, now, also those that arrived or were given up; returns the log.

    public: its id as the API shows it, or its row as `forge jobs` does. Raises NotFound.
    """
    try:
        prediction = str(UUID(public))
    except ValueError:
        prediction = str(PredictionId.read(public, settings.forge_signing_key).row)

    async def ask() -> list[Row]:
        async with Store.open(settings) as store:
            again = {"next_at": datetime.now(UTC).isoformat(), "attempts": 0, "delivered_at": None, "error": None}
            table = store.as_service().from_("webhook_deliveries")
            await store.rows(table.update(again).eq("prediction_id", prediction))
            await webhook.deliver(store, UUID(prediction))
            columns = "id,event,attempts,status,error,delivered_at,next_at"
            return await store.rows(table.select(columns).eq("prediction_id", prediction).order("created_at"))

    return asyncio.run(ask())


def doctor(settings: Settings) -> list[Check]:
    """Keys, reachability, migrations, clock."""
    return [
        _settings(settings),
        *_supabase(settings),
        *(_reach(settings, name) for name in ("anthropic", "elevenlabs", "replicate")),
        *(_reach(settings, name) for name in ("fal", "pexels", "stripe") if settings.values.get(KEYS[name])),
        _engine(settings),
        _functions(settings),
    ]


def _settings(settings: Settings) -> Check:
    try:
        settings.validate(*SUPABASE, *ANTHROPIC, *ELEVENLABS, *REPLICATE)
        catalogue.check(settings)
    except ForgeError as error:
        return Check("settings", False, error.detail)
    return Check("settings", True, "all there")


def _supabase(settings: Settings) -> list[Check]:
    headers = {"apikey": settings.supabase_secret_key, "Authorization": f"Bearer {settings.supabase_secret_key}"}
    try:
        with httpx.Client(base_url=settings.supabase_url, headers=headers, timeout=10) as http:
            tables = {name: http.get(f"/rest/v1/{name}", params={"limit": 1}).status_code for name in TABLES}
            version = http.post("/rest/v1/rpc/schema_version", json={})
            date = version.headers.get("date")
    except UNREACHABLE as error:
        return [Check("supabase", False, f"{settings.supabase_url} cannot be reached ({type(error).__name__})")]
    if PAUSED in tables.values():
        return [Check("supabase", False, "the project is paused: restore it in Supabase's dashboard")]
    bad = [name for name, status in tables.items() if status != 200]
    newest = max(path.name for path in MIGRATIONS.glob("*.sql")).partition("_")[0]
    migrated = not bad and version.is_success and version.json() == newest
    checks = [
        Check("supabase", 401 not in tables.values(), f"{settings.supabase_url}{_refused(tables.values())}"),
        Check("migrations", migrated, "all applied" if migrated else _behind(bad)),
    ]
    if date:
        off = abs(parsedate_to_datetime(date).timestamp() - time.time())
        what = "" if off < SKEW else ": tokens and webhooks are refused; set this machine's clock by NTP"
        checks.append(Check("clock", off < SKEW, f"{off:.0f} s off{what}"))
    return checks


def _refused(statuses: Iterable[int]) -> str:
    return " refuses SUPABASE_SECRET_KEY" if 401 in statuses else ""


def _behind(tables: list[str]) -> str:
    return f"missing: {', '.join(tables) or 'the newest'}; apply them: supabase db push --remote"


def _functions(settings: Settings) -> Check:
    """Whether the functions answer at the one origin that they are reached by."""
    try:
        answer = httpx.get(f"{settings.forge_url}/v1/models", timeout=60)
    except UNREACHABLE as error:
        return Check("functions", False, f"{settings.forge_url} cannot be reached ({type(error).__name__})")
    if answer.status_code == 404 and "modal" in answer.text:
        return Check("functions", False, "Modal has stopped the app, or never had it: modal deploy modal_app.py")
    problem = answer.json().get("detail", "") if "problem+json" in answer.headers.get("content-type", "") else ""
    if answer.status_code in (200, 401):
        return Check("functions", True, f"{settings.forge_url} answers")
    return Check("functions", False, f"{settings.forge_url} answers {answer.status_code}. {problem}".strip())


def _engine(settings: Settings) -> Check:
    """Which engine draws, and whether what it needs is there: on Modal for a hosted project, here for this machine."""
    if settings.forge_engine == "cpu":
        return Check("engine", True, f"cpu; {_gpu_here()}")
    if settings.forge_engine != "musetalk":
        return Check("engine", False, f"FORGE_ENGINE is {settings.forge_engine!r}; it may be cpu or musetalk")
    import modal

    try:
        modal.Cls.from_name("personaforge", "Lipsync").hydrate()
    except Exception as error:  # Modal's errors have no common base beside its own, nor has the network's
        return Check("engine", False, f"musetalk, but the class Lipsync is not deployed ({type(error).__name__})")
    return Check("engine", True, "musetalk, deployed on Modal; its weights are part of its image")


def _gpu_here() -> str:
    """What there would be for musetalk on this machine."""
    if find_spec("torch") is None:
        return "torch is not installed here, so there is no musetalk"
    import torch

    if not torch.cuda.is_available():
        return "no GPU here"
    from shared.core.containers import WEIGHTS

    weights = Path(WEIGHTS)
    missing = [name for name in ("unet", "vae", "whisper") if not (weights / f"{name}.safetensors").exists()]
    found = f"weights missing in {weights}: {', '.join(missing)}" if missing else f"weights in {weights}"
    return f"{torch.cuda.get_device_name()} here, {found}"


def _reach(settings: Settings, vendor: str) -> Check:
    """Ask something that costs nothing and needs the key; says what the account has."""
    base = getattr(settings, f"{vendor}_base_url")
    values = settings.values
    asked: dict[str, tuple[str, dict[str, str]]] = {
        "anthropic": (
            "/v1/models",
            {"x-api-key": values.get("ANTHROPIC_API_KEY", ""), "anthropic-version": "2026-10-21"},
        ),
        "elevenlabs": ("/v1/user/subscription", {"xi-api-key": values.get("ELEVENLABS_API_KEY", "")}),
        "replicate": ("/v1/account", {"Authorization": f"Bearer {values.get('REPLICATE_API_TOKEN')}"}),
        "fal": ("/fal-ai/ovi/requests/none/status", {"Authorization": f"Key {values.get('FAL_KEY')}"}),
        "pexels": ("/v1/videos/search?query=sea&per_page=1", {"Authorization": values.get("PEXELS_API_KEY", "")}),
        "stripe": ("/v1/balance", {"Authorization": f"Bearer {values.get('STRIPE_SECRET_KEY')}"}),
    }
    path, headers = asked[vendor]
    try:
        answer = httpx.get(f"{base}{path}", headers={**headers, "User-Agent": "PersonaForge"}, timeout=10)
    except UNREACHABLE as error:
        return Check(vendor, False, f"{base} cannot be reached ({type(error).__name__})")
    if answer.status_code in (402, 429) or (answer.status_code == 401 and "quota" in answer.text):  # ElevenLabs' 401
        return Check(vendor, False, f"the account is used up or throttled ({answer.status_code})")
    if answer.status_code in (401, 403):
        return Check(vendor, False, f"the key is refused ({answer.status_code}): {KEYS[vendor]} in .env")
    return _read(vendor, answer, settings) or Check(
        vendor, answer.status_code < 500, f"{base} answers {answer.status_code}"
    )


def _read(vendor: str, answer: httpx.Response, settings: Settings) -> Check | None:
    """What an account said of itself, where that is understood."""
    if not answer.is_success or "json" not in answer.headers.get("content-type", ""):
        return None
    found = answer.json()
    if vendor == "anthropic" and isinstance(found.get("data"), list):
        names = {one.get("id") for one in found["data"]}
        there = not names or settings.anthropic_model in names
        return Check(vendor, there, f"{settings.anthropic_model} {'can be called' if there else 'is not offered'}")
    if vendor == "elevenlabs" and "character_limit" in found:
        left = found["character_limit"] - found.get("character_count", 0)
        return Check(vendor, left > 0, f"{left:,} characters left of {found['character_limit']:,} this month")
    if vendor == "replicate" and "username" in found:
        return Check(vendor, True, f"account {found['username']}")
    return None


def show_jobs(console: Console, found: dict[str, list[Row]]) -> None:
    """Tables that fit 80 columns with whole ids, and below each what is known beyond."""
    for title, rows in found.items():
        table = Table(title=f"{title} ({len(rows)})", title_justify="left", box=None, padding=(0, 1))
        table.add_column("row", no_wrap=True, width=36)
        for column in ("made", "model", "status", "s"):
            table.add_column(column, no_wrap=True)
        for row in rows:
            colour = {"succeeded": "green", "failed": "red", "canceled": "yellow"}.get(row["status"], "cyan")
            took = (row["receipt"] or {}).get("total_ms")
            created, status = str(row["created_at"])[5:19], f"[{colour}]{row['status']}[/]"
            table.add_row(row["id"], created, row["model"], status, f"{took / 1000:.1f}" if took else "")
        console.print(table)
        for row in rows:
            if beyond := "  ".join(one for one in (row["provider_id"], row["error"]) if one):
                console.print(f"  [dim]{row['id']}[/]  {escape(beyond)}", soft_wrap=True)


def show_deliveries(console: Console, found: list[Row]) -> None:
    table = Table(box=None, padding=(0, 1))
    table.add_column("id", no_wrap=True, width=36)
    for column in ("event", "tries", "status", "arrived"):
        table.add_column(column, no_wrap=True)
    for row in found:
        arrived = f"[green]{row['delivered_at'][5:19]}[/]" if row["delivered_at"] else "[red]no[/]"
        table.add_row(row["id"], row["event"], str(row["attempts"]), str(row["status"] or ""), arrived)
    console.print(table)
    for row in found:
        if row["error"]:
            console.print(f"  [dim]{row['id']}[/]  {escape(row['error'])}", soft_wrap=True)


def show_videos(console: Console, found: list[Row]) -> None:
    for row in found:
        console.print(f"[bold]{row['name']}[/] ({len(row['videos'])})")
        for video in row["videos"]:
            console.print(f"  {str(video['created_at'])[:19]}  {video['output']}", soft_wrap=True)


def show_checks(console: Console, checks: list[Check]) -> None:
    for check in checks:
        console.print(
            f"{'[green]ok[/] ' if check.ok else '[red]bad[/]'}  {check.name:<11} {check.detail}", soft_wrap=True
        )
