"""Stand-in for Replicate: predictions, files and webhooks; its image model draws, its lip-sync model renders."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import math
import os
import re
import tempfile
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import cv2
import httpx
import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.bill import Bill
from local.faults import Faults
from local.portrait import draw
from shared.lipsync.cpu.engine import CpuEngine
from shared.lipsync.picture import read_picture
from shared.media.types import RATE, Speech
from shared.media.video import FragmentedMp4, seekable

_SECRET = base64.b64encode(hashlib.sha256(b"webhooks" + os.environ.get("STANDIN_KEY", "").encode()).digest()).decode()
FINISHED = ("succeeded", "failed", "canceled", "aborted")


def refusal(status: int, code: str = "", message: str = "") -> dict[str, Any]:
    title = code or {401: "Unauthenticated", 402: "Insufficient credit", 404: "Not found", 422: "Invalid input"}.get(
        status, "Error"
    )
    return {"title": title, "detail": message or title, "status": status}


def _problem(status: int, message: str) -> JSONResponse:
    return JSONResponse(refusal(status, message=message), status, media_type="application/problem+json")


@dataclass
class Run:
    """A prediction and its task."""

    body: dict[str, Any]
    webhook: str | None
    events: list[str]
    task: asyncio.Task[None] | None = None


@dataclass
class State:
    """What the vendor keeps."""

    runs: dict[str, Run] = field(default_factory=dict)
    files: dict[str, tuple[bytes, str]] = field(default_factory=dict)


state = State()
bill = Bill()


def portrait(inputs: dict[str, Any]) -> tuple[bytes, str]:
    prompt = str(inputs["prompt"])
    if re.search(r"\b(blank|empty|nobody)\b", prompt, re.IGNORECASE):  # an image model obeys, too
        out = BytesIO()
        Image.new("RGB", (1024, 1024), (214, 210, 200)).save(out, "PNG")
        return out.getvalue(), "image/png"
    return draw(prompt), "image/png"


def lipsync(inputs: dict[str, Any]) -> tuple[bytes, str]:
    """A picture and a sound (WAV) become a video; the mouth follows the sound itself."""
    picture, sound = (inputs.get(one) or inputs.get(other) for one, other in _LIPSYNC_NAMES)
    picture = read_picture(_bytes(str(picture)))
    with wave.open(BytesIO(_bytes(str(sound)))) as file:
        rate, samples = file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), np.int16)
        samples = samples[:: file.getnchannels()]
    count = round(len(samples) * RATE / rate)
    samples = np.interp(np.arange(count) * rate / RATE, np.arange(len(samples)), samples).astype(np.int16)
    out = bytearray()
    video = FragmentedMp4(512, out.extend)
    session = CpuEngine().prepare(picture, 512).session()
    video.add_audio(samples)
    for frame in (*session.render(Speech(samples)), *session.finish()):
        video.add_frame(frame)
    video.close()
    return seekable(bytes(out)), "video/mp4"


def _seconds_of_audio(inputs: dict[str, Any]) -> float:
    with wave.open(BytesIO(_bytes(inputs.get("audio") or inputs["driven_audio"]))) as sound:
        return float(sound.getnframes() / sound.getframerate())


def clip(inputs: dict[str, Any]) -> tuple[bytes, str]:
    """What the stand-in for fal makes of the same words and picture."""
    from local.fal import make_clip

    picture = base64.b64encode(_bytes(inputs["image"])).decode()
    return make_clip({**inputs, "image_url": f"data:;base64,{picture}"}, False, lambda _: None), "video/mp4"


def loop(inputs: dict[str, Any]) -> tuple[bytes, str]:
    """The picture, which comes nearer and goes back, 24 frames a second, 720 lines."""
    first = next(str(inputs[name]) for name in ("image", "first_frame") if name in inputs)
    with Image.open(BytesIO(_bytes(first))) as opened:
        still = cv2.resize(np.asarray(opened.convert("RGB")), (720, 720))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "out.mp4")
        with av.open(str(target), "w") as file:
            stream = file.add_stream("libx264", rate=24, width=720, height=720, options={"preset": "ultrafast"})
            count = 24 * int(inputs["duration"])
            for number in range(count):
                zoom = 1 + 0.04 * math.sin(math.pi * number / count) ** 2
                matrix = np.array([[zoom, 0, 360 * (1 - zoom)], [0, zoom, 360 * (1 - zoom)]])
                picture = cv2.warpAffine(still, matrix, (720, 720))
                file.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture, np.uint8), format="rgb24")))
            file.mux(stream.encode(None))
        return target.read_bytes(), "video/mp4"


_LIPSYNC_NAMES = (("image", "source_image"), ("audio", "driven_audio"))
_IMAGE = {"required": ["prompt"], "run": portrait, "units": lambda _: {"pictures": 1}}
_VIDEO = {
    "required": ["image", "audio"], "run": lipsync, "units": lambda inputs: {"seconds": _seconds_of_audio(inputs)},
}  # fmt: skip


def _seconds_wanted(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"seconds": inputs["duration"]}


# By the vendor's pages: what each needs, and whether its output is one address or a list.
MODELS: dict[str, dict[str, Any]] = {
    "black-forest-labs/flux-1.1-pro": _IMAGE,
    "black-forest-labs/flux-2-pro": _IMAGE,
    "black-forest-labs/flux-2-klein-4b": {**_IMAGE, "list": True},
    "bytedance/omni-human-1.5": _VIDEO,
    "bytedance/omni-human": _VIDEO,
    "prunaai/p-video-avatar": _VIDEO,
    "cjwbw/sadtalker": {**_VIDEO, "required": ["source_image", "driven_audio"], "units": lambda _: {"runs": 1}},
    "wan-video/wan-2.7-i2v": {"required": ["prompt", "first_frame"], "run": loop, "units": _seconds_wanted},
    "bytedance/seedance-2.0": {"required": ["prompt", "image"], "run": loop, "units": _seconds_wanted},
    "bytedance/seedance-2.0-fast": {"required": ["prompt", "image"], "run": loop, "units": _seconds_wanted},
    "character-ai/ovi-i2v": {"required": ["prompt", "image"], "run": clip, "units": lambda _: {"runs": 1}},
}
# Models of the community are called by a version alone.
VERSIONS = {"3aa3dac9353cc4d6bd62a8f95957bd844003b401ca4e4a9b33baa574c549d376": "cjwbw/sadtalker"}


def _bytes(address: str) -> bytes:
    if address.startswith("data:"):
        return base64.b64decode(address.partition(",")[2])
    file_id = address.rstrip("/").rsplit("/", 1)[-1]
    if file_id in state.files:
        return state.files[file_id][0]
    return httpx.get(address, timeout=30, follow_redirects=True).raise_for_status().content


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def guarded(handler: Callable[..., Any]) -> Callable[[Request], Any]:
    async def check(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {os.environ['STANDIN_KEY']}":
            return _problem(401, "You did not pass a valid authentication token")
        answer: Response = await handler(request)
        return answer

    return check


async def create(request: Request) -> Response:
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return _problem(422, "The body is not JSON")
    if not isinstance(body, dict):
        return _problem(422, "The body is not an object")
    params = request.path_params
    name = f"{params['owner']}/{params['name']}" if params else str(body.get("version") or body.get("model") or "")
    known = VERSIONS.get(name.rpartition(":")[2], name)
    model = None if name in VERSIONS.values() else MODELS.get(known)
    inputs = body.get("input")
    if model is None:
        return _problem(404 if params else 422, f"There is no model or version {name!r}")
    if not isinstance(inputs, dict) or (missing := [key for key in model["required"] if not inputs.get(key)]):
        missing = model["required"] if not isinstance(inputs, dict) else missing
        return _problem(422, f"- input: {', '.join(missing)} is required")
    job_id, base = uuid4().hex[:26], _base(request)
    urls = {
        "get": f"{base}/v1/predictions/{job_id}",
        "cancel": f"{base}/v1/predictions/{job_id}/cancel",
        "web": f"{base}/p/{job_id}",
    }
    prediction = {
        "id": job_id, "model": known, "version": "hidden", "input": inputs, "output": None, "logs": "", "error": None,
        "status": "starting", "created_at": _now(), "started_at": None, "completed_at": None, "metrics": {},
        "urls": urls, "data_removed": False, "source": "api",
    }  # fmt: skip
    run = Run(prediction, body.get("webhook"), body.get("webhook_events_filter") or ["completed"])
    state.runs[job_id] = run
    run.task = asyncio.create_task(_work(run, model, base, stuck=bool(request.scope.get("stuck"))))
    limit = _seconds(request.headers.get("cancel-after", ""))
    if limit:
        asyncio.get_running_loop().call_later(limit, _expire, run)
    if (wait := re.search(r"\bwait(?:=(\d{1,3}))?", request.headers.get("prefer", ""))) is None:
        return JSONResponse(run.body, 201)
    await asyncio.wait([run.task], timeout=float(wait[1] or 60))
    return JSONResponse(run.body, 201 if run.body["status"] in FINISHED else 202)


def _seconds(duration: str) -> float:
    """Seconds of a duration such as 90s, 5m or 1h30m; 0 for none."""
    return sum(
        float(count) * {"h": 3600, "m": 60, "s": 1}[unit] for count, unit in re.findall(r"(\d+)([hms])", duration)
    )


def _expire(run: Run) -> None:
    if run.body["status"] not in FINISHED and run.task:
        run.task.cancel()
        run.body.update(status="aborted" if run.body["status"] == "starting" else "canceled", completed_at=_now())


async def _work(run: Run, model: dict[str, Any], base: str, *, stuck: bool) -> None:
    body = run.body
    body.update(status="processing", started_at=_now())
    await _notify(run, "start")
    try:
        bill.add(body["model"], **await asyncio.to_thread(model["units"], body["input"]))  # canceled from here on, too
    except (OSError, httpx.HTTPError, wave.Error, EOFError) as error:
        body.update(status="failed", error=f"The input cannot be read: {error}", completed_at=_now())
        await _notify(run, "completed")
        return
    if stuck:
        await asyncio.sleep(3600)
    began = time.monotonic()
    try:
        data, kind = await asyncio.to_thread(model["run"], body["input"])
        file_id = uuid4().hex
        state.files[file_id] = (data, kind)
        address = f"{base}/delivery/{file_id}"
        body.update(status="succeeded", output=[address] if model.get("list") else address)
    except asyncio.CancelledError:
        raise
    except Exception as error:
        body.update(status="failed", error=str(error) or type(error).__name__)
    body.update(completed_at=_now(), metrics={"predict_time": time.monotonic() - began})
    await _notify(run, "completed")


async def _notify(run: Run, event: str) -> None:
    """Deliver a webhook, signed as Standard Webhooks say; tried three times."""
    if not run.webhook or event not in run.events:
        return
    data = json.dumps(run.body).encode()
    message, stamp = f"msg_{uuid4().hex}", str(int(time.time()))
    signed = hmac.new(base64.b64decode(_SECRET), f"{message}.{stamp}.".encode() + data, hashlib.sha256).digest()
    headers = {
        "content-type": "application/json", "webhook-id": message, "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }  # fmt: skip
    async with httpx.AsyncClient(timeout=10) as http:
        for pause in (0.0, 0.5, 2.0):
            await asyncio.sleep(pause)
            try:
                if (await http.post(run.webhook, content=data, headers=headers)).is_success:
                    return
            except httpx.TransportError:
                continue


async def get(request: Request) -> Response:
    run = state.runs.get(request.path_params["id"])
    return JSONResponse(run.body) if run else _problem(404, "The requested prediction does not exist")


async def listing(_: Request) -> Response:
    newest = sorted((run.body for run in state.runs.values()), key=lambda body: body["created_at"], reverse=True)
    return JSONResponse({"next": None, "previous": None, "results": newest[:100]})


async def cancel(request: Request) -> Response:
    run = state.runs.get(request.path_params["id"])
    if run is None:
        return _problem(404, "The requested prediction does not exist")
    if run.body["status"] not in FINISHED:
        if run.task:
            run.task.cancel()
        run.body.update(status="canceled", completed_at=_now())
        return JSONResponse(run.body, background=BackgroundTask(_notify, run, "completed"))
    return JSONResponse(run.body)


async def upload(request: Request) -> Response:
    form = await request.form()
    content = form.get("content")
    if content is None or isinstance(content, str):
        return _problem(422, "content: a file is required")
    data, file_id = await content.read(), uuid4().hex
    kind = content.content_type or "application/octet-stream"
    state.files[file_id] = (data, kind)
    found = {
        "id": file_id, "name": content.filename, "content_type": kind, "size": len(data), "metadata": {},
        "etag": hashlib.md5(data, usedforsecurity=False).hexdigest(), "created_at": _now(), "expires_at": _now(),
        "checksums": {"sha256": hashlib.sha256(data).hexdigest()},
        "urls": {"get": f"{_base(request)}/v1/files/{file_id}"},
    }  # fmt: skip
    return JSONResponse(found, 201)


async def file(request: Request) -> Response:
    found = state.files.get(request.path_params["id"])
    return Response(found[0], media_type=found[1]) if found else _problem(404, "The file does not exist")


async def account(_: Request) -> Response:
    return JSONResponse({"type": "user", "username": "stand-in", "name": "Stand-in", "github_url": ""})


async def secret(_: Request) -> Response:
    return JSONResponse({"key": f"whsec_{_SECRET}"})


app = Starlette(
    routes=[
        bill.route,
        Route("/v1/predictions", guarded(create), methods=["POST"]),
        Route("/v1/predictions", guarded(listing)),
        Route("/v1/models/{owner}/{name}/predictions", guarded(create), methods=["POST"]),
        Route("/v1/predictions/{id}", guarded(get)),
        Route("/v1/predictions/{id}/cancel", guarded(cancel), methods=["POST"]),
        Route("/v1/account", guarded(account)),
        Route("/v1/files", guarded(upload), methods=["POST"]),
        Route("/v1/files/{id}", guarded(file)),
        Route("/v1/webhooks/default/secret", guarded(secret)),
        Route("/delivery/{id}", file),
    ],
    middleware=[Middleware(Faults, refusal=refusal)],
)
