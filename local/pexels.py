"""Stand-in for Pexels: searches by words, serves moving clips that are drawn here.

Codes that a fault may have (see faults.py), with the path of a file: broken, a file that cannot be decoded.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from fractions import Fraction
from functools import lru_cache
from io import BytesIO
from typing import Any

import av
import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from local.bill import Bill
from local.faults import Faults

# Address of the page, main colour (BGR), seconds, and how fast and fine it moves.
LIBRARY = (
    ("calm-blue-water-with-waves", (150, 90, 30), 9, 1.0, 24),
    ("hands-working-with-clay", (70, 110, 170), 8, 0.6, 40),
    ("city-lights-at-night", (60, 30, 40), 12, 2.0, 12),
    ("sunlight-in-a-forest", (50, 120, 60), 10, 0.8, 18),
    ("an-old-map-on-a-table", (110, 160, 200), 7, 0.3, 60),
    ("clouds-moving-over-the-sea", (190, 160, 130), 14, 0.7, 70),
    ("river-in-the-mountains", (140, 130, 70), 11, 1.4, 16),
    ("salt-on-a-wooden-spoon", (180, 190, 200), 6, 0.4, 30),
)
SIZES = ((1920, 1080, "hd"), (1280, 720, "hd"), (640, 360, "sd"))
FPS = 25
MONTHLY, HOURLY = 20_000, 200
bill = Bill()
_asked: list[float] = []


def refusal(status: int, code: str = "") -> dict[str, Any]:
    return {"status": status, "code": code or {401: "Unauthorized", 429: "Too Many Requests"}.get(status, "Error")}


async def search(request: Request) -> Response:
    if re.match(r"(python|httpx|curl|$)", request.headers.get("user-agent", "").lower()):
        return HTMLResponse("<html><title>Attention Required!</title></html>", 403)
    if request.headers.get("authorization") != os.environ["STANDIN_KEY"]:
        return JSONResponse(refusal(401), 401)
    words = request.query_params.get("query", "").lower()
    if not words:
        return JSONResponse({"error": "No query param given"}, 400)
    _asked[:] = [one for one in _asked if one > time.time() - 3600]
    if len(_asked) >= HOURLY:
        return JSONResponse(refusal(429), 429)
    _asked.append(time.time())
    bill.add("search", searches=1)
    stems = {word[:4] for word in re.findall(r"\w{3,}", words)}
    found = [place for place, one in enumerate(LIBRARY) if stems & {word[:4] for word in one[0].split("-")}]
    found += [place for place in range(len(LIBRARY)) if place not in found][:3]  # and what it thinks is like it
    base = str(request.base_url).rstrip("/")
    limit = {"X-Ratelimit-Limit": str(MONTHLY), "X-Ratelimit-Remaining": str(MONTHLY - len(_asked))}
    limit["X-Ratelimit-Reset"] = str(int(time.time()) + 86_400)
    videos = [_video(place, base) for place in found]
    return JSONResponse({"page": 1, "per_page": 40, "total_results": len(videos), "videos": videos}, headers=limit)


def _video(place: int, base: str) -> dict[str, Any]:
    slug, _, seconds, _, _ = LIBRARY[place]
    files = [
        {
            "id": 1000 * place + number, "quality": quality, "file_type": "video/mp4", "width": width, "height": height,
            "fps": float(FPS), "link": f"{base}/files/{place}/{width}x{height}.mp4",
        }
        for number, (width, height, quality) in enumerate(SIZES)
    ]  # fmt: skip
    unsized = {"quality": None, "width": None, "height": None, "link": f"{base}/files/0/0.m3u8"}
    files.append({"id": 1000 * place + 9, **unsized})
    return {
        "id": 5000 + place, "width": 1920, "height": 1080, "duration": seconds, "image": None,
        "url": f"https://www.pexels.com/video/{slug}-{5000 + place}/",
        "user": {"id": place, "name": f"Maker {place}", "url": f"https://www.pexels.com/@maker-{place}"},
        "video_files": files, "video_pictures": [],
    }  # fmt: skip


async def file(request: Request) -> Response:
    place, size = request.path_params["place"], request.path_params["size"]
    width, height = (int(side) for side in size.removesuffix(".mp4").split("x"))
    if request.scope.get("code") == "broken":
        return Response(b"not a video", media_type="video/mp4")
    return Response(await asyncio.to_thread(draw, place, width, height), media_type="video/mp4")


@lru_cache
def draw(place: int, width: int, height: int) -> bytes:
    """Waves of light in the clip's colour, that never stand still."""
    _, colour, seconds, speed, fine = LIBRARY[place]
    out = BytesIO()
    small = (height // 4, width // 4)
    y, x = np.mgrid[0 : small[0], 0 : small[1]]
    with av.open(out, "w", format="mp4") as target:
        stream = target.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "24"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * FPS):
            at = number / FPS * speed
            light = 0.75 + 0.25 * np.sin((x + 14 * at) / fine + np.sin(y / fine + at) + 0.3 * at)
            light += 0.1 * np.sin(y / fine * 2 - 2 * at)
            bgr = np.clip(light[..., None] * np.array(colour), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(width, height, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return out.getvalue()


app = Starlette(
    routes=[
        bill.route, Route("/v1/videos/search", search), Route("/files/{place:int}/{size}", file),
    ],
    middleware=[Middleware(Faults, refusal=refusal)],
)  # fmt: skip
