"""The page in a real browser: talks, personas, the gallery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from local.stack import Stack
from tests.browser.conftest import wait_for
from tests.support.idle import loops
from tests.support.operator import rest
from tests.support.person import Person

pytestmark = pytest.mark.slow

STATE = "document.querySelector('persona-video').state"
# Notes what the player does from now on.
RECORD = """() => { const player = document.querySelector('persona-video'); window.seen = [];
  for (const name of ['state', 'firstframe', 'error', 'caption'])
    player.addEventListener(name, event => window.seen.push([name, event.detail, performance.now()])); }"""


def open_talk(page: Page, stack: Stack, person: Person, persona: dict[str, Any] | None = None) -> None:
    page.goto(f"{stack.url}{'/talk/' + persona['id'] if persona else '/'}#token={person.token}")
    page.wait_for_selector("persona-video")
    page.evaluate(RECORD)


def ask(page: Page, text: str) -> None:
    page.fill(".composer textarea", text)
    page.keyboard.press("Enter")


def seen(page: Page, name: str) -> list[Any]:
    return [one[1] for one in page.evaluate("window.seen") if one[0] == name]


def last_talk(person: Person) -> dict[str, Any]:
    results = person.http.get("/v1/predictions").json()["results"]
    return next(dict(one) for one in results if one["model"].endswith("talk"))


def everybody(person: Person) -> list[dict[str, Any]]:
    """All personas, as the API lists them."""
    found: list[dict[str, Any]] = []
    address: str | None = "/v1/personas"
    while address:
        page = person.http.get(address).raise_for_status().json()
        found += page["results"]
        address = page["next"]
    return found


def test_a_talk_plays_while_it_is_made_and_stands_in_the_history(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes, errors: list[str]
) -> None:
    """Typed, answered through MSE with captions by the word, and still there after a reload with its receipt."""
    person = sign_up()
    persona = loops(person, person.persona(portrait_png))
    open_talk(page, stack, person)
    assert person.token not in page.url
    ask(page, "Who are you? Answer in 12 words.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    page.wait_for_selector("text=Talking")
    found = page.evaluate(
        """() => { const v = [...document.querySelector('persona-video').shadowRoot.querySelectorAll('video')]
            .find(one => one.currentTime > 0 && !one.loop);
            const start = v.buffered.start(0), parts = v.buffered.length;
            return { parts, width: v.videoWidth, start, mse: v.src.slice(0, 5) }; }"""
    )
    assert found == {"parts": 1, "width": 512, "start": pytest.approx(0, abs=0.001), "mse": "blob:"}
    wait_for(page, f"{STATE} === 'idle'", 30)
    talk = last_talk(person)
    assert [one["state"] for one in seen(page, "state")] == ["thinking", "speaking", "idle"]
    assert 0 < seen(page, "firstframe")[0]["ms"] < 5000
    assert [one["text"] for one in seen(page, "caption")]
    assert " ".join(one["text"] for one in seen(page, "caption")).split()[0] in talk["text"]
    page.wait_for_selector("text=Your turn")
    page.wait_for_selector(f"text={talk['text']}")
    page.reload()
    page.wait_for_selector(f"text={talk['text']}")
    page.click("article button.text")
    assert "First picture" in page.inner_text(".receipt")
    page.goto(f"{stack.url}/gallery")
    page.wait_for_selector(".grid li")
    assert page.get_attribute("nav .personas img", "src") == persona["poster"]
    assert errors == []


def test_an_address_with_a_token_pasted_into_the_open_page_signs_in(page: Page, stack: Stack, person: Person) -> None:
    """Also where only the part behind # changes."""
    page.goto(stack.url)
    page.wait_for_selector("text=Open my studio")
    page.evaluate(f"location.hash = 'token={person.token}'")
    page.wait_for_selector("nav")
    assert person.token not in page.url


