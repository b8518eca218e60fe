"""Stand-in for fal: its queue, statuses and signed webhooks; its model Ovi makes a moving clip with speech and sound.

Codes that a fault may have (see faults.py), given with the path of the submission:
webm      the clip is WebM, under the name and type of MP4
empty     its file has no bytes
gone      its file answers 403
policy    COMPLETED, and refused for its content
broken    COMPLETED, and failed
no_hook   no webhook; forged_hook: one that is not signed by us; late_hook: one that is 11 minutes old
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from typing import Any
from uuid import uuid4

import av
import cv2
import httpx
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.bill import Bill
from local.espeak import Espeak
from local.faults import Faults
from local.portrait import draw
from shared.media.image import decode
from shared.media.types import Pixels, Samples

SECONDS, FPS, RATE = 5, 24, 44_100
STEPS = 30
_KEY = Ed25519PrivateKey.generate()
SIZES = ("992x512", "512x992", "960x512", "512x960", "720x720", "448x1120")


@dataclass
class Run:
    """A request in the queue. stage: of its work, 0 to STEPS."""

    app: str
    inputs: dict[str, Any]
    webhook: str | None
    code: str
    stuck: bool
    status: str = "IN_QUEUE"
    stage: int = 0
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    error: tuple[int, str, str] | None = None  # status, kind, message
    task: asyncio.Task[None] | None = None


@dataclass
class State:
    """What the vendor keeps."""

    runs: dict[str, Run] = field(default_factory=dict)
    files: dict[str, tuple[bytes, bool]] = field(default_factory=dict)  # and whether it is gone


state = State()
bill = Bill()


def refusal(status: int, code: str = "", message: str = "") -> dict[str, Any]:
    return {"detail": message or code or {401: "Cannot access application", 429: "Rate limited"}.get(status, "Error")}


def _invalid(name: str, message: str, kind: str = "missing") -> JSONResponse:
    return JSONResponse({"detail": [{"loc": ["body", name], "msg": message, "type": kind}]}, 422)


def guarded(handler: Callable[..., Any]) -> Callable[[Request], Any]:
    async def check(request: Request) -> Response:
        if request.headers.get("authorization") != f"Key {os.environ['STANDIN_KEY']}":
            return JSONResponse(refusal(401), 401)
        answer: Response = await handler(request)
        return answer

    return check


async def submit(request: Request) -> Response:
    model = request.path_params["model"]
    with_picture = model == "fal-ai/ovi/image-to-video"
    if model != "fal-ai/ovi" and not with_picture:
        return JSONResponse({"detail": f"Application '{model}' not found"}, 404)
    try:
        inputs = await request.json()
    except json.JSONDecodeError:
        return _invalid("body", "JSON decode error", "json_invalid")
    for name in ("prompt", *(["image_url"] if with_picture else [])):
        if not isinstance(inputs, dict) or not inputs.get(name):
            return _invalid(name, "Field required")
    if inputs.get("resolution", SIZES[0]) not in SIZES:
        return _invalid("resolution", f"Input should be {' or '.join(SIZES)}", "literal_error")
    request_id, app = str(uuid4()), "fal-ai/ovi"
    run = Run(
        app, inputs, request.query_params.get("fal_webhook"), request.scope.get("code", ""),
        bool(request.scope.get("stuck")),
    )  # fmt: skip
    state.runs[request_id] = run
    base = str(request.base_url).rstrip("/")
    address = f"{base}/{app}/requests/{request_id}"
    run.task = asyncio.create_task(_work(request_id, run, base))
    urls = {"response_url": address, "status_url": f"{address}/status", "cancel_url": f"{address}/cancel"}
    return JSONResponse({"request_id": request_id, "queue_position": 0, **urls})


async def _work(request_id: str, run: Run, base: str) -> None:
    await asyncio.sleep(0.2)
    run.status = "IN_PROGRESS"
    bill.add(run.app, clips=1)["prompt"] = run.inputs["prompt"]
    if run.stuck:
        await asyncio.sleep(3600)
    began = time.monotonic()

    def step(done: float) -> None:
        run.stage = round(done * STEPS)

    try:
        if run.code == "policy":
            raise Refused(422, "content_policy_violation", "The content could not be processed: it was flagged.")
        if run.code == "broken":
            raise Refused(500, "internal_server_error", "The model failed.")
        data = b"" if run.code == "empty" else await asyncio.to_thread(make_clip, run.inputs, run.code == "webm", step)
        name = f"{uuid4().hex}.mp4"
        state.files[name] = (data, run.code == "gone")
        video = {"url": f"{base}/files/{name}", "content_type": "video/mp4", "file_name": name, "file_size": len(data)}
        run.result = {"video": video, "seed": 42}
    except Refused as error:
        run.error = (error.status, error.kind, str(error))
    except Exception as error:
        run.error = (422, "image_load_error", str(error) or type(error).__name__)
    run.seconds = time.monotonic() - began
    run.status = "COMPLETED"
    await _notify(request_id, run)


class Refused(Exception):
    """What the model answers instead of a clip."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status, self.kind = status, kind


