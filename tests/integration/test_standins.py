"""The stand-ins, asked with the vendors' own SDKs: they answer as documented, and fail when told to."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from io import BytesIO
from typing import Any

import anthropic
import av
import elevenlabs.core.api_error
import httpx
import modal
import numpy as np
import pytest
import replicate.exceptions
from elevenlabs.client import ElevenLabs

from local.stack import Stack
from shared.core.errors import NotFound, ProviderBusy, ProviderRefused, ProviderTimeout
from shared.providers.modal import Modal

VOICE = "21m00Tcm4TlvDq8ikWAM"


@pytest.fixture(scope="module")
def claude(stack: Stack):  # type: ignore[no-untyped-def]
    with anthropic.Anthropic(
        api_key=stack.settings["ANTHROPIC_API_KEY"],
        base_url=stack.addresses["anthropic"],
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


@pytest.fixture(scope="module")
def voice(stack: Stack):  # type: ignore[no-untyped-def]
    with httpx.Client(timeout=20, trust_env=False) as http:
        yield ElevenLabs(
            api_key=stack.settings["ELEVENLABS_API_KEY"], base_url=stack.addresses["elevenlabs"], httpx_client=http
        )


@pytest.fixture(scope="module")
def models(stack: Stack):  # type: ignore[no-untyped-def]
    client = replicate.Client(api_token=stack.settings["REPLICATE_API_TOKEN"], base_url=stack.addresses["replicate"])
    yield client
    client._client.close()


def ask(text: str = "Who are you?", **more: Any) -> dict[str, Any]:
    return {
        "model": "claude-haiku-5-5",
        "max_tokens": 500,
        "system": "You are Ada. A baker from Lyon.",
        "messages": [{"role": "user", "content": text}],
        **more,
    }


def test_claude_answers_in_the_personas_manner_whole_and_streamed(claude: anthropic.Anthropic) -> None:
    """Both ways give a text that knows the persona, with usage, and pass the SDK's strict validation."""
    whole = claude.messages.create(**ask())
    with claude.messages.stream(**ask()) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    block = final.content[0]
    assert block.type == "text"
    assert "".join(pieces) == block.text
    for text in (whole.content[0].text, block.text):
        assert "Ada" in text
        assert "baker" in text
    assert len(pieces) > 10
    assert final.usage.output_tokens == len(pieces)
    assert final.stop_reason == "end_turn"


def test_the_same_question_gets_other_words_and_each_topic_its_own(claude: anthropic.Anthropic) -> None:
    """Asked twice, the reply differs; what is asked about is answered about, in whole sentences."""

    def reply(question: str) -> str:
        text: str = claude.messages.create(**ask(question)).content[0].text
        return text

    sky = [reply("What do you see in the night sky?") for _ in range(4)]
    assert len(set(sky)) == 4
    assert all(re.search(r"star|moon|Jupiter|comet|galax|sky", text, re.I) for text in sky)
    assert re.search(r"note|song|play|piano|instrument", reply("How do I learn the piano?"), re.I)
    assert re.search(r"dream", reply("What do you dream of?"), re.I)
    for text in (*sky, reply("And the price of oil?")):
        assert re.fullmatch(r"[A-Z].*[.?!]", text)
        assert "{" not in text


def test_claude_remembers_and_keeps_to_a_length(claude: anthropic.Anthropic) -> None:
    """Earlier turns are used, and the length asked for is kept within a quarter."""
    turns = [
        {"role": "user", "content": "Do you bake croissants?"},
        {"role": "assistant", "content": "I do."},
        {"role": "user", "content": "What did I ask you before?"},
    ]
    assert "croissants" in claude.messages.create(**ask(messages=turns)).content[0].text
    long = claude.messages.create(**ask("Tell me about bread in 150 words", max_tokens=1500)).content[0].text
    assert 110 <= len(long.split()) <= 190


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"messages": []}, 400),
        ({"messages": [{"role": "assistant", "content": "I"}]}, 400),
        ({"messages": [{"role": "user", "content": " "}]}, 400),
        ({"extra_body": {"temperature": 1}}, 400),
        ({"max_tokens": 0}, 400),
    ],
)
def test_claude_refuses_what_the_api_refuses(claude: anthropic.Anthropic, change: dict[str, Any], status: int) -> None:
    """Wrong requests are answered as the documentation says."""
    with pytest.raises(anthropic.APIStatusError) as caught:
        claude.messages.create(**{**ask(), **change})
    assert caught.value.status_code == status
    assert caught.value.request_id


def test_a_wrong_key_is_refused_by_every_stand_in(stack: Stack) -> None:
    """Credentials are checked."""
    claude = anthropic.Anthropic(api_key="wrong", base_url=stack.addresses["anthropic"], max_retries=0)
    with claude, pytest.raises(anthropic.AuthenticationError):
        claude.messages.create(**ask())
    with httpx.Client(trust_env=False) as http:
        wrong = ElevenLabs(api_key="wrong", base_url=stack.addresses["elevenlabs"], httpx_client=http)
        with pytest.raises(elevenlabs.core.api_error.ApiError) as refused:
            list(wrong.text_to_speech.stream(VOICE, text="Hi"))
    assert (refused.value.status_code, refused.value.body["detail"]["status"]) == (401, "invalid_api_key")
    stranger = replicate.Client(api_token="wrong", base_url=stack.addresses["replicate"])
    with pytest.raises(replicate.exceptions.ReplicateError) as denied:
        stranger.predictions.list()
    assert denied.value.status == 401
    stranger._client.close()


