"""Stand-in for YouTube: resumable uploads, processing, schedule, thumbnails, views. Its sign-in: google.py.

A test acts over HTTP:
POST /_clock {"ahead_s": 3600}                          moves YouTube's time, and publishes what is due
POST /_outcome {"uploadStatus": "rejected", "rejectionReason": "duplicate"}   of the next films; {} for well
POST /_views/{video} {"views": 500, "curve": [1, 0.9, …]}                     what its audience does
GET  /_videos                                           all films, with sha256 and what was public when

Codes that a fault may have (see faults.py), with the path of an upload:
lost       what was sent is kept, its answer is lost        partial    only 256 KiB of a piece are kept
none       308 without Range: nothing is kept               gone       404: the session has ended
ignored    publishAt is not kept
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local import google
from local.bill import Bill
from local.faults import Cut, Faults
from local.google import authorized, refusal, refused

GRAIN = 256 * 1024
PROCESSED_AFTER = 0.5  # seconds
UPLOADS = 100  # a day
STARTS = "/upload/youtube/v3/videos"


@dataclass
class Session:
    """An upload under way."""

    channel: str
    video: dict[str, Any]
    total: int
    data: bytearray = field(default_factory=bytearray)
    done: str = ""


@dataclass
class State:
    """What the vendor keeps."""

    ahead: float = 0.0
    sessions: dict[str, Session] = field(default_factory=dict)
    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcome: dict[str, str] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: int = 0


state = State()
bill = Bill()


def now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=state.ahead)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


# Uploads


async def start(request: Request) -> Response:
    video = await request.json()
    snippet, status = video.get("snippet", {}), video.get("status", {})
    if state.started >= UPLOADS:
        return refused(403, "quotaExceeded")
    state.started += 1
    title, description = snippet.get("title", ""), snippet.get("description", "")
    if not title or len(title) > 100 or re.search("[<>]", title):
        return refused(400, "invalidTitle")
    if len(description.encode()) > 5000 or re.search("[<>]", description):
        return refused(400, "invalidDescription")
    if sum(len(tag) for tag in snippet.get("tags", [])) > 500:
        return refused(400, "invalidTags")
    if status.get("publishAt") and (status.get("privacyStatus") != "private"):
        return refused(400, "invalidPublishAt")
    total = int(request.headers["x-upload-content-length"])
    upload = uuid4().hex
    state.sessions[upload] = Session(request.state.channel, video, total)
    base = str(request.base_url).rstrip("/")
    return Response(headers={"location": f"{base}/upload/session?upload_id={upload}"})


async def send(request: Request) -> Response:
    """A piece, or the question how much is kept. The address suffices: no token is looked at."""
    code = request.scope.get("code", "")
    upload = state.sessions.get(request.query_params.get("upload_id", ""))
    if code == "gone":
        state.sessions.pop(request.query_params["upload_id"], None)
        upload = None
    if upload is None:
        return refused(404, "notFound")
    if upload.done:
        return JSONResponse(_resource(upload.done))
    piece = await request.body()
    asked = re.fullmatch(r"bytes (?:\*|(\d+)-(\d+))/(\d+)", request.headers.get("content-range", ""))
    if not asked or int(asked[3]) != upload.total:
        return refused(400, "badContent", "The range does not fit the upload.")
    if asked[1] is not None:
        first, last = int(asked[1]), int(asked[2])
        if first != len(upload.data) or last - first + 1 != len(piece):
            return refused(400, "badContent", "The piece does not follow what is kept.")
        if last + 1 < upload.total and len(piece) % GRAIN:
            return refused(400, "badContent", "Pieces are multiples of 256 KiB.")
        upload.data += piece[:GRAIN] if code == "partial" else piece
        if code == "none":
            upload.data.clear()
    if len(upload.data) == upload.total:
        upload.done = _arrived(upload)
    if code == "lost":
        return _Lost()
    if upload.done:
        return JSONResponse(_resource(upload.done))
    headers = {"range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
    return Response(status_code=308, headers=headers)


class _Lost(Response):
    """An answer that breaks off."""

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        raise Cut


def _arrived(upload: Session) -> str:
    video = base64.urlsafe_b64encode(os.urandom(8)).decode().rstrip("=")
    given = upload.video["status"]
    public = given.get("privacyStatus", "public")  # without it a film is public
    state.videos[video] = {
        "channel": upload.channel, "snippet": {**upload.video["snippet"], "publishedAt": stamp(now())},
        "status": {
            "privacyStatus": public, "license": "youtube", "embeddable": True, "publicStatsViewable": True,
            "selfDeclaredMadeForKids": given.get("selfDeclaredMadeForKids", False),
            "containsSyntheticMedia": given.get("containsSyntheticMedia", False),
            **({"publishAt": given["publishAt"]} if "publishAt" in given else {}),
        },
        "sha256": hashlib.sha256(upload.data).hexdigest(), "bytes": upload.total, "arrived": time.time(),
        "outcome": dict(state.outcome), "public_since": stamp(now()) if public == "public" else None,
        "thumbnail": None, "captions": [],
    }  # fmt: skip
    state.outcome.clear()
    bill.add("videos.insert", videos=1)
    return video


def _tick() -> None:
    for video in state.videos.values():
        due = video["status"].get("publishAt")
        if due and video["status"]["privacyStatus"] == "private" and due <= stamp(now()):
            video["status"]["privacyStatus"] = "public"
            video["public_since"] = due
            del video["status"]["publishAt"]


def _processed(video: dict[str, Any]) -> bool:
    return bool(time.time() - video["arrived"] > PROCESSED_AFTER)


def _resource(id: str) -> dict[str, Any]:
    _tick()
    video = state.videos[id]
    status = {**video["status"], "uploadStatus": "processed" if _processed(video) else "uploaded"}
    if _processed(video) and video["outcome"]:
        status |= video["outcome"]
    return {"kind": "youtube#video", "id": id, "snippet": video["snippet"], "status": status}


# What is kept


async def channels(request: Request) -> Response:
    id = request.state.channel
    if id == "none":
        return JSONResponse({"items": []})
    snippet = {"title": f"Channel {id[2:]}", "thumbnails": {"default": {"url": f"https://yt3.ggpht.com/{id}"}}}
    playlists = {"relatedPlaylists": {"uploads": f"UU{id[2:]}"}}
    status = {"longUploadsStatus": "eligible"}
    return JSONResponse({"items": [{"id": id, "snippet": snippet, "contentDetails": playlists, "status": status}]})


async def playlist(request: Request) -> Response:
    wanted = "UC" + request.query_params["playlistId"][2:]
    ids = [id for id, video in reversed(state.videos.items()) if video["channel"] == wanted][:50]
    return JSONResponse({"items": [{"contentDetails": {"videoId": id}} for id in ids]})


async def list_videos(request: Request) -> Response:
    ids = [id for id in request.query_params["id"].split(",") if id in state.videos]
    return JSONResponse(
        {"items": [_resource(id) for id in ids if state.videos[id]["channel"] == request.state.channel]}
    )


async def update(request: Request) -> Response:
    given = await request.json()
    video = state.videos.get(given["id"])
    if video is None or video["channel"] != request.state.channel:
        return refused(404, "videoNotFound")
    _tick()
    status = given["status"]
    public = status.get("privacyStatus", "public")
    if status.get("publishAt") and video["public_since"]:
        return refused(400, "invalidPublishAt")
    if public != "private" or request.scope.get("code") == "ignored":
        status.pop("publishAt", None)
    elif status.get("publishAt", "9") <= stamp(now()):
        public = "public"
        status.pop("publishAt", None)
    video["status"] = {**status, "privacyStatus": public}
    if "publishAt" in status:
        when = datetime.fromisoformat(status["publishAt"].replace("Z", "+00:00"))
        video["status"]["publishAt"] = stamp(when)
    if public == "public" and not video["public_since"]:
        video["public_since"] = stamp(now())
    return JSONResponse(_resource(given["id"]))


async def thumbnail(request: Request) -> Response:
    id = request.query_params["videoId"]
    video = state.videos.get(id)
    if video is None:
        return refused(404, "videoNotFound")
    if not _processed(video):
        return refused(403, "forbidden", "The thumbnail can't be set for this video yet.")
    data = await request.body()
    if not data.startswith(b"\xff\xd8"):
        return refused(400, "invalidImage")
    video["thumbnail"] = hashlib.sha256(data).hexdigest()
    return JSONResponse({"items": [{}]})


async def start_captions(request: Request) -> Response:
    snippet = (await request.json())["snippet"]
    video = state.videos[snippet["videoId"]]
    if any(one["language"] == snippet["language"] for one in video["captions"]):
        return refused(409, "captionExists")
    base = str(request.base_url).rstrip("/")
    return Response(
        headers={"location": f"{base}/upload/captions?video={snippet['videoId']}&language={snippet['language']}"}
    )


async def send_captions(request: Request) -> Response:
    text = (await request.body()).decode()
    if not text.startswith("WEBVTT"):
        return refused(400, "contentInvalid")
    state.videos[request.query_params["video"]]["captions"].append({"language": request.query_params["language"]})
    return JSONResponse({"id": uuid4().hex})


# Its audience


async def report(request: Request) -> Response:
    asked = request.query_params
    found = re.fullmatch(r"video==([\w-]+)", asked.get("filters", ""))
    if not found:
        return refused(400, "badRequest", "The query is not supported.")
    video, dimension, metrics = state.videos.get(found[1]), asked["dimensions"], asked["metrics"].split(",")
    if "estimatedRevenue" in metrics and "yt-analytics-monetary" not in request.state.scopes:
        return refused(403, "insufficientPermissions")
    planted = state.views.get(found[1], {})
    columns = [dimension, *metrics]
    rows: list[list[Any]] = []
    if video and video["public_since"] and planted:
        began = datetime.fromisoformat(video["public_since"].replace("Z", "+00:00")).date()
        last = min(datetime.fromisoformat(asked["endDate"]).date(), (now() - timedelta(days=3)).date())
        days = (last - began).days + 1
        if dimension == "elapsedVideoTimeRatio" and days > 0:
            curve = planted["curve"]
            for place in range(100):
                share = {"audienceWatchRatio": curve[place * len(curve) // 100], "relativeRetentionPerformance": 0.5}
                rows.append([round((place + 1) / 100, 2), *[share[one] for one in metrics]])
        elif dimension == "day":
            views = planted["views"] // max(1, days)
            a_day = {"views": views, "engagedViews": views * 8 // 10, "estimatedRevenue": round(views * 0.002, 3)}
            rows = [
                [str(began + timedelta(days=number)), *[a_day.get(one, a_day["views"]) for one in metrics]]
                for number in range(max(0, days))
            ]
    if len(state.videos) % 2:  # its columns come in another order now and then
        columns, rows = columns[::-1], [row[::-1] for row in rows]
    answer: dict[str, Any] = {
        "kind": "youtubeAnalytics#resultTable",
        "columnHeaders": [{"name": one} for one in columns],
    }
    return JSONResponse(answer | ({"rows": rows} if rows else {}))


# For tests


async def clock(request: Request) -> Response:
    state.ahead = float((await request.json())["ahead_s"])
    _tick()
    return JSONResponse({"now": stamp(now())})


async def outcome(request: Request) -> Response:
    state.outcome = await request.json()
    return JSONResponse(state.outcome)


async def plant(request: Request) -> Response:
    state.views[request.path_params["id"]] = await request.json()
    return JSONResponse({})


async def show(_: Request) -> Response:
    _tick()
    videos = {id: {**video, "status": _resource(id)["status"]} for id, video in state.videos.items()}
    return JSONResponse({"started": state.started, "videos": videos})


async def remove(request: Request) -> Response:
    state.videos.pop(request.path_params["id"])
    return JSONResponse({})


async def quota(request: Request) -> Response:
    state.started = int((await request.json())["started"])
    return JSONResponse({})


class Dated:
    """Every answer carries YouTube's time."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", format_datetime(now(), usegmt=True).encode())]
            await send(message)

        await self._app(scope, receive, dated)