def test_one_click_signs_in_on_a_laptop(page: Page, stack: Stack) -> None:
    """As the one user there is; nobody is there yet."""
    page.goto(stack.url)
    page.click("text=Open my studio")
    page.wait_for_selector("text=New persona")
    assert page.evaluate("sessionStorage.getItem('personaforge-token').length") > 100


def test_other_origins_cannot_sign_in_as_the_local_user(person: Person) -> None:
    """A page elsewhere that asks from the same browser is refused."""
    answer = person.http.post("/local/session", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 404
    assert "access-control-allow-origin" not in answer.headers
    rebound = person.http.post("/local/session", headers={"Host": "evil.example"})
    assert rebound.status_code == 404


def test_a_persona_is_made_changed_and_deleted_on_the_page(
    page: Page, stack: Stack, sign_up: Callable[[], Person], errors: list[str]
) -> None:
    """Two clicks make one. It is shown at once, its description can be changed, and deleting asks once."""
    person = sign_up()
    page.goto(f"{stack.url}/personas/new#token={person.token}")
    page.fill("[name=name]", "Brigitte")
    page.fill("[name=appearance]", "an elderly woman with white curly hair and glasses")
    page.evaluate("for (let n = 0; n < 2; n++) document.querySelector('persona-form form').requestSubmit()")
    page.wait_for_selector("persona-video[label=Brigitte][poster]", timeout=30_000)
    assert len(person.http.get("/v1/personas").json()["results"]) == 1
    page.click("text='Edit'")
    page.fill("[name=description]", "A baker from Lyon.")
    page.select_option("[name=language]", label="French")
    page.click("text=Save")
    page.wait_for_selector(".conversation >> text=A baker from Lyon.")
    assert errors == []
    assert person.http.get("/v1/personas").json()["results"][0]["language"] == "fr"
    page.click("text='Edit'")
    assert page.input_value("[name=language]") == "fr"
    page.click("text=Delete Brigitte")
    page.click("dialog >> button.danger")
    page.wait_for_selector("text=Nobody is here yet")
    assert person.http.get("/v1/personas").json()["results"] == []


def test_a_voice_is_heard_before_it_is_chosen(page: Page, stack: Stack, person: Person, errors: list[str]) -> None:
    """Its sample plays; choosing one makes the persona speak with it."""
    page.goto(f"{stack.url}/personas/new#token={person.token}")
    page.click("[aria-label='Listen to George']")
    page.wait_for_selector("[aria-label='Stop George']")
    page.click("[aria-label='Stop George']")
    page.wait_for_selector("[aria-label='Listen to George']")
    page.fill("[name=name]", "Georg")
    page.get_by_label("George", exact=False).first.check()
    page.click("text=Make the persona")
    page.wait_for_selector("persona-video", timeout=20_000)
    made = next(one for one in person.http.get("/v1/personas").json()["results"] if one["name"] == "Georg")
    assert made["voice_id"] == "JBFqnCBsd6RMkjVDRZzb"
    assert errors == []


def test_a_photo_is_uploaded_with_consent_and_one_that_cannot_be_used_leaves_nothing(
    page: Page, stack: Stack, sign_up: Callable[[], Person], astronaut: bytes
) -> None:
    """No face: the reason stands there, and no persona is left behind. Then a photo that can be used."""
    person = sign_up()
    page.goto(f"{stack.url}/personas/new#token={person.token}")
    page.click("text=Use a photo")
    page.fill("[name=name]", "Eileen")
    page.set_input_files("input[type=file]", {"name": "me.png", "mimeType": "image/png", "buffer": b"no picture"})
    page.click("text=Make the persona")
    assert page.url.endswith("/personas/new"), "consent is never preset"
    page.check(".consent input")
    page.click("text=Make the persona")
    page.wait_for_selector(".refusal")
    assert person.http.get("/v1/personas").json()["results"] == []
    page.set_input_files("input[type=file]", {"name": "me.png", "mimeType": "image/png", "buffer": astronaut})
    page.click("text=Make the persona")
    page.wait_for_selector("persona-video[label=Eileen]", timeout=30_000)
    assert person.http.get("/v1/personas").json()["results"][0]["consent_at"]


def test_a_cloned_voice_asks_for_the_consent_of_its_person(
    page: Page, stack: Stack, sign_up: Callable[[], Person]
) -> None:
    """Where it is chosen, and there alone."""
    person = sign_up()
    made = person.persona()
    page.goto(f"{stack.url}/personas/{made['id']}/edit#token={person.token}")
    page.wait_for_selector("text=Sam")
    assert not page.query_selector("[name=voice_consent]")
    page.click(".voices >> text=Sam")
    page.check("[name=voice_consent]")
    page.click("text=Save")
    page.wait_for_selector("text=was changed")
    found = person.http.get(f"/v1/personas/{made['id']}").json()
    assert found["voice_id"].startswith("cl0ned")
    assert found["voice_consent_at"]


def test_what_cannot_be_answered_is_said_and_the_question_kept(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """No black player: idle, a sentence, the question back in the field, and a way to try again that works."""
    person = sign_up()
    person.persona(portrait_png)
    open_talk(page, stack, person)
    fault("anthropic", path="/v1", status=529, calls=3)
    ask(page, "Hello? Answer in 5 words.")
    page.wait_for_selector(".notice[role=alert]")
    assert "anthropic" in page.inner_text(".notice[role=alert]")
    assert page.input_value(".composer textarea") == "Hello? Answer in 5 words."
    assert page.evaluate(STATE) == "idle"
    page.click("text=Try again")
    wait_for(page, f"{STATE} === 'speaking'", 15)


def test_an_answer_without_a_voice_is_read(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes, fault: Callable[..., None]
) -> None:
    """The text stands there and says that it was written only; an event says so too."""
    person = sign_up()
    person.persona(portrait_png)
    open_talk(page, stack, person)
    fault("elevenlabs", path="/v1", status=401, code="quota_exceeded")
    ask(page, "What is your name?")
    page.wait_for_selector("text=Written only", timeout=15_000)
    assert [one["code"] for one in seen(page, "error")] == ["text_only"]
    page.wait_for_selector(f"text={last_talk(person)['text']}")
    assert page.evaluate(STATE) == "idle"


def test_asking_again_at_once_makes_one_talk_and_a_persona_without_picture_gets_one(
    page: Page, stack: Stack, sign_up: Callable[[], Person], errors: list[str]
) -> None:
    """Two quick questions: the first is cancelled. The picture that was missing is drawn on the way."""
    person = sign_up()
    person.persona(appearance="a miller with a grey beard")
    open_talk(page, stack, person)
    ask(page, "First? In 5 words.")
    wait_for(page, f"{STATE} === 'speaking'", 20)
    wait_for(page, f"{STATE} === 'idle'", 20)
    ask(page, "Second, in 60 seconds?")
    page.wait_for_timeout(200)
    ask(page, "Third? In 5 words.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    wait_for(page, f"{STATE} === 'idle'", 20)
    page.wait_for_timeout(500)
    found = person.http.get("/v1/predictions").json()["results"]
    states = {one["input"]["message"]: one["status"] for one in found if one["model"].endswith("talk")}
    assert states["First? In 5 words."] == states["Third? In 5 words."] == "succeeded"
    assert states.get("Second, in 60 seconds?", "canceled") == "canceled"
    assert errors == []


def test_choosing_another_persona_in_mid_talk_ends_the_talk_and_shows_the_other(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes, astronaut: bytes
) -> None:
    """The old one falls silent at once, its job is canceled, and the new one listens."""
    person = sign_up()
    ada = loops(person, person.persona(portrait_png))
    eileen = loops(person, person.persona(astronaut, name="Eileen"))
    open_talk(page, stack, person, ada)
    ask(page, "Tell me a long story, in 60 seconds.")
    wait_for(page, f"{STATE} === 'speaking'", 15)
    page.click("nav .personas >> text=Eileen")
    page.wait_for_selector("persona-video[label=Eileen]")
    wait_for(page, f"{STATE} === 'idle'", 3)
    assert page.get_attribute("persona-video", "idle") == eileen["idle"]
    assert page.evaluate("document.activeElement.textContent.includes('Eileen')")
    page.wait_for_timeout(1500)
    assert last_talk(person)["status"] == "canceled"


def test_hundreds_of_personas_are_listed_by_the_rows_in_view(
    page: Page, stack: Stack, sign_up: Callable[[], Person], errors: list[str]
) -> None:
    """Of 170 at most 40 are in the document; arrows, End and the search reach all; one tab stop; ] goes to the next."""
    person = sign_up()
    with rest(stack) as service:
        rows = [{"owner": person.id, "name": f"P {number:03}", "voice_id": "rachel"} for number in range(170)]
        service.post("/personas", json=rows).raise_for_status()
    names = [one["name"] for one in everybody(person)]
    page.goto(f"{stack.url}/credits#token={person.token}")
    wait_for(page, "document.querySelector('.personas li')?.getAttribute('aria-setsize') === '170'", 20)
    rows_drawn = "document.querySelectorAll('.personas li').length"
    assert page.evaluate(rows_drawn) <= 40
    assert page.evaluate("document.querySelectorAll('.personas a:not([tabindex])').length") == 1
    page.focus(".personas a")
    focused = "document.activeElement.getAttribute('aria-label')"
    page.keyboard.press("ArrowDown")
    wait_for(page, f"{focused} === '{names[1]}'", 3)
    page.keyboard.press("End")
    wait_for(page, f"{focused} === '{names[-1]}'", 3)
    assert page.evaluate(rows_drawn) <= 40
    page.keyboard.press("ArrowUp")
    wait_for(page, f"{focused} === '{names[-2]}'", 3)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"h1 >> text={names[-2]}")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("]")
    page.wait_for_selector(f"h1 >> text={names[-1]}")
    page.fill("nav input[type=search]", names[90])
    wait_for(page, f"{rows_drawn} === 1", 3)
    assert errors == []


def test_single_keys_work_outside_fields_and_can_be_turned_off(page: Page, stack: Stack, person: Person) -> None:
    """? lists them, G G goes to the gallery, N to a new persona; within a field they are letters."""
    page.goto(f"{stack.url}/credits#token={person.token}")
    page.wait_for_selector("text=credits left")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.keys[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.keys[open]", state="hidden")  # while it is open keys are its own
    page.keyboard.type("gg")
    page.wait_for_url("**/gallery")
    page.keyboard.press("n")
    page.wait_for_url("**/personas/new")
    page.fill("input", "")
    page.focus("input")
    page.keyboard.type("ng?c")
    assert page.input_value("input") == "ng?c"
    assert page.url.endswith("/personas/new")
    page.click("nav >> text=Keys")
    page.uncheck("dialog.keys input")
    page.click("dialog.keys button")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("g")
    page.keyboard.press("?")
    page.wait_for_timeout(300)
    assert page.url.endswith("/personas/new")
    assert not page.query_selector("dialog.keys[open]")


@pytest.mark.parametrize(
    ("description", "idea"),
    [
        ("A retired lighthouse keeper who reads too much.", "What is it like to be a retired lighthouse keeper?"),
        ("Likes long walks.", "Who are you?"),
    ],
)
def test_the_first_questions_come_from_the_description(
    page: Page, stack: Stack, sign_up: Callable[[], Person], description: str, idea: str
) -> None:
    """Where it says what somebody is; else two that fit everybody."""
    person = sign_up()
    person.http.post("/v1/personas", json={"name": "Kit", "description": description}).raise_for_status()
    page.goto(f"{stack.url}/#token={person.token}")
    page.wait_for_selector(f".ideas >> text={idea}")


def test_a_reload_in_mid_talk_comes_back_to_it(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes
) -> None:
    """A talk that goes on without us is played from what is kept."""
    person = sign_up()
    persona = loops(person, person.persona(portrait_png))
    body = {"model": "personaforge/talk", "input": {"persona": persona["id"], "message": "Who? In 40 words."}}
    person.http.post("/v1/predictions", json=body).raise_for_status()
    open_talk(page, stack, person)
    wait_for(page, f"{STATE} === 'speaking'", 20)
    page.wait_for_selector("text=Who? In 40 words.")


def test_a_video_is_published_watched_by_others_and_deleted(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes
) -> None:
    """Private at first. Deleting can be undone for a while, and is done when one leaves."""
    person, other = sign_up(), sign_up()
    persona = person.persona(portrait_png)
    for say in ("One for the gallery.", "Another for the gallery."):
        person.follow(person.talk(persona["id"], say=say))
    page.goto(f"{stack.url}/gallery#token={person.token}")
    page.wait_for_selector(".grid li")
    page.click(".grid >> text=Another for the gallery.")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("text=Publish")
    page.wait_for_selector("text=Withdraw")
    shown = other.http.get("/v1/gallery", params={"public": True}).json()["results"]
    seen_by_others = next(one for one in shown if one["text"] == "Another for the gallery.")
    assert seen_by_others["persona"] == {"id": None, "name": "Ada", "portrait": None}
    assert other.http.get(f"/v1/gallery/{seen_by_others['prediction']}").json() == seen_by_others
    page.click("dialog >> button.danger")
    page.wait_for_selector("text=Undo")
    assert len(page.query_selector_all(".grid li")) == 1
    page.click("text=Undo")
    wait_for(page, "document.querySelectorAll('.grid li').length === 2", 5)
    page.click(".grid >> text=One for the gallery.")
    page.click("dialog >> button.danger")
    page.click("nav >> text=Credits")
    page.wait_for_selector("text=credits left")
    page.wait_for_timeout(500)
    assert [one["text"] for one in person.http.get("/v1/gallery").json()["results"]] == ["Another for the gallery."]


def test_a_clip_is_asked_for_followed_and_played(
    page: Page, stack: Stack, person: Person, fault: Callable[..., None], errors: list[str]
) -> None:
    """Too many words cannot be sent. Progress is shown, the clip plays; another one is cancelled, for nothing."""
    page.goto(f"{stack.url}/clips#token={person.token}")
    page.get_by_label("Scene").fill("A quiet harbour")
    page.get_by_label("Says").fill("word " * 16)
    page.wait_for_selector("text=Take out 2.")
    assert page.is_disabled("[aria-label='Make the clip']")
    page.get_by_label("Says").fill("The sea is calm.")
    fault("fal", path="/fal-ai/ovi", stuck=True)
    page.click("[aria-label='Make the clip']")
    page.wait_for_selector("text=Step 0 of 30")
    page.click("text=Cancel")
    page.wait_for_selector("text=Canceled.")
    page.click("text=Try again")
    page.wait_for_selector("clips-page video", timeout=30_000)
    page.evaluate("document.querySelector('clips-page video').play()")
    wait_for(page, "document.querySelector('clips-page video').currentTime > 0.5", 10)
    assert errors == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_nothing_serious_is_in_the_way_of_anybody(
    page: Page, stack: Stack, person: Person, persona: dict[str, Any], width: int, scheme: Any
) -> None:
    """axe finds nothing serious or critical on any page, light, dark, on a phone, with a dialog open."""
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    person.follow(person.talk(persona["id"], say="Good morning."))
    found = {}
    for path in (
        f"/talk/{persona['id']}",
        "/gallery",
        "/clips",
        "/personas/new",
        f"/personas/{persona['id']}/edit",
        "/credits",
    ):
        page.goto(f"{stack.url}{path}#token={person.token}")
        page.wait_for_timeout(700)
        if path == "/gallery":
            page.click(".grid a")
            page.wait_for_selector("dialog[open]")
        violations = Axe().run(page, options={"iframes": False}).response["violations"]
        found[path] = [
            (one["id"], one["nodes"][0]["html"][:120], one["nodes"][0].get("failureSummary", "")[:300])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
    assert {path: what for path, what in found.items() if what} == {}
