"""Films that are finished, without the minute that making one takes: rows and files as the studio leaves them."""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image

from local.stack import Stack
from tests.support.operator import rest
from tests.support.person import Person

CREDITS = ["Footage: Maker 1 (https://www.pexels.com/video/1/) on Pexels"]


def put(stack: Stack, owner: str, data: bytes, kind: str) -> str:
    """A file of somebody's, as the backend keeps it; returns its path."""
    path = f"{owner}/{uuid4().hex}"
    secret = stack.settings["SUPABASE_SECRET_KEY"]
    headers = {"apikey": secret, "Authorization": f"Bearer {secret}", "content-type": kind}
    where = f"{stack.settings['SUPABASE_URL']}/storage/v1/object/personaforge/{path}"
    httpx.post(where, content=data, headers=headers, trust_env=False).raise_for_status()
    with rest(stack) as service:
        note = {"path": path, "owner": owner, "content_type": kind, "bytes": len(data), "referrer": str(uuid4())}
        service.post("/files", json=note).raise_for_status()
    return path


def picture(seed: int) -> bytes:
    out = BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (90, 160, 3), np.uint8)
    Image.fromarray(noise).resize((1280, 720)).save(out, "JPEG")
    return out.getvalue()


def film(stack: Stack, person: Person, size: int = 700_000, seconds: float = 20.0) -> dict[str, Any]:
    """A project that has succeeded, with `id` and the `bytes` of its film; three thumbnails."""
    data = os.urandom(size)
    made = {
        "video": put(stack, person.id, data, "video/mp4"),
        "captions": put(stack, person.id, b"WEBVTT\n\n00:00.000 --> 00:02.000\nOne.\n", "text/vtt"),
        "report": [],
    }
    thumbnails = [
        {"picture": put(stack, person.id, picture(number), "image/jpeg"), "description": "One.", "words": f"{number}"}
        for number in range(3)
    ]
    given = {"idea": "why the sea is salt", "persona": str(uuid4()), "seconds": 15, "shapes": ["wide"]}
    output = {"films": {"wide": made}, "seconds": seconds, "credits": CREDITS, "thumbnails": thumbnails}
    row = {"owner": person.id, "input": given, "status": "succeeded", "stage": "review", "output": output}
    with rest(stack) as service:
        (project,) = service.post("/projects", json=row).raise_for_status().json()
        pictures = [("thumbnails", f"1/{number}", one) for number, one in enumerate(thumbnails)]
        done = [("film", "1/wide", made), *pictures]
        steps = [
            {"project_id": project["id"], "owner": person.id, "stage": s, "key": k, "result": r} for s, k, r in done
        ]
        service.post("/steps", json=steps).raise_for_status()
    return {"id": project["id"], "bytes": data, "thumbnails": thumbnails}