def test_the_voice_speaks_alike_in_all_four_ways(voice: ElevenLabs) -> None:
    """Whole, streamed, with and without timestamps: the same words at the same times, but for a voice's flutter."""

    def alike(one: bytes, other: bytes) -> bool:
        a, b = np.frombuffer(one, np.int16), np.frombuffer(other, np.int16)
        steps = min(len(a), len(b)) // 480
        x, y = (np.abs(sound[: steps * 480].reshape(steps, 480)).mean(axis=1) for sound in (a, b))
        return abs(len(a) - len(b)) < 0.01 * len(a) and float(np.corrcoef(x, y)[0, 1]) > 0.97

    said: dict[str, Any] = {"voice_id": VOICE, "text": "Hello there, my friend.", "output_format": "pcm_24000"}
    whole = b"".join(voice.text_to_speech.convert(**said))
    assert alike(b"".join(voice.text_to_speech.stream(**said)), whole)
    timed = voice.text_to_speech.convert_with_timestamps(**said)
    assert alike(base64.b64decode(timed.audio_base_64), whole)
    chunks = list(voice.text_to_speech.stream_with_timestamps(**said))
    assert alike(b"".join(base64.b64decode(chunk.audio_base_64) for chunk in chunks), whole)
    assert len(chunks) >= 2
    characters: list[str] = []
    for chunk in chunks:
        assert chunk.alignment is not None
        characters += chunk.alignment.characters
    assert characters == list("Hello there, my friend.")
    assert 1.0 < len(whole) / 2 / 24000 < 3.0


def test_character_times_match_the_sound(voice: ElevenLabs) -> None:
    """Times rise, cover the sound, and the pause after a full stop is silent where they say it is."""
    timed = voice.text_to_speech.convert_with_timestamps(
        VOICE, text="Look up. Now look down again.", output_format="pcm_24000"
    )
    sound = np.frombuffer(base64.b64decode(timed.audio_base_64), np.int16) / 32768
    alignment = timed.alignment
    assert alignment is not None
    starts, ends = alignment.character_start_times_seconds, alignment.character_end_times_seconds
    assert starts == sorted(starts)
    assert all(a <= b for a, b in zip(starts, ends, strict=True))
    assert -0.001 <= len(sound) / 24000 - ends[-1] < 0.6

    def loud(first: float, last: float) -> float:
        return float(np.sqrt((sound[round(first * 24000) : round(last * 24000)] ** 2).mean()))

    stop = alignment.characters.index(".")
    word = loud(starts[0], ends[stop - 1])
    assert ends[stop] - starts[stop] > 0.1
    assert loud(starts[stop] + 0.05, ends[stop] - 0.02) < 0.15 * word


def test_mp3_is_real_mp3(voice: ElevenLabs) -> None:
    """The default format decodes to the same length of sound."""
    data = b"".join(voice.text_to_speech.convert(VOICE, text="Hello there.", output_format="mp3_44100_128"))
    with av.open(BytesIO(data), "r") as file:
        seconds = sum(frame.samples for frame in file.decode(audio=0)) / 44100
        assert file.streams.audio[0].codec_context.name.startswith("mp3")
    assert 0.6 < seconds < 2.5


@pytest.mark.parametrize(("voice_id", "fmt", "status"), [("nobody", "pcm_24000", 404), (VOICE, "ogg_1", 400)])
def test_the_voice_refuses_what_is_not_there(voice: ElevenLabs, voice_id: str, fmt: str, status: int) -> None:
    """Unknown voices and formats are named."""
    with pytest.raises(elevenlabs.core.api_error.ApiError) as caught:
        list(voice.text_to_speech.convert(voice_id, text="Hi", output_format=fmt))
    assert caught.value.status_code == status


def test_replicate_draws_a_portrait_and_keeps_it_for_fetching(models: replicate.Client) -> None:
    """Create, wait, and fetch: the image model's output is a picture with a face."""
    made = models.models.predictions.create("black-forest-labs/flux-1.1-pro", input={"prompt": "an old sailor"})
    made.wait()
    assert made.status == "succeeded"
    data = httpx.get(made.output, trust_env=False).content
    assert data.startswith(b"\x89PNG")
    assert models.predictions.get(made.id).status == "succeeded"
    assert made.id in [found.id for found in models.predictions.list().results]


