"""`forge prices`: what things cost at list prices, computed from the prices that receipts are made of."""

from __future__ import annotations

from collections.abc import Iterator

from shared.billing import prices
from shared.core.settings import Settings
from shared.providers import catalogue

CHARACTERS_A_SECOND = 15  # of English speech, spaces included: the stand-in's and ElevenLabs' usual pace
TOKENS_IN, TOKENS_OUT = 1500, 200  # of a minute's answer, reckoned: the persona, ten turns before it, 150 words
TALK_SPEED = 6.8  # times real time at which two cores make an answer, with all around it: `forge demo`
FILM_CALLS, FILM_IN, FILM_OUT = 19, 1500, 600  # a round of scripts: its ceiling of calls, their tokens reckoned
FILM_SPEED = 1.1  # seconds of film by a second of two cores, in one shape: the stages of bench.film
IDLE_SECONDS = 4  # of work for a persona's two loops and poster, at 8 x real time: bench.idle
HEADER = """# Prices

List prices of November 2026 in US dollars; a credit is a tenth of a cent. Written by `just prices` from
`shared/billing/prices.py` and `shared/providers/catalogue.py`; the assumptions stand in `local/costs.py`.

| | dollars | credits |
|---|---|---|
"""


def table() -> str:
    """The document, with a line for each thing."""
    lines = (f"| {what} | {dollars:.4f} | {dollars / prices.CREDIT:,.1f} |" for what, dollars in _lines())
    return HEADER + "\n".join(lines) + "\n"


def _lines() -> Iterator[tuple[str, float]]:
    settings = Settings({})
    for model in catalogue.CLAUDE:
        if not model.ends:
            yield f"a minute of talk, `cpu`, {model.name}", _minute(settings, model.name)
    claude = settings.anthropic_model
    yield f"a minute of talk, `musetalk`, {claude}", _minute(settings, claude) + prices.gpu(60)
    for hosted in catalogue.HOSTED:
        if hosted.kind == "lipsync":
            yield f"a minute of lip-sync by {hosted.name}", _speech(settings, 60) + hosted.cost(60)
    for hosted in catalogue.HOSTED:
        if hosted.kind == "portrait":
            yield f"a portrait by {hosted.name}", hosted.cost(0)
    for hosted in catalogue.HOSTED:
        if hosted.kind == "clip":
            yield f"a clip of five seconds by {hosted.name}", hosted.cost(0)
    for hosted in catalogue.HOSTED:
        if hosted.kind == "idle":
            yield f"a loop of five seconds by {hosted.name}", hosted.cost(5)
    scripts = FILM_CALLS * prices.claude(claude, FILM_IN, FILM_OUT)
    yield f"a minute of film, one shape, {claude}", scripts + _speech(settings, 60) + prices.compute(60 / FILM_SPEED)
    yield "a minute of a spoken question", 60 * catalogue.TRANSCRIPTION
    yield "a persona that nobody talks to, a month (its loops are made once)", prices.compute(IDLE_SECONDS)


def _minute(settings: Settings, claude: str) -> float:
    written = prices.claude(claude, TOKENS_IN, TOKENS_OUT)
    return written + _speech(settings, 60) + prices.compute(60 / TALK_SPEED)


def _speech(settings: Settings, seconds: float) -> float:
    return prices.elevenlabs(settings.elevenlabs_model, round(seconds * CHARACTERS_A_SECOND))
