"""What the stand-in for Claude answers when it is held to a form: angles, judgements, drafts and preferences.

Deterministic by what it is asked. A `quality 5` in a title or text is the score that it is given, so that tests can
plant what should win; a judge told `always says first` does.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

WAYS = ("A question answered", "One object, its whole story", "A common mistake", "A journey in steps", "Then and now")
FOOTAGE = ("calm water", "hands working", "city at night", "forest light", "zeppelin hangar", "clouds moving")
LINES = (
    "Most people walk past it every day.",
    "It begins smaller than a grain of sand.",
    "Then something happens that nobody planned.",
    "You can see it yourself, if you know where to look.",
    "It takes longer than a life, and it never stops.",
    "That is why it looks the way it does.",
    "Somebody once measured it, and was laughed at.",
    "Today we know that the answer was right.",
)


def write(schema: dict[str, Any], system: str, question: str) -> dict[str, Any]:
    """The JSON that a schema asks for."""
    asked = set(schema.get("properties", {}))
    if "angles" in asked:
        return {"angles": [_angle(place, question) for place in range(5)]}
    if "points" in asked:
        points = json.loads(re.search(r"The rubric[^{]*(\{.*?\})", system)[1])  # type: ignore[index]
        scores = {one: _score(one, question) for one in points}
        return {"points": [{"point": one, "score": scores[one], "reason": f"Its {one} holds."} for one in points]}
    if "concepts" in asked:
        idea = _idea(question).rstrip(".?!")
        ways = (f"{idea.split()[-1]}?", "You have seen this", "Nobody planned it")
        return {"concepts": [{"description": f"{way}, beside the teller.", "words": way} for way in ways]}
    if "sentences" in asked:
        return _draft(question)
    first, second = re.findall(r"<script>(.*?)</script>", question, re.S)[:2]
    if "always says first" in question:
        return {"better": "first", "reason": "It came first."}
    better = "first" if _worth(first) >= _worth(second) else "second"
    return {"better": better, "reason": "It says more with fewer words."}


def _angle(place: int, question: str) -> dict[str, Any]:
    idea = _idea(question)
    title = f"{WAYS[place]}: {idea[:60]}"
    return {
        "title": title, "angle": f"{WAYS[place]}, told from close by.",
        "outline": [f"{WAYS[place]} {number}" for number in range(1, 6)],
    }  # fmt: skip


def _draft(question: str) -> dict[str, Any]:
    before = re.search(r"<script>(.*?)</script>", question, re.S)
    if before:
        draft: dict[str, Any] = json.loads(before[1])
        return draft
    wanted = int((re.search(r"about (\d+) words", question) or ["", "60"])[1])
    angle = json.loads((re.search(r"<angle>(.*?)</angle>", question, re.S) or ["", "{}"])[1])
    lot = int(hashlib.sha256(question.encode()).hexdigest(), 16)
    sentences = [{"text": f"{_idea(question).rstrip('.?!')[:80]}?", "footage": ""}]
    if fact := re.search(r"<research>\s*(.+?[.!?])(?=\s|</)", question, re.S):
        sentences.append({"text": fact[1], "footage": ""})
    place = lot % len(LINES)
    while sum(len(one["text"].split()) for one in sentences) < wanted - 6:
        text = LINES[place % len(LINES)]
        sentences.append({"text": text, "footage": FOOTAGE[place % len(FOOTAGE)] if len(sentences) % 2 else ""})
        place += 1
    sentences.append({"text": "Now you know.", "footage": ""})
    return {"title": angle.get("title", "A film"), "sentences": sentences}


def _idea(question: str) -> str:
    return " ".join((re.search(r"<idea>(.*?)</idea>", question, re.S) or ["", "it"])[1].split())


def _score(point: str, question: str) -> int:
    planted = re.search(r"quality (\d)", question)
    return int(planted[1]) if planted else 1 + int(hashlib.sha256(f"{point} {question}".encode()).hexdigest(), 16) % 5


def _worth(script: str) -> int:
    planted = re.search(r"quality (\d)", script)
    lot = int(hashlib.sha256(script.encode()).hexdigest()[:6], 16)
    return int(planted[1]) * 2**24 + lot if planted else lot