async def _icon(_: Request) -> Response:
    return Response(status_code=204)


app = Starlette(
    routes=[
        bill.route,
        *google.routes,
        Route("/favicon.ico", _icon),
        Route(STARTS, authorized(start), methods=["POST"]),
        Route("/upload/session", send, methods=["PUT"]),
        Route("/upload/youtube/v3/thumbnails/set", authorized(thumbnail), methods=["POST"]),
        Route("/upload/youtube/v3/captions", authorized(start_captions), methods=["POST"]),
        Route("/upload/captions", send_captions, methods=["PUT"]),
        Route("/youtube/v3/channels", authorized(channels)),
        Route("/youtube/v3/playlistItems", authorized(playlist)),
        Route("/youtube/v3/videos", authorized(list_videos)),
        Route("/youtube/v3/videos", authorized(update), methods=["PUT"]),
        Route("/v2/reports", authorized(report, "yt-analytics.readonly")),
        Route("/_clock", clock, methods=["POST"]),
        Route("/_outcome", outcome, methods=["POST"]),
        Route("/_views/{id}", plant, methods=["POST"]),
        Route("/_videos", show),
        Route("/_videos/{id}", remove, methods=["DELETE"]),
        Route("/_quota", quota, methods=["POST"]),
    ],
    middleware=[Middleware(Dated), Middleware(Faults, refusal=refusal)],
)