def test_replicate_renders_lip_sync_from_uploaded_files(
    models: replicate.Client, portrait_png: bytes, voice: ElevenLabs, decode: Callable[[bytes], Any]
) -> None:
    """A picture and a sound become a video of the sound's length whose mouth moves."""
    import wave

    encode_wav = BytesIO()
    with wave.open(encode_wav, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24000)
        said = voice.text_to_speech.convert(VOICE, text="Hello, can you see me?", output_format="pcm_24000")
        file.writeframes(b"".join(said))
    encode_wav.seek(0)
    encode_wav.name = "voice.wav"
    image = BytesIO(portrait_png)
    image.name = "portrait.png"
    made = models.models.predictions.create("bytedance/omni-human-1.5", input={"image": image, "audio": encode_wav})
    made.wait()
    assert made.status == "succeeded", made.error
    video = decode(httpx.get(made.output, trust_env=False).content)
    assert video.audio_seconds == pytest.approx(video.video_seconds, abs=0.08)
    assert np.ptp(video.frames[:, 300:350, 220:292].astype(float).mean(axis=(1, 2, 3))) > 3


def test_replicate_webhooks_pass_the_clients_own_validator(models: replicate.Client) -> None:
    """A finished job is told to its webhook, signed so that the SDK accepts it."""
    import json
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from replicate.webhook import Webhooks

    got: list[tuple[dict[str, str], bytes]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    made = models.models.predictions.create(
        "black-forest-labs/flux-1.1-pro",
        input={"prompt": "a miller"},
        webhook=f"http://127.0.0.1:{server.server_port}/",
        webhook_events_filter=["completed"],
    )
    thread.join(20)
    server.server_close()
    headers, body = got[0]
    secret = models.webhooks.default.secret()
    Webhooks.validate(headers=headers, body=body.decode(), secret=secret, tolerance=60)
    assert json.loads(body)["id"] == made.id


def test_faults_hit_the_next_calls_and_then_stop(
    claude: anthropic.Anthropic, voice: ElevenLabs, fault: Callable[..., None]
) -> None:
    """Status, cut and stall are carried out as often as told, in the vendor's own form."""
    fault("anthropic", status=529, calls=2)
    for _ in range(2):
        with pytest.raises(anthropic.OverloadedError):
            claude.messages.create(**ask())
    claude.messages.create(**ask())
    fault("anthropic", cut_after=6)
    with (
        pytest.raises(Exception, match=r"peer closed|incomplete|closed"),
        claude.messages.stream(**ask()) as stream,
    ):
        list(stream.text_stream)
    fault("elevenlabs", status=429, code="too_many_concurrent_requests", retry_after=3)
    with pytest.raises(elevenlabs.core.api_error.ApiError) as busy:
        list(voice.text_to_speech.stream(VOICE, text="Hi"))
    assert busy.value.status_code == 429
    assert busy.value.headers is not None
    assert busy.value.headers["retry-after"] == "3"
    assert b"".join(voice.text_to_speech.stream(VOICE, text="Hi"))


def test_a_stuck_job_stays_in_processing_until_it_is_cancelled(
    models: replicate.Client, fault: Callable[..., None]
) -> None:
    """The stand-in can hang as the vendor sometimes does."""
    import time

    fault("replicate", path="/v1/models", stuck=True)
    made = models.models.predictions.create("black-forest-labs/flux-1.1-pro", input={"prompt": "a monk"})
    time.sleep(1.2)
    assert models.predictions.get(made.id).status == "processing"
    assert models.predictions.cancel(made.id).status == "canceled"


@pytest.fixture
def modal_environment(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Modal's own client in this process, pointed at the stand-in by its environment alone."""
    for name, value in stack.settings.items():
        if name.startswith("MODAL_"):
            monkeypatch.setenv(name, value)
    yield
    modal.Client.from_env().__exit__(None, None, None)  # type: ignore[no-untyped-call]


def ask_modal(question: Callable[[Modal], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        return await question(Modal())

    return asyncio.run(run())


@pytest.mark.usefixtures("modal_environment")
def test_modals_client_shares_values_and_spawns(fault: Callable[..., None]) -> None:
    """A value put by one handle is got by another; a call is running, then succeeded or failed; faults reach both."""

    async def share(one: Modal) -> list[Any]:
        await one.put("key", {"status": "processing"})
        return await asyncio.gather(*(other.get("key") for other in (one, Modal(), Modal())), one.get("nothing"))

    assert ask_modal(share) == [{"status": "processing"}] * 3 + [None]

    async def spawn(one: Modal) -> str:
        call = await one.spawn("worker", "no uuid")
        while (status := await one.status(call)) == "running":  # noqa: ASYNC110  # as a caller would
            await asyncio.sleep(0.05)
        return status

    assert ask_modal(spawn) == "failed"
    with pytest.raises(NotFound):
        ask_modal(lambda one: one.status("fc-unknown"))
    with pytest.raises(ProviderRefused, match="modal deploy"):
        ask_modal(lambda one: one.spawn("no_such_function", "x"))
    fault("modal", path="DictGet", status=8)  # RESOURCE_EXHAUSTED
    with pytest.raises(ProviderBusy):
        ask_modal(lambda one: one.get("key"))
    fault("modal", path="DictUpdate", stuck=True)
    started = time.monotonic()
    with pytest.raises(ProviderTimeout):
        ask_modal(lambda one: one.put("key", 1))
    assert time.monotonic() - started < 8
