"""Speech in a real browser, with a recognizer in place of the vendor's service that browsers call."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from local.stack import Stack
from tests.browser.conftest import wait_for
from tests.support.person import Person

pytestmark = pytest.mark.slow

# It hears what `hear` is given, as Chrome reports it: results that grow, then the end. `refuse` is a microphone denied.
RECOGNIZER = """
window.SpeechRecognition = class extends EventTarget {
  constructor() { super(); window.recognizer = this; }
  start() { window.started = this.lang; }
  stop() { this.dispatchEvent(new Event('end')); }
  abort() { this.dispatchEvent(new Event('end')); }
  hear(...heard) { this.#tell('result', { results: heard.map(transcript => [{ transcript }]) }); }
  refuse() { this.#tell('error', { error: 'not-allowed' }); this.stop(); }
  #tell(kind, detail) { this.dispatchEvent(Object.assign(new Event(kind), detail)); }
};"""
DRAFT = "document.querySelector('.composer textarea').value"


@pytest.fixture
def talking(page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes) -> Person:
    """Somebody before their persona, in a browser that can hear."""
    person = sign_up()
    persona = person.persona(portrait_png)
    page.add_init_script(RECOGNIZER)
    page.goto(f"{stack.url}/talk/{persona['id']}#token={person.token}")
    page.wait_for_selector("persona-video")
    return person


def talks(person: Person) -> list[str]:
    results = person.http.get("/v1/predictions").json()["results"]
    return [one["input"]["message"] for one in results if one["model"].endswith("talk")]


def test_what_is_heard_stands_in_the_field_and_is_asked_at_its_end(page: Page, talking: Person) -> None:
    """In the browser's language, after what was typed before; the words show while they are spoken."""
    page.fill(".composer textarea", "Tell me:")
    page.click("button[aria-label='Speak']")
    assert page.evaluate("window.started") == page.evaluate("navigator.language")
    page.evaluate("window.recognizer.hear('what is')")
    wait_for(page, f"{DRAFT} === 'Tell me: what is'", 5)
    page.evaluate("window.recognizer.hear('what is', ' a moon?')")
    page.click("button[aria-label='Tap to send']")
    page.wait_for_selector("text=Tell me: what is a moon?")
    wait_for(page, "document.querySelector('persona-video').state === 'speaking'", 30)
    assert talks(talking) == ["Tell me: what is a moon?"]


def test_who_speaks_interrupts(page: Page, talking: Person) -> None:
    """The talk falls silent when the microphone is opened, by the space bar too, which sends when it is let go."""
    page.fill(".composer textarea", "Who are you? Answer in 60 words.")
    page.keyboard.press("Enter")
    wait_for(page, "document.querySelector('persona-video').state === 'speaking'", 30)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down("Space")
    wait_for(page, "document.querySelector('persona-video').state === 'idle'", 2)
    page.evaluate("window.recognizer.hear('And now?')")
    page.keyboard.up("Space")
    page.wait_for_selector(".question >> text=And now?")
    wait_for(page, "document.querySelector('persona-video').state === 'speaking'", 30)
    assert talks(talking)[0] == "And now?"


def test_a_microphone_that_is_refused_asks_nothing(page: Page, talking: Person) -> None:
    """What was typed stays, nothing is sent, and the button can be pressed again."""
    page.fill(".composer textarea", "Tell me")
    page.click("button[aria-label='Speak']")
    page.evaluate("window.recognizer.refuse()")
    page.wait_for_selector("button[aria-label='Speak']")
    assert page.evaluate(DRAFT) == "Tell me"
    assert talks(talking) == []


def test_the_microphone_closes_with_the_key_wherever_the_focus_is_by_then(page: Page, talking: Person) -> None:
    """Tab has moved it onto a button, whose key the space bar is as well; or another window has taken it."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down("Space")
    page.wait_for_selector("button[aria-label='Tap to send']")
    page.evaluate("window.recognizer.hear('Who are you?')")
    page.evaluate("document.querySelector('button[aria-label=\"Tap to send\"]').focus()")
    page.keyboard.up("Space")
    page.wait_for_selector("button[aria-label='Speak']")
    page.wait_for_selector(".question >> text=Who are you?")
    assert talks(talking) == ["Who are you?"]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.down("Space")
    page.wait_for_selector("button[aria-label='Tap to send']")
    page.evaluate("window.dispatchEvent(new Event('blur'))")
    page.wait_for_selector("button[aria-label='Speak']")
