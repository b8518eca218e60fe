"""From request to first playable fragment, streaming, beside the batch way on the same stack.

    uv run python -m bench.talk [--json]

The stand-in Claude writes 40 tokens/s. Streaming: create the talk, open its stream, wait for the first moof.
Batch: whole text, whole voice, whole render, upload, while the client polls every 2 s, as most backends do.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from bench.machine import parser, report
from local.portrait import draw
from local.stack import Stack

LENGTHS = {2: 9, 10: 9, 60: 5}  # seconds of the answer: number of talks
POLL = 2.0


def main() -> None:
    args = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), env={"STANDIN_TOKENS_PER_SECOND": "40"}) as stack:
        headers = {"Authorization": f"Bearer {stack.user()}"}
        with httpx.Client(base_url=stack.url, headers=headers, timeout=120, trust_env=False) as http:
            persona = http.post("/v1/personas", json={"name": "Ada", "description": "An astronomer."}).json()
            png = draw("a friendly woman with auburn hair")
            where = f"/v1/personas/{persona['id']}/portrait"
            http.put(where, content=png, params={"consent": "true"}).raise_for_status()
            _talk(http, persona["id"], 2)  # warm
            _talk(http, persona["id"], 2)
            found = {length: [_talk(http, persona["id"], length) for _ in range(n)] for length, n in LENGTHS.items()}
            thirty = [_talk(http, persona["id"], 30) for _ in range(3)]
        batch = [asyncio.run(_batch(stack, png)) for _ in range(3)]
    medians = {length: _median(talks, "first_ms") for length, talks in found.items()}
    everything = [one for talks in found.values() for one in talks]
    stream_30 = _median(thirty, "first_ms")
    batch_30 = _median(batch, "ms")
    details = [
        f"{length:>3} s answers ({_median(talks, 'duration_s'):.1f} s of video): "
        f"first fragment {medians[length]:.0f} ms, of which first clause {_median(talks, 'clause_ms'):.0f} ms; "
        f"whole talk {_median(talks, 'whole_ms'):.0f} ms (n={len(talks)})"
        for length, talks in found.items()
    ]
    details.append(
        f" 30 s answer: streaming {stream_30:.0f} ms; batch {batch_30:.0f} ms "
        f"(ready after {_median(batch, 'ready_ms'):.0f} ms, "
        f"{batch[0]['duration_s']:.1f} s of video, n={len(batch)})"
    )
    figures = {
        "first_fragment_ms_p50": round(_median(everything, "first_ms")),
        "beyond_first_clause_ms_p50": round(
            statistics.median(one["first_ms"] - one["clause_ms"] for one in everything)
        ),
        "flatness_60s_over_2s": round(medians[60] / medians[2], 2),
        "batch_over_stream_30s": round(batch_30 / stream_30, 1),
    }
    report(args, figures, details)


def _median(runs: list[dict[str, Any]], figure: str) -> float:
    return statistics.median(float(run[figure]) for run in runs)


def _question(seconds: int) -> str:
    return f"Please tell me about telescopes in {seconds} seconds."


def _talk(http: httpx.Client, persona: str, seconds: int) -> dict[str, Any]:
    body = {
        "model": "personaforge/talk",
        "stream": True,
        "input": {"persona": persona, "message": _question(seconds)},
    }
    start = time.perf_counter()
    job = http.post("/v1/predictions", json=body).raise_for_status().json()
    created = (time.perf_counter() - start) * 1000
    first = 0.0
    with http.stream("GET", job["urls"]["stream"]) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_raw():
            if not first and b"moof" in chunk:
                first = (time.perf_counter() - start) * 1000
    whole = (time.perf_counter() - start) * 1000
    receipt = http.get(job["urls"]["get"]).json()["receipt"]
    clause = created + receipt["first_clause_ms"]
    return {"first_ms": first, "clause_ms": clause, "whole_ms": whole, "duration_s": receipt["duration_s"]}


async def _batch(stack: Stack, png: bytes) -> dict[str, Any]:
    """One 30-second answer made step by step; the client sees it at the first poll after it is ready."""
    from uuid import uuid4

    import numpy as np
    from anthropic import AsyncAnthropic

    from shared.core.settings import Settings
    from shared.core.store import Store
    from shared.lipsync.cpu.engine import CpuEngine
    from shared.lipsync.picture import read_picture
    from shared.media.types import Speech
    from shared.media.video import seekable
    from shared.personas.voice import VOICES
    from shared.providers.elevenlabs import TextToSpeech
    from shared.talk.video_renderer import VideoRenderer

    settings = Settings(stack.settings)
    claude = AsyncAnthropic(api_key=settings.anthropic_api_key, base_url=settings.anthropic_base_url)
    voice = TextToSpeech(settings)
    prepared = CpuEngine().prepare(read_picture(png), 512)
    for shape in range(2):  # as warm as the streaming way: SDKs loaded, mouths drawn
        list(prepared.session().render(Speech(np.zeros(24_000 * (shape + 1), np.int16))))
    async with Store.open(settings) as store:
        start = time.perf_counter()
        message = await claude.messages.create(
            model=settings.anthropic_model,
            max_tokens=1500,
            system="You are Ada. An astronomer.",
            messages=[{"role": "user", "content": _question(30)}],
        )
        text = message.content[0].text  # type: ignore[union-attr]
        speeches = [speech async for speech in voice.speak(text, VOICES["neutral"], "", [])]
        data = bytearray()
        video = VideoRenderer(prepared, data.extend)
        for speech in speeches:
            video.append(speech)
        video.finish()
        await video.run()
        await store.put(f"bench/{uuid4().hex}.mp4", seekable(bytes(data)), "video/mp4", owner=uuid4())
        ready = time.perf_counter() - start
    await voice.close()
    await claude.close()
    polled = -(-ready // POLL) * POLL
    return {"ms": polled * 1000, "ready_ms": ready * 1000, "duration_s": video.frames / 25}


if __name__ == "__main__":
    main()
