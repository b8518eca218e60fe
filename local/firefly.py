"""Stand-in for Adobe Firefly: tokens, one asynchronous call with variations, its limits and its refusals.

Started by the tests alone: on a laptop thumbnails are composed of the film. Codes of faults (see faults.py):
quota      403 with x-access-error: quota_exhausted      entitled   403, user_non_entitled
policy     451                                           html       413 with a page
broken     the job fails                                 hangs      the job stays in `pending`
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from local.bill import Bill
from local.faults import Faults

LIMIT = 4  # requests of pictures; DELETE /_limit begins another minute
bill = Bill()
tokens: set[str] = set()
jobs: dict[str, dict[str, Any]] = {}
asked = 0


def refusal(status: int, code: str = "") -> dict[str, Any]:
    return {"error_code": code or {429: "rate_limited", 401: "401013"}.get(status, "error"), "message": code or "Error"}


async def token(request: Request) -> Response:
    form = await request.form()
    good = (form.get("client_id"), form.get("client_secret")) == ("standin", os.environ["STANDIN_KEY"])
    if not good or "firefly_api" not in str(form.get("scope")):
        return JSONResponse({"error": "invalid_client"}, 401)
    made = uuid4().hex
    tokens.add(made)
    return JSONResponse({"access_token": made, "token_type": "bearer", "expires_in": 86_399})


def _known(request: Request) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return given in tokens and request.headers.get("x-api-key") == "standin"


async def generate(request: Request) -> Response:
    global asked  # noqa: PLW0603
    code = request.scope.get("code", "")
    if not _known(request):
        return JSONResponse(refusal(401), 401)
    if code in ("quota", "entitled"):
        why = {"quota": "quota_exhausted", "entitled": "user_non_entitled"}[code]
        return JSONResponse(refusal(403, "forbidden"), 403, headers={"x-access-error": why})
    if code == "policy":
        return JSONResponse(refusal(451, "unsafe"), 451)
    if code == "html":
        return HTMLResponse("<html><h1>413 Request Entity Too Large</h1></html>", 413)
    asked += 1
    if asked > LIMIT:
        return JSONResponse(refusal(429), 429, headers={"retry-after": "37", "x-access-rate-limit-level": "org"})
    given = await request.json()
    size = (given["size"]["width"], given["size"]["height"])
    if size not in ((2688, 1536), (1536, 2688)) or not 1 <= len(given["prompt"]) <= 1024:
        return JSONResponse(refusal(422, "validation_error"), 422)
    job = f"urn:ff:jobs:{uuid4()}"
    jobs[job] = {"looks": 0, "code": code, "count": given["numVariations"], "size": size}
    bill.add("image4_standard", pictures=given["numVariations"])
    base = str(request.base_url).rstrip("/")
    return JSONResponse(
        {"jobId": job, "statusUrl": f"{base}/v3/status/{job}", "cancelUrl": f"{base}/v3/cancel/{job}"}, 202
    )


async def status(request: Request) -> Response:
    if not _known(request):
        return JSONResponse(refusal(401), 401)
    job = jobs[request.path_params["job"]]
    job["looks"] += 1
    if job["code"] == "broken":
        return JSONResponse({"status": "failed", "jobId": request.path_params["job"]})
    if job["looks"] < 3 or job["code"] == "hangs":
        return JSONResponse({"status": ("pending", "running", "some new word")[job["looks"] % 3], "progress": 30})
    base = str(request.base_url).rstrip("/")
    width, height = job["size"]
    names = [f"{base}/pictures/{width}x{height}/{number}.png" for number in range(job["count"])]
    outputs = [{"seed": number, "image": {"url": name}} for number, name in enumerate(names)]
    return JSONResponse({"status": "succeeded", "result": {"size": job["size"], "outputs": outputs}})


async def picture(request: Request) -> Response:
    width, height = map(int, request.path_params["size"].split("x"))
    hue = np.linspace(40, 200, width // 8)[None, :, None] * np.array([0.3, 0.6, 1.0])
    pixels = np.roll(np.broadcast_to(hue, (height // 8, width // 8, 3)), int(request.path_params["number"]), 2)
    out = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).resize((width, height)).save(out, "PNG")
    return Response(out.getvalue(), media_type="image/png")


async def limit(_: Request) -> Response:
    global asked  # noqa: PLW0603
    asked = 0
    return Response()


async def forget(_: Request) -> Response:
    tokens.clear()
    return Response()


app = Starlette(
    routes=[
        bill.route,
        Route("/ims/token/v3", token, methods=["POST"]),
        Route("/v3/images/generate-async", generate, methods=["POST"]),
        Route("/v3/status/{job}", status),
        Route("/pictures/{size}/{number:int}.png", picture),
        Route("/_limit", limit, methods=["DELETE"]),
        Route("/_tokens", forget, methods=["DELETE"]),
    ],
    middleware=[Middleware(Faults, refusal=refusal)],
)
