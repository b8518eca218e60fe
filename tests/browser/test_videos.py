"""Our videos in a real browser, without our page."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page

from shared.lipsync.picture import head, read_picture
from shared.media.nv12 import nv12
from shared.media.types import FPS, RATE
from shared.media.video import MIME, FragmentedMp4, seekable
from tests.browser.conftest import wait_for
from tests.support.person import Person

pytestmark = pytest.mark.slow


def test_the_kept_file_plays_in_a_plain_video_element(page: Page, person: Person, persona: dict[str, Any]) -> None:
    """Length known, picture and sound there, played to the end."""
    job = person.talk(persona["id"], say="Kept for later.")
    person.follow(job)
    done = person.look(job)
    page.evaluate(
        """url => { const v = document.createElement('video'); v.id = 'player'; v.src = url; document.body.append(v);
            return v.play(); }""",
        done["output"],
    )
    wait_for(page, "document.getElementById('player').ended", 20)
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(
        done["receipt"]["duration_s"], abs=0.05
    )


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
