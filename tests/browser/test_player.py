"""<persona-video>: what is seen, frame by frame, and how each failure ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from local.stack import Stack
from tests.browser.conftest import wait_for
from tests.browser.test_page import RECORD, STATE, ask, open_talk, seen
from tests.support.idle import loops
from tests.support.person import Person

pytestmark = pytest.mark.slow

# Every 40 ms what the whole stack of elements shows, drawn in its order with its opacities to a small canvas.
SAMPLE = """() => {
  const player = document.querySelector('persona-video'), root = player.shadowRoot;
  const canvas = Object.assign(document.createElement('canvas'), { width: 32, height: 32 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  window.samples = [];
  const sample = () => {
    context.clearRect(0, 0, 32, 32);
    for (const layer of root.querySelectorAll('img, video')) {
      const there = layer.tagName === 'IMG' ? layer.complete && layer.naturalWidth : layer.readyState >= 2;
      context.globalAlpha = Number(getComputedStyle(layer).opacity);
      if (there) context.drawImage(layer, 0, 0, 32, 32);
    }
    const { data } = context.getImageData(0, 0, 32, 32);
    let light = 0, clear = 0, hash = 0;
    for (let at = 0; at < data.length; at += 4) {
      light += (data[at] + data[at + 1] + data[at + 2]) / 3;
      clear += data[at + 3] < 255;
      hash = (hash * 31 + data[at] + data[at + 1] * 3 + data[at + 2] * 7) | 0;
    }
    window.samples.push([performance.now(), player.state, light / 1024, clear, hash]);
  };
  window.sampling = setInterval(sample, 40);
}"""


@pytest.fixture
def somebody(sign_up: Callable[[], Person], portrait_png: bytes) -> tuple[Person, dict[str, Any]]:
    person = sign_up()
    return person, loops(person, person.persona(portrait_png))


def test_nothing_black_blank_or_frozen_is_ever_seen(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]], errors: list[str]
) -> None:
    """Ten rounds of idle, thinking, speaking and idle again, and one of them interrupted."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    page.wait_for_timeout(1000)
    page.evaluate(SAMPLE)
    for turn in range(10):
        ask(page, f"Number {turn}? In {4 + turn % 3} words.")
        wait_for(page, f"{STATE} === 'speaking'", 20)
        if turn == 4:
            page.click("[aria-label=Stop]")
        wait_for(page, f"{STATE} === 'idle'", 20)
        page.wait_for_timeout(700)
    samples = page.evaluate("clearInterval(window.sampling) ?? window.samples")
    assert len(samples) > 300
    light = sorted(one[2] for one in samples)[len(samples) // 2]
    assert [one for one in samples if one[3] or one[2] < 0.8 * light or one[2] > 1.2 * light] == []
    still, longest = samples[0][0], 0.0
    for before, now in pairwise(samples):
        if now[4] != before[4] or now[1] != "idle":
            still = now[0]
        longest = max(longest, now[0] - still)
    assert longest <= 500
    assert errors == []


def test_who_interrupts_hears_nothing_more_at_once(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """Within 100 ms of the key nothing sounds, whatever the network does; then the job is canceled."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    ask(page, "A long one, in 80 seconds.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    page.wait_for_timeout(600)
    silent = page.evaluate(
        """async () => {
            const talks = [...document.querySelector('persona-video').shadowRoot.querySelectorAll('video:not(.loop)')];
            const sounds = () => talks.some(one => !one.paused && !one.muted), began = performance.now();
            if (!sounds()) return 'it did not sound';
            document.dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape', bubbles: true }));
            while (sounds()) await new Promise(done => setTimeout(done, 5));
            return performance.now() - began; }"""
    )
    assert isinstance(silent, (int, float)), silent
    assert silent <= 100
    limit = 20
    while (job := person.http.get("/v1/predictions").json()["results"][0])["status"] != "canceled" and limit:
        page.wait_for_timeout(250)
        limit -= 1
    assert job["status"] == "canceled"
    page.wait_for_selector("text=Stopped")


def test_behind_a_proxy_that_collects_videos_the_next_talk_comes_as_events(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """The first one plays once all of it is there; the player has noticed, and the second begins while it is made. So
    does the first one after a reload."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    asked: list[str] = []

    def collect(route: Route) -> None:
        asked.append(route.request.url.rpartition("?")[2] if "?" in route.request.url else "")
        if asked[-1]:
            return route.continue_()
        return route.fulfill(response=route.fetch())

    page.route("**/v1/talk/**", collect)
    times: list[float] = []
    for words in (45, 30):
        if words == 30:
            page.reload()
            page.wait_for_selector("persona-video")
            page.evaluate(RECORD)
        ask(page, f"Who are you? In {words} words.")
        wait_for(page, f"{STATE} === 'speaking'", 30)
        page.wait_for_timeout(500)
        page.keyboard.press("Escape") if words == 30 else wait_for(page, f"{STATE} === 'idle'", 60)
        times.append(seen(page, "firstframe")[-1]["ms"])
    first, second = times
    assert asked == ["", "media=true"]
    assert second < first / 2
    assert seen(page, "error") == []


def test_what_was_kept_and_is_interrupted_before_it_plays_never_sounds(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """While its captions are still on their way something else is said: one talk is heard, not two."""
    person, persona = somebody
    job = person.talk(persona["id"], say="This was said before. It is kept, and it lasts a while.")
    person.follow(job)
    kept = person.look(job)
    open_talk(page, stack, person, persona)

    def late(route: Route) -> None:
        page.wait_for_timeout(800)
        route.continue_()

    page.route("**/*.vtt*", late)
    page.evaluate(
        """kept => { const player = document.querySelector('persona-video'); kept.urls.stream = null;
            void player.speak(kept); setTimeout(() => player.speak({ ...kept, captions: null }), 50); }""",
        kept,
    )
    wait_for(page, f"{STATE} === 'speaking'", 15)
    page.wait_for_timeout(1500)
    sounding = """[...document.querySelector('persona-video').shadowRoot.querySelectorAll('video:not(.loop)')]
        .filter(one => !one.paused && !one.muted).length"""
    assert page.evaluate(sounding) == 1


def test_a_stream_that_breaks_off_is_played_from_what_is_kept(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """The network is lost when the stream is opened: the talk goes on without us, and we come back to it."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    broken: list[str] = []

    def break_off(route: Route) -> None:
        broken.append(route.request.url)
        # As a listener who is gone at once: it is made and kept all the same.
        with person.http.stream("GET", route.request.url.removeprefix(stack.url)):
            pass
        route.abort("connectionreset")

    page.route("**/v1/talk/*", break_off)
    ask(page, "Who are you? In 8 words.")
    wait_for(page, f"{STATE} === 'speaking'", 20)
    wait_for(page, f"{STATE} === 'idle'", 20)
    assert len(broken) == 1
    assert seen(page, "error") == []
    assert seen(page, "caption")


def test_a_browser_that_cannot_decode_it_says_so_politely(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """Neither the stream nor what is kept: idle, a message, and an event with its code."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    page.evaluate("MediaSource.isTypeSupported = () => false")
    page.route("**/storage/v1/object/**/*.mp4?*", lambda route: route.fulfill(body="no video", status=200))
    ask(page, "Who are you? In 5 words.")
    wait_for(page, "window.seen.some(one => one[0] === 'error')", 30)
    wait_for(page, f"{STATE} === 'idle'", 5)
    assert [one["code"] for one in seen(page, "error")] == ["decode"]


def test_a_job_that_fails_ends_in_idle(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]], fault: Callable[..., None]
) -> None:
    """The voice is refused and the text was given: there is nothing to deliver, and the reason is said."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    fault("anthropic", path="/v1", status=401)
    ask(page, "Hello?")
    page.wait_for_selector(".notice[role=alert]")
    assert page.evaluate(STATE) == "idle"


def test_where_sound_needs_a_gesture_a_button_offers_it(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """Autoplay is refused: it says that it is ready, and a click plays it."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    page.evaluate(
        """() => { const play = HTMLMediaElement.prototype.play; let refused = false;
            HTMLMediaElement.prototype.play = function () {
                if (refused || this.loop) return play.call(this);
                refused = true;
                return Promise.reject(new DOMException('', 'NotAllowedError')); }; }"""
    )
    ask(page, "Who are you? In 5 words.")
    page.click("persona-video >> text=Play with sound")
    wait_for(page, f"{STATE} === 'speaking'", 10)
    assert [one["state"] for one in seen(page, "state")] == ["thinking", "ready", "speaking"]


# As on an iPhone: no MediaSource, a managed one that opens only without remote playback, and evicts as it likes.
MANAGED = """() => {
  const Real = window.MediaSource, add = Real.prototype.addSourceBuffer;
  const found = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, 'srcObject');
  window.evicted = 0;
  class Managed extends Real {
    addSourceBuffer(type) {
      const buffer = add.call(this, type);
      let appended = 0;
      buffer.addEventListener('updateend', () => {
        appended += 1;
        if (appended % 9 || buffer.updating || this.readyState !== 'open' || buffer.buffered.length === 0) return;
        const end = buffer.buffered.end(buffer.buffered.length - 1), video = window.attached;
        const from = Math.max(video.currentTime + 0.6, end - 0.4);
        if (end - from > 0.15) { window.evicted += 1; buffer.remove(from, end); }
      });
      return buffer;
    }
  }
  Object.defineProperty(HTMLMediaElement.prototype, 'srcObject', {
    get() { return found.get.call(this); },
    set(value) {
      if (!(value instanceof Managed)) return found.set.call(this, value);
      if (!this.disableRemotePlayback) return;
      window.attached = this;
      this.src = URL.createObjectURL(value);
    },
  });
  window.ManagedMediaSource = Managed;
  delete window.MediaSource;
}"""


def test_it_plays_where_there_is_only_a_managed_source_that_evicts(
    browser: BrowserContext, page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """What is evicted before it was shown is appended again; the answer is played to its end."""
    person, persona = somebody
    browser.add_init_script(f"({MANAGED})()")
    open_talk(page, stack, person, persona)
    assert page.evaluate("typeof MediaSource") == "undefined"
    ask(page, "Who are you? In 25 words.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    wait_for(page, f"{STATE} === 'idle'", 60)
    assert page.evaluate("window.evicted") > 0
    assert seen(page, "error") == []
    shown = page.evaluate("window.attached.currentTime")
    assert shown == 0 or shown > 1  # detached by now, or at its end


def test_where_there_is_no_media_source_at_all_the_kept_file_plays(
    browser: BrowserContext, page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """It is made while its words are awaited, then played with captions."""
    person, persona = somebody
    browser.add_init_script("delete window.MediaSource; delete window.ManagedMediaSource;")
    open_talk(page, stack, person, persona)
    ask(page, "Who are you? In 6 words.")
    wait_for(page, f"{STATE} === 'speaking'", 20)
    wait_for(page, f"{STATE} === 'idle'", 20)
    assert seen(page, "error") == []
    assert seen(page, "caption")


def test_a_question_in_mid_talk_shows_it_thinking_not_frozen(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]], fault: Callable[..., None]
) -> None:
    """The interrupted frame fades away over the thinking loop, however long the next answer takes."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    ask(page, "A long one, in 60 seconds.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    page.wait_for_timeout(500)
    fault("anthropic", path="/v1", delay_s=4)
    ask(page, "Something else? In 5 words.")
    page.wait_for_timeout(1500)
    assert page.evaluate(STATE) == "thinking"
    shown = page.evaluate(
        """[...document.querySelector('persona-video').shadowRoot.querySelectorAll('video')]
            .map(one => [one.classList.contains('loop'), getComputedStyle(one).opacity, one.paused])"""
    )
    assert [opacity for loop, opacity, _ in shown if not loop] == ["0", "0"]
    assert [loop for loop, opacity, paused in shown if opacity == "1" and not paused and loop]


def test_loops_that_are_gone_keep_no_answer_from_ending(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """Their files cannot be had: the poster stands in, and the turn ends."""
    person, persona = somebody
    page.route("**/*.idle.mp4*", lambda route: route.fulfill(status=404))
    page.route("**/*.thinking.mp4*", lambda route: route.fulfill(status=404))
    open_talk(page, stack, person, persona)
    ask(page, "Who are you? In 4 words.")
    wait_for(page, f"{STATE} === 'speaking'", 20)
    wait_for(page, f"{STATE} === 'idle'", 20)
    page.wait_for_selector("text=Your turn")


def test_a_talk_that_was_paused_from_outside_can_be_gone_on_with(
    page: Page, stack: Stack, somebody: tuple[Person, dict[str, Any]]
) -> None:
    """A media key, a call: a button goes on, and it plays to its end."""
    person, persona = somebody
    open_talk(page, stack, person, persona)
    ask(page, "Who are you? In 12 words.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    talks = "document.querySelector('persona-video').shadowRoot.querySelectorAll('video:not(.loop)')"
    page.evaluate(f"{talks}.forEach(one => one.pause())")
    page.click("persona-video >> text=Go on")
    wait_for(page, f"{STATE} === 'idle'", 30)
    assert seen(page, "error") == []