def make_clip(inputs: dict[str, Any], webm: bool, step: Callable[[float], None]) -> bytes:
    """Five seconds: a slow move over the picture, or over a drawing of the prompt; the tags' words and sound."""
    prompt = str(inputs["prompt"])
    words = " ".join(re.findall(r"<S>(.*?)<E>", prompt))
    noisy = "<AUDCAP>" in prompt
    scene = re.sub(r"<\w+>.*?<\w+>", "", prompt)
    if "image_url" in inputs:
        picture = decode(_bytes(str(inputs["image_url"])))
        height, width = picture.shape[:2]
        scale = 720 / max(height, width)
        size = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    else:
        picture = decode(draw(scene))
        size = tuple(int(side) for side in str(inputs.get("resolution", SIZES[0])).split("x"))  # type: ignore[assignment]
    return _encode(_frames(picture, size), _sound(words, noisy), size, webm, step)


def _frames(picture: Pixels, size: tuple[int, int]) -> Iterator[Pixels]:
    height, width = picture.shape[:2]
    fill = max(size[0] / width, size[1] / height)
    for number in range(SECONDS * FPS):
        share = number / (SECONDS * FPS - 1)
        zoom = fill * (1 + 0.12 * share)
        at = (size[0] / 2 - (width / 2 + 0.03 * width * np.sin(3 * share)) * zoom, size[1] / 2 - height / 2 * zoom)
        matrix = np.array([[zoom, 0, at[0]], [0, zoom, at[1]]], np.float32)
        yield cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _sound(words: str, noisy: bool) -> Samples:
    sound = np.zeros(SECONDS * RATE)
    if words:
        spoken = Espeak.shared().speak(words)
        count = min(len(sound), round(len(spoken.samples) * RATE / spoken.rate))
        sound[:count] = np.interp(np.arange(count) * spoken.rate / RATE, np.arange(len(spoken.samples)), spoken.samples)
    if noisy:
        sound += np.random.default_rng(1).normal(0, 300, len(sound))
    return np.clip(sound, -32768, 32767).astype(np.int16)


