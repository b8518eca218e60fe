"""The adapters against the stand-ins always, and against the vendors themselves when asked: `pytest -m live`.

Live, each needs its vendor's key in the environment or in .env and is left out without it. All cost about five cents:
a few tokens, two sentences spoken and one of them transcribed, one picture.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from dotenv import dotenv_values

from local.stack import ROOT, Stack
from shared.core.settings import Settings
from shared.media.audio import encode_wav
from shared.media.types import RATE
from shared.personas.voice import VOICES
from shared.providers import catalogue
from shared.providers.anthropic import LanguageModel, Usage
from shared.providers.elevenlabs import TextToSpeech, VoiceSettings
from shared.providers.job import wait
from shared.providers.replicate import Replicate

BOTH = ("standin", pytest.param("live", marks=pytest.mark.live))
Account = Callable[[str], Settings]


@pytest.fixture(params=BOTH)
def account(request: pytest.FixtureRequest) -> Account:
    """Settings that reach a vendor by its key; with `live`, the vendor itself."""
    if request.param == "standin":
        stack: Stack = request.getfixturevalue("stack")
        return lambda _: Settings(stack.settings)
    known = {**dotenv_values(ROOT / ".env"), **os.environ}

    def live(key: str) -> Settings:
        if not known.get(key):
            pytest.skip(f"{key} is not set")
        return Settings({name: value for name, value in known.items() if value})

    return live


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def call() -> Any:
        return await work()

    return asyncio.run(call())


def test_claude_answers_in_pieces_and_says_what_it_took(account: Account) -> None:
    """A stream of text, an id, and tokens in and out."""
    settings, usage = account("ANTHROPIC_API_KEY"), Usage()

    async def ask() -> str:
        model = LanguageModel(settings)
        try:
            said = [part async for part in model.write("You answer in one short sentence.", QUESTION, usage)]
        finally:
            await model.close()
        return "".join(said)

    assert len(run(ask)) > 3
    assert usage.message_id.startswith("msg_")
    assert usage.tokens_in > 5
    assert 1 < usage.tokens_out < 300


QUESTION = [{"role": "user", "content": "What is the Moon?"}]


def test_claude_keeps_to_a_form(account: Account) -> None:
    """As scripts are asked for."""
    from shared.studio.ranking import Concepts

    settings, usage = account("ANTHROPIC_API_KEY"), Usage()

    async def ask() -> Concepts:
        model = LanguageModel(settings)
        try:
            question = "Two thumbnails for this film.\n<idea>Why the sea is salt</idea>"
            return await model.read(Concepts, "You design thumbnails.", question, 600, usage)
        finally:
            await model.close()

    assert run(ask).concepts[0].words


def test_the_voice_speaks_with_times_and_is_understood(account: Account) -> None:
    """Sound at 24 kHz, a time for each character in order, a second sentence that continues the first; then heard."""
    settings = account("ELEVENLABS_API_KEY")
    text, more = "The sea is salt.", "Nobody drinks it."

    async def speak() -> tuple[Any, str]:
        voice = TextToSpeech(settings)
        try:
            ids: list[str] = []
            parts = [part async for part in voice.speak(text, VOICES["neutral"], "", ids, VoiceSettings(0.9, 0.6))]
            following = [part async for part in voice.speak(more, VOICES["neutral"], text, ids)]
            assert len([one for one in ids if one]) == 2
            assert sum(len(part.samples) for part in following) > RATE // 2
            samples = np.concatenate([part.samples for part in parts])
            return parts, await voice.transcribe(encode_wav(samples))
        finally:
            await voice.close()

    parts, heard = run(speak)
    at, timings = 0.0, []
    for part in parts:
        timings += [(one.symbol, one.start + at, one.end + at) for one in part.timings]
        at += len(part.samples) / RATE
    assert "".join(symbol for symbol, _, _ in timings) == text
    assert 0.5 < at < 4
    starts = [start for _, start, _ in timings]
    assert starts == sorted(starts)
    assert "sea" in heard.lower()


def test_voices_are_listed_with_samples(account: Account) -> None:
    """Those that personas get by default are among the account's, or can be spoken with."""
    settings = account("ELEVENLABS_API_KEY")

    async def ask() -> list[Any]:
        voice = TextToSpeech(settings)
        try:
            assert await voice.voice("deleted") is None
            return await voice.voices()
        finally:
            await voice.close()

    found = run(ask)
    assert found
    assert all(one.id and one.name for one in found)


def test_replicate_draws_a_portrait(account: Account) -> None:
    """By the model of the settings: a picture that can be fetched."""
    settings = account("REPLICATE_API_TOKEN")
    model = catalogue.hosted(settings, "portrait")

    async def draw() -> bytes:
        replicate = Replicate(settings)
        try:
            inputs = model.given(prompt="A friendly astronomer, from the front, mouth closed, plain ground.")
            return await wait(replicate, await replicate.start(model.call, inputs))
        finally:
            await replicate.close()

    data = run(draw)
    assert data.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF"))
    assert len(data) > 10_000
