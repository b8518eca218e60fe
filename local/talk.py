"""`forge demo`: a persona answers, on video."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
from rich.markup import escape
from rich.table import Table

from local.client import Client, Refused, console, refusal


class Talk(Client):
    """The main job."""

    def run(
        self, persona_input: dict[str, str], photo: Path | None, talk_input: dict[str, Any], out: Path
    ) -> dict[str, Any]:
        self.status.update("making a persona")
        persona = self.ask("POST", "/v1/personas", json=persona_input)
        if photo:
            self.status.update(f"looking at {escape(photo.name)}")
            where = f"/v1/personas/{persona['id']}/portrait"
            self.ask("PUT", where, content=photo.read_bytes(), params={"consent": "true"})
        else:
            self.status.update("drawing its portrait")
            self.portrait(persona["id"])
        started = time.perf_counter()
        job = self.ask(
            "POST", "/v1/predictions",
            json={"model": "personaforge/talk", "input": {**talk_input, "persona": persona["id"]}, "stream": True},
        )  # fmt: skip
        first, received = self._follow(job["urls"]["stream"], started)
        total = round((time.perf_counter() - started) * 1000)
        job = self.ask("GET", job["urls"]["get"])
        if job["status"] != "succeeded":
            raise Refused(f"The talk {job['status']}: {job['error']}")
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

    def _follow(self, url: str, started: float) -> tuple[int, int]:
        """Read the stream to its end; returns ms to the first playable fragment, and bytes."""
        first, received, tail = 0, 0, b""
        with self.http.stream("GET", url) as answer:
            if answer.is_error:
                answer.read()
                raise refusal(answer)
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


def show(result: dict[str, Any]) -> None:
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