def _encode(
    frames: Iterator[Pixels], sound: Samples, size: tuple[int, int], webm: bool, step: Callable[[float], None]
) -> bytes:
    out = BytesIO()
    with av.open(out, "w", format="webm" if webm else "mp4") as file:
        options = {"deadline": "realtime", "cpu-used": "8"} if webm else {"preset": "ultrafast", "crf": "26"}
        video = file.add_stream("libvpx" if webm else "libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        rate = 48_000 if webm else RATE  # what Opus takes
        audio = file.add_stream("libopus" if webm else "aac", rate=rate, layout="mono")
        for number, bgr in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(video.encode(frame))
            step(number / (SECONDS * FPS))
        file.mux(video.encode(None))
        resampler = av.AudioResampler("s16" if webm else "fltp", "mono", rate)
        block = av.AudioFrame.from_ndarray(sound[None], format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
        for piece in (*resampler.resample(block), *resampler.resample(None)):
            file.mux(audio.encode(piece))
        file.mux(audio.encode(None))
    return out.getvalue()


def _bytes(address: str) -> bytes:
    if address.startswith("data:"):
        return base64.b64decode(address.partition(",")[2])
    return httpx.get(address, timeout=30, follow_redirects=True).raise_for_status().content


async def _notify(request_id: str, run: Run) -> None:
    """Deliver the webhook, twice, as happens; tried three times each."""
    if not run.webhook or run.code == "no_hook":
        return
    body: dict[str, Any] = {"request_id": request_id, "gateway_request_id": request_id, "status": "OK"}
    body |= {"status": "ERROR", "error": run.error[2], "payload": None} if run.error else {"payload": run.result}
    data = json.dumps(body).encode()
    stamp = str(int(time.time()) - (660 if run.code == "late_hook" else 0))
    signed = "\n".join([request_id, "user-1", stamp, hashlib.sha256(data).hexdigest()]).encode()
    key = Ed25519PrivateKey.generate() if run.code == "forged_hook" else _KEY
    headers = {
        "content-type": "application/json", "x-fal-webhook-request-id": request_id, "x-fal-webhook-user-id": "user-1",
        "x-fal-webhook-timestamp": stamp, "x-fal-webhook-signature": key.sign(signed).hex(),
    }  # fmt: skip
    async with httpx.AsyncClient(timeout=15) as http:
        for _ in range(2):
            for pause in (0.0, 0.5, 2.0):
                await asyncio.sleep(pause)
                try:
                    if (await http.post(run.webhook, content=data, headers=headers)).is_success:
                        break
                except httpx.TransportError:
                    continue


def _run(request: Request) -> Run | None:
    return state.runs.get(request.path_params["id"])


async def status(request: Request) -> Response:
    run = _run(request)
    if run is None:
        return JSONResponse({"detail": "Request not found"}, 404)
    found: dict[str, Any] = {"status": run.status, "request_id": request.path_params["id"]}
    if run.status == "IN_QUEUE":
        return JSONResponse({**found, "queue_position": 1}, 202)
    if request.query_params.get("logs"):
        line = f"{100 * run.stage // STEPS}%|{'#' * (run.stage // 3):10}| {run.stage}/{STEPS}"
        found["logs"] = [{"message": line, "level": "STDERR", "source": "USER", "timestamp": time.time()}]
    if run.status == "IN_PROGRESS":
        return JSONResponse(found, 202)
    found["metrics"] = {"inference_time": run.seconds}
    if run.error:
        found |= {"error": run.error[2], "error_type": run.error[1]}
    return JSONResponse(found)


async def result(request: Request) -> Response:
    run = _run(request)
    if run is None or run.status != "COMPLETED":
        return JSONResponse({"detail": "Request is still in progress" if run else "Request not found"}, 400)
    if run.error:
        detail = [{"loc": ["body", "prompt"], "msg": run.error[2], "type": run.error[1]}]
        return JSONResponse({"detail": detail}, run.error[0], headers={"x-fal-error-type": run.error[1]})
    return JSONResponse(run.result)


async def cancel(request: Request) -> Response:
    run = _run(request)
    if run is None:
        return JSONResponse({"status": "NOT_FOUND"}, 404)
    if run.status == "COMPLETED":
        return JSONResponse({"status": "ALREADY_COMPLETED"}, 400)
    if run.task:
        run.task.cancel()
    run.status, run.error = "COMPLETED", (499, "client_cancelled", "Request was cancelled")
    return JSONResponse({"status": "CANCELLATION_REQUESTED"}, 202)


async def file(request: Request) -> Response:
    data, gone = state.files.get(request.path_params["name"], (b"", True))
    return Response("expired", 403) if gone else Response(data, media_type="video/mp4")


async def keys(_: Request) -> Response:
    public = base64.urlsafe_b64encode(_KEY.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public}]})


app = Starlette(
    routes=[
        bill.route,
        Route("/.well-known/jwks.json", keys),
        Route("/files/{name}", file),
        Route("/{owner}/{name}/requests/{id}/status", guarded(status)),
        Route("/{owner}/{name}/requests/{id}/cancel", guarded(cancel), methods=["PUT"]),
        Route("/{owner}/{name}/requests/{id}", guarded(result)),
        Route("/{model:path}", guarded(submit), methods=["POST"]),
    ],
    middleware=[Middleware(Faults, refusal=refusal)],
)
