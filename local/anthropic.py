"""Stand-in for Anthropic: POST /v1/messages, streaming or not. It answers by topic and persona."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any
from uuid import uuid4

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.bill import Bill
from local.faults import Faults
from local.replies import ENDINGS, GENERAL, GREETINGS, OPENINGS, TOPICS
from local.screenwriter import write

bill = Bill()
TOKENS_PER_SECOND = 80.0  # about what a small model writes
FORMS = 5  # times as fast are answers that nobody listens to: a film needs eighteen
_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def refusal(status: int, code: str = "", message: str = "") -> dict[str, Any]:
    kind = code or _TYPES.get(status, "api_error")
    error = {"type": kind, "message": message or kind.replace("_", " ").capitalize()}
    return {"type": "error", "error": error, "request_id": f"req_{uuid4().hex[:24]}"}


def _refuse(status: int, message: str) -> JSONResponse:
    body = refusal(status, message=message)
    return JSONResponse(body, status, headers={"request-id": body["request_id"]})


async def messages(request: Request) -> Response:
    if not _known(request):
        return _refuse(401, "invalid x-api-key")
    if "anthropic-version" not in request.headers:
        return _refuse(400, "anthropic-version: header is required")
    try:
        body = await request.json()
    except json.JSONDecodeError:
        return _refuse(400, "The request body is not valid JSON")
    if complaint := _complaint(body):
        return _refuse(400, complaint)
    form = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    system = _system(body.get("system", ""))
    if form:
        words = _tokens(json.dumps(write(form, system, _text(body["messages"][-1]["content"])), ensure_ascii=False))
    else:
        words = _tokens(compose(system, body["messages"]))
    reason = "end_turn"
    if request.scope.get("code") == "cut":
        words, reason = words[: len(words) // 2], "max_tokens"
    if len(words) > body["max_tokens"]:
        words, reason = words[: body["max_tokens"]], "max_tokens"
    read = len(json.dumps(body["messages"]) + _system(body.get("system", ""))) // 4
    message = {
        "id": f"msg_{uuid4().hex[:24]}", "type": "message", "role": "assistant", "model": body["model"],
        "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None, "container": None,
        "usage": {"input_tokens": read, "output_tokens": 1},
    }  # fmt: skip
    line = bill.add(body["model"], tokens_in=read, tokens_out=0 if body.get("stream") else len(words))
    headers = {"request-id": f"req_{uuid4().hex[:24]}"}
    speed = float(os.environ.get("STANDIN_TOKENS_PER_SECOND", TOKENS_PER_SECOND))
    if body.get("stream"):
        stream = _events(message, words, reason, speed, line)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)
    await asyncio.sleep(len(words) / speed / (FORMS if form else 1))
    usage = {"input_tokens": read, "output_tokens": len(words)}
    content = [{"type": "text", "text": "".join(words), "citations": None}]
    return JSONResponse({**message, "content": content, "stop_reason": reason, "usage": usage}, headers=headers)


def _choice_complaint(model: str, kind: object, tools: object) -> str:
    if tools in ("any", "tool"):
        return "tool_choice: forced tool use is not supported by this model"
    if kind == "disabled" and any(name in model for name in ("opus-5-5", "fable-5")):
        return "thinking: this model always thinks; lower output_config.effort instead"
    if kind == "between_tools" and "sonnet-5-5" not in model:
        return "thinking.type: Input should be 'adaptive', 'disabled' or 'enabled'"
    return ""


def _complaint(body: Any) -> str:  # one rule, one line
    """What the API would refuse in this request, or nothing."""
    if not isinstance(body, dict):
        return "The request body must be an object"
    for field in ("model", "max_tokens", "messages"):
        if field not in body:
            return f"{field}: Field required"
    for field in ("temperature", "top_p", "top_k"):
        if field in body:
            return f"{field}: This parameter is not supported by this model"
    kind, tools = ((body.get(name) or {}).get("type") for name in ("thinking", "tool_choice"))
    if choice := _choice_complaint(body["model"], kind, tools):
        return choice
    if not isinstance(body["max_tokens"], int) or body["max_tokens"] < 1:
        return "max_tokens: Input should be greater than or equal to 1"
    turns = body["messages"]
    if not isinstance(turns, list) or not turns:
        return "messages: at least one message is required"
    if any(not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant") for turn in turns):
        return "messages: role must be user or assistant"
    if turns[-1]["role"] == "assistant":
        return "messages: this model does not support assistant prefill"
    if any(not isinstance(turn.get("content"), str | list) for turn in turns):
        return "messages: content: Field required"
    if any(not _text(turn["content"]).strip() for turn in turns):
        return "messages: text content blocks must be non-empty"
    return ""


async def _events(
    message: dict[str, Any], words: list[str], reason: str, speed: float, line: dict[str, Any]
) -> AsyncIterator[bytes]:
    def event(kind: str, **data: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

    yield event("message_start", message=message)
    block = {"type": "text", "text": "", "citations": None}
    yield event("content_block_start", index=0, content_block=block)
    yield event("ping")
    loop = asyncio.get_running_loop()
    start = loop.time()
    for count, word in enumerate(words):
        await asyncio.sleep(max(0.0, start + (count + 1) / speed - loop.time()))
        line["tokens_out"] += 1
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    usage = {"output_tokens": len(words), "input_tokens": message["usage"]["input_tokens"]}
    yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
    yield event("message_stop")


def _tokens(text: str) -> list[str]:
    """Pieces of a word's size, as a model writes them."""
    return re.findall(r"\s*\w{1,8}|\s*[^\w\s]|\s+$", text)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(block.get("text", "") for block in content)


