"""`forge film`: an idea becomes a film that a person approved."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import httpx
import typer
from rich.markup import escape

from local.client import Client, Refused, console

STAGES = {
    "scripts": "writing scripts", "voice": "speaking", "shots": "planning", "footage": "looking for footage",
    "film": "rendering",
}  # fmt: skip


class Film(Client):
    """A film, as any client would make it over HTTP."""

    def make(self, persona_input: dict[str, str], asked: dict[str, Any], out: Path, *, yes: bool) -> dict[str, Any]:
        self.status.update("making a persona")
        persona = self.ask("POST", "/v1/personas", json=persona_input)
        self.portrait(persona["id"])
        project = self.ask("POST", "/v1/projects", json={**asked, "persona": persona["id"]})
        where = f"/v1/projects/{project['id']}"
        while project["status"] in ("ready", "working", "waiting"):
            project = self.ask("GET", where)
            if project["status"] != "waiting":
                doing = STAGES.get(project["stage"], project["stage"])
                self.status.update(f"{doing} {escape(project['progress'].strip())}")
            elif project["waiting_for"] == "script":
                chosen = self._choose(project["scripts"], yes=yes)
                self.ask("POST", f"{where}/approve", json={"script": chosen})
            elif project["waiting_for"] == "film":
                files = self._save(project["films"], out)
                self.ask("POST", f"{where}/approve", json={}) if self._good(files, yes=yes) else self._again(where)
            else:
                raise Refused(project["error"]["detail"])
            time.sleep(0.5)
        if project["status"] != "succeeded":
            raise Refused(project["error"]["detail"] if project["error"] else f"The project {project['status']}.")
        steps = self.ask("GET", f"{where}/history")["steps"]
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
        self.ask("POST", f"{where}/reject", json={"note": note})


def show(result: dict[str, Any]) -> None:
    for shape, path in result["films"].items():
        failed = [one["name"] for one in result["qc"][shape] if not one["passed"]]
        report = (
            f"[red]{', '.join(failed)} failed[/]" if failed else f"[green]{len(result['qc'][shape])} checks passed[/]"
        )
        console.print(f"[bold]{path}[/]  {report}", soft_wrap=True)
    console.print(f"{result['receipt']['cost_credits']} credits, {result['receipt']['steps']} steps")
