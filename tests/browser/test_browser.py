"""The player page in a real browser."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from local.stack import Stack
from shared.lipsync.picture import head, read_picture
from shared.media.nv12 import nv12
from shared.media.types import FPS, RATE
from shared.media.video import MIME, FragmentedMp4, seekable
from tests.support.person import Person

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


def wait_for(page: Page, expression: str, seconds: float) -> None:
    """Until it is true. Playwright's own wait evaluates text within the page, which its content security forbids."""
    limit = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < limit, f"not within {seconds} s: {expression}"
        page.wait_for_timeout(50)


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            viewport={"width": 1020, "height": 860},
        )
        yield browser.pages[0]
        browser.close()


@pytest.mark.usefixtures("persona")
def test_a_talk_plays_through_mse_while_it_is_made(page: Page, stack: Stack, person: Person) -> None:
    """A question typed into the page: the first frame is presented, the video plays to its end, with sound."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{stack.url}/#token={person.token}")
    page.wait_for_selector("#people button")
    assert person.token not in page.url
    page.fill("#message", "Who are you? Answer in 12 words.")
    page.click("#ask button")
    wait_for(page, "window.firstFrameMs > 0", 15)
    wait_for(page, "window.lastTalk", 15)
    wait_for(page, "document.getElementById('player').ended", 30)
    found = page.evaluate(
        """() => { const v = document.getElementById('player'); return {
            start: v.buffered.start(0), end: v.buffered.end(0), parts: v.buffered.length, width: v.videoWidth,
            duration: v.duration, frames: v.getVideoPlaybackQuality().totalVideoFrames,
            dropped: v.getVideoPlaybackQuality().droppedVideoFrames, sound: v.webkitAudioDecodedByteCount }; }"""
    )
    talk = page.evaluate("window.lastTalk")
    assert (found["parts"], found["width"]) == (1, 512)
    assert found["start"] == pytest.approx(0, abs=0.001)
    assert found["end"] == pytest.approx(talk["receipt"]["duration_s"], abs=0.05)
    assert found["frames"] >= 20
    assert found["sound"] > 2000
    assert page.inner_text("#status") == talk["text"]
    page.wait_for_selector("#gallery button")
    assert errors == []


def test_the_kept_file_plays_in_a_plain_video_element(
    page: Page, stack: Stack, person: Person, persona: dict[str, Any]
) -> None:
    """Length known, picture and sound there, played to the end."""
    job = person.talk(persona["id"], say="Kept for later.")
    person.follow(job)
    done = person.look(job)
    page.goto(f"{stack.url}/")
    page.evaluate(
        """url => { const v = document.getElementById('player'); v.src = url; v.muted = false; return v.play(); }""",
        done["output"],
    )
    wait_for(page, "document.getElementById('player').ended", 20)
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(
        done["receipt"]["duration_s"], abs=0.05
    )


def test_a_persona_is_created_on_the_page_and_a_failure_is_shown(
    page: Page, stack: Stack, person: Person, fault: Any
) -> None:
    """The new persona appears with its portrait; a provider that is down is explained, not a black player."""
    page.goto(f"{stack.url}/#token={person.token}")
    page.fill("#name", "Brigitte")
    page.fill("#appearance", "an elderly woman with white curly hair and glasses")
    page.click("#create button")
    page.wait_for_selector("#people button[title=Brigitte] img[src*='/personaforge/']")
    fault("anthropic", path="/v1", status=529, calls=3)
    page.fill("#message", "Hello?")
    page.click("#ask button")
    page.wait_for_selector("#status.error")
    assert "anthropic" in page.inner_text("#status")


def test_an_answer_without_a_voice_is_read_and_says_why(page: Page, stack: Stack, sign_up: Any, fault: Any) -> None:
    """No black player: the text stands there, with what could not be had."""
    person = sign_up()
    persona = person.persona(appearance="a miller with a grey beard")
    made = {"model": "portrait", "input": {"persona": persona["id"]}}
    person.http.post("/v1/predictions", json=made, headers={"Prefer": "wait=30"}).raise_for_status()
    page.goto(f"{stack.url}/#token={person.token}")
    page.wait_for_selector("#people button")
    fault("elevenlabs", path="/v1", status=401, code="quota_exceeded")
    page.fill("#message", "What is your name?")
    page.click("#ask button")
    wait_for(page, "window.lastTalk", 15)
    shown = page.inner_text("#status")
    assert shown.startswith(page.evaluate("window.lastTalk.text"))
    assert "text only: elevenlabs" in shown
    assert page.get_attribute("#player", "poster") == page.get_attribute("#people img", "src")


def test_without_a_token_the_page_says_what_to_do(page: Page, stack: Stack) -> None:
    """Opening the bare address explains where the token is."""
    page.goto(stack.url)
    page.wait_for_selector("#status.error")
    assert "forge up" in page.inner_text("#status")
    page.fill("#message", "Hello?")
    page.click("#ask button")
    assert "token" in page.inner_text("#status")


def test_asking_again_at_once_makes_one_talk_and_a_persona_without_picture_gets_one(
    page: Page, stack: Stack, sign_up: Any
) -> None:
    """Two quick questions: the first is cancelled. The picture that was missing is drawn on the way."""
    person = sign_up()
    person.persona(appearance="a miller with a grey beard")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{stack.url}/#token={person.token}")
    page.wait_for_selector("#people button")
    page.fill("#message", "First?")
    page.click("#ask button")
    wait_for(page, "window.lastTalk", 15)
    page.evaluate("window.lastTalk = null")
    page.evaluate(
        """() => { for (const text of ['Second, in 60 seconds?', 'Third?']) {
            document.getElementById('message').value = text;
            document.getElementById('ask').requestSubmit(); } }"""
    )
    wait_for(page, "window.lastTalk", 15)
    page.wait_for_timeout(500)
    found = person.http.get("/v1/predictions").json()["results"]
    states = {one["input"]["message"]: one["status"] for one in found if one["model"].endswith("talk")}
    assert states == {"First?": "succeeded", "Second, in 60 seconds?": "canceled", "Third?": "succeeded"}
    page.click("#gallery button")
    page.wait_for_timeout(300)
    assert page.get_attribute("#status", "class") != "error"
    assert errors == []


@pytest.mark.parametrize("size", [512, 1024])
def test_colours_on_the_screen_are_those_of_the_portrait(page: Page, portrait_png: bytes, size: int) -> None:
    """Browsers guess what is not written: the same tags and the same pixels at every size, from the first frame on."""
    picture = read_picture(portrait_png)
    still, _ = head(picture.bgr, picture.face, size)
    luma, chroma = nv12(still)
    frame, out = np.concatenate([luma, chroma.reshape(size // 2, size)]), bytearray()
    video = FragmentedMp4(size, out.extend)
    video.add_audio(np.zeros(2 * RATE, np.int16))
    for _ in range(2 * FPS):
        video.add_frame(frame)
    video.close()
    address = "data:video/mp4;base64," + base64.b64encode(seekable(bytes(out))).decode()
    shown = page.evaluate(
        """async ([address, size]) => {
            const video = Object.assign(document.createElement('video'), {src: address, muted: true});
            const canvas = Object.assign(document.createElement('canvas'), {width: size, height: size});
            document.body.append(video);
            const presented = new Promise(done => video.requestVideoFrameCallback(done));
            await video.play();
            await presented;
            canvas.getContext('2d').drawImage(video, 0, 0);
            return canvas.toDataURL('image/png').split(',')[1];
        }""",
        [address, size],
    )
    pixels = np.asarray(Image.open(BytesIO(base64.b64decode(shown))).convert("RGB")).astype(int)
    away = np.abs(pixels - still[:, :, ::-1]).mean(axis=(0, 1))
    assert away.max() <= 2, away
    assert np.abs((pixels - still[:, :, ::-1]).mean(axis=(0, 1))).max() <= 1.5  # nothing tinted


def test_frames_that_are_shown_twice_leave_no_gap(page: Page) -> None:
    """Where talks keep each other late, pictures last 80 ms and more: MSE buffers one range and plays to its end."""
    parts: list[bytes] = []
    video = FragmentedMp4(128, parts.append)
    video.add_audio(np.zeros(4 * RATE, np.int16))
    for number in range(40):
        frame = np.full((192, 128), 60 + 3 * number, np.uint8)
        for _ in range(1 + number % 4):  # once, twice, three times, four times
            video.add_frame(frame)
    video.close()
    page.goto("about:blank")
    found = page.evaluate(
        """async ([mime, data]) => {
            const player = document.createElement('video'), source = new MediaSource();
            player.muted = true;
            player.src = URL.createObjectURL(source);
            await new Promise(done => source.onsourceopen = done);
            const buffer = source.addSourceBuffer(mime);
            buffer.appendBuffer(Uint8Array.from(atob(data), one => one.charCodeAt(0)));
            await new Promise(done => buffer.onupdateend = done);
            source.endOfStream();
            let waits = 0;
            player.onwaiting = () => waits += player.currentTime > 0;
            document.body.append(player);
            await player.play();
            await new Promise((done, fail) => { player.onended = done; setTimeout(() => fail('not ended'), 10000); });
            return { ranges: buffer.buffered.length, end: buffer.buffered.end(0), at: player.currentTime, waits };
        }""",
        [MIME, base64.b64encode(b"".join(parts)).decode()],
    )
    assert (found["ranges"], found["waits"]) == (1, 0)
    assert found["at"] == pytest.approx(4.0, abs=0.1)