def _system(system: Any) -> str:
    return _text(system) if system else ""


_asked: Counter[tuple[str, str]] = Counter()  # how often each persona has been asked each question
_used: defaultdict[tuple[str, str], set[str]] = defaultdict(set)  # and what it has replied


def compose(system: str, turns: list[dict[str, Any]]) -> str:
    """An answer in the persona's manner to the last turn; of about the length it asks for ("in 60 seconds").

    The same question to the same persona gets other replies each time it is asked.
    """
    question = _text(turns[-1]["content"])
    name = (re.search(r"You are ([^.\n]+)\.", system) or ["", "a friend"])[1]
    about = re.search(r"You are [^.\n]+\. (.+?)(?:\n|$)", system)
    description = about[1] if about else ""
    facts = [mine for fact in re.split(r"[.;]", description) if (mine := _first_person(fact.strip()))]
    _asked[name, question] += 1
    lot = random.Random(f"{name} {question} {_asked[name, question]}")  # noqa: S311  # variety, not secrets
    words = re.search(r"(\d+)[ -](?:second|word)", question)
    wanted = round(int(words[1]) * (2.7 if "second" in question else 1.0)) if words else 45
    sentences = [
        lot.choice(
            GREETINGS if re.match(r"\W*(hello|hi|hey|good (morning|evening|day))\b", question, re.I) else OPENINGS
        )
    ]
    if re.search(r"\b(your name|who are you|introduce|about yourself)\b", question, re.I):
        sentences.append(f"My name is {name}, and {facts[0]}." if facts else f"My name is {name}.")
        sentences += [f"{fact[0].upper()}{fact[1:]}." for fact in facts[1:2]]
    earlier = [_text(turn["content"]) for turn in turns[:-1] if turn["role"] == "user"]
    if earlier and re.search(r"\b(remember|before|earlier|last|first)\b", question, re.I):
        sentences.append(f"Before, you asked me this: {earlier[-1].rstrip('?!. ')}.")
    used = _used[name, question]
    for reply in islice(_replies(question, description, used, lot), 200):
        missing = wanted - len(" ".join(sentences).split())
        if missing < 10:
            break
        if len(reply.split()) < 1.6 * missing or len(sentences) == 1:
            sentences.append(reply)
            used.add(reply)
    if wanted > 20 and not sentences[-1].endswith("?"):
        sentences.append(lot.choice(ENDINGS))
    return " ".join(sentences)


def _replies(question: str, description: str, before: set[str], lot: random.Random) -> Iterator[str]:
    """Replies without end: of the question's topics, of the persona's, and any; of each those first that were not
    given before, and that share words with the question."""
    used: set[str] = set()
    for replies in (_of(question, question), _of(description, question), GENERAL):
        mixed = lot.sample(replies, len(replies))
        for reply in sorted(mixed, key=lambda one: (one in before, -len(_stems(one) & _stems(question)))):
            if reply not in used:
                used.add(reply)
                yield reply
    while True:
        yield from lot.sample(GENERAL, len(GENERAL))


def _of(text: str, question: str) -> tuple[str, ...]:
    """The replies of the topics that a text names, best match with the question first."""
    topics = [(stems, replies) for stems, replies in TOPICS.values() if _named(text) & set(stems)]
    topics.sort(key=lambda one: -len(_named(question) & set(one[0])))
    return tuple(reply for _, replies in topics[:2] for reply in replies)


def _stems(text: str) -> set[str]:
    """The beginnings of a text's longer words, by which an inflected word is known again."""
    return {word[:5] for word in re.findall(r"[^\W\d_]{4,}", text.lower())} - _COMMON


def _named(text: str) -> set[str]:
    """The words of TOPICS with which a word of the text begins."""
    words = set(re.findall(r"[^\W\d_]+", text.lower())) - {"friendly"}
    return {stem for stems, _ in TOPICS.values() for stem in stems if any(word.startswith(stem) for word in words)}


_COMMON = {
    "about",
    "what",
    "when",
    "with",
    "that",
    "this",
    "your",
    "have",
    "tell",
    "look",
    "like",
    "would",
    "they",
    "from",
}


def _first_person(fact: str) -> str:
    """ "A baker from Lyon" and "She loves bread" as "I am a baker from Lyon" and "I love bread"; else nothing."""
    if re.match(r"(a|an|the)\s", fact, re.I):
        return f"I am {fact[0].lower()}{fact[1:]}"
    if found := re.match(r"(?:she|he|it)\s+(?:is\s+(.+)|(\w+?)s?\s(.+))", fact, re.I | re.S):
        return f"I am {found[1]}" if found[1] else f"I {found[2]} {found[3]}"
    if found := re.match(r"(?:you|they)\s+(.+)", fact, re.I | re.S):
        return f"I {found[1]}".replace("I are ", "I am ")
    return ""


async def models(request: Request) -> Response:
    if not _known(request):
        return _refuse(401, "invalid x-api-key")
    found = {
        "type": "model",
        "id": "claude-haiku-5-5",
        "display_name": "Stand-in",
        "created_at": "2026-10-07T00:00:00Z",
    }
    return JSONResponse({"data": [found], "has_more": False, "first_id": found["id"], "last_id": found["id"]})


def _known(request: Request) -> bool:
    key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
    return key == os.environ["STANDIN_KEY"]


app = Starlette(
    routes=[bill.route, Route("/v1/messages", messages, methods=["POST"]), Route("/v1/models", models)],
    middleware=[Middleware(Faults, refusal=refusal)],
)
