"""The studio in a real browser: an idea becomes a film that a person chose, watched and approved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

from local.stack import Stack
from tests.browser.conftest import serious, wait_for
from tests.integration.test_publishing import Publisher
from tests.support import forked
from tests.support.operator import rest
from tests.support.person import Person
from tests.support.projects import begin, until, waits

pytestmark = pytest.mark.slow


def test_an_idea_becomes_a_published_film_whose_audience_is_known(
    page: Page, stack: Stack, sign_up: Callable[[], Person], portrait_png: bytes, errors: list[str]
) -> None:
    """All stages: written down, scripts compared, one edited and used, voice, footage, the film watched beside its
    report, a thumbnail chosen, approved and scheduled; public at its time; who watched, sentence by sentence."""
    person = sign_up()
    persona = person.persona(portrait_png)
    publisher = Publisher(stack, person)
    with rest(stack) as service:
        service.delete("/youtube_quota", params={"used": "gte.0"}).raise_for_status()
    publisher.connect()
    page.goto(f"{stack.url}/studio/new#token={person.token}")
    project = _make(page, stack, persona)
    _schedule(page, publisher)
    _watch(page, stack, publisher)
    history = person.http.get(f"/v1/projects/{project}/history").json()
    assert history["decisions"][0]["payload"]["sentences"][1] == "Warm dough rises."
    assert errors == []


def _make(page: Page, stack: Stack, persona: dict[str, Any]) -> str:
    """From an idea to the film's last gate. Returns the project's id."""
    page.get_by_label("What is it about?").fill("why bread rises")
    page.get_by_label("Who tells it?").select_option(persona["id"])
    page.get_by_label("About how long?").select_option("30")
    page.get_by_label("16:9").uncheck()
    page.get_by_label("1:1").check()
    assert serious(page) == []
    page.click("text=Write three scripts")
    page.wait_for_selector("h1 >> text=Choose a script", timeout=60_000)
    assert len(page.query_selector_all(".script")) == 3
    page.get_by_label("Show what changed").check()
    assert serious(page) == []
    project = page.url.rsplit("/", 1)[1]
    page.click(".script >> nth=1 >> text=Edit")
    for place, box in enumerate(page.query_selector_all(".sentences textarea")):
        box.fill("It takes a morning, and it is worth it." if place == 0 else "Warm dough rises." if place == 1 else "")
    page.click("text=Use script 2")
    page.wait_for_selector("h1:not(:has-text('Choose a script'))")
    page.goto(f"{stack.url}/studio")
    page.wait_for_selector("text=why bread rises")
    page.click("text=why bread rises")
    page.wait_for_selector("h1 >> text=Watch the film and decide", timeout=90_000)
    wait_for(page, "document.querySelector('.films video').readyState >= 2", 10)
    page.click(".shots button")
    wait_for(page, "document.querySelector('.films video').currentTime > 0.3", 10)
    page.wait_for_selector("text=Loudness")
    assert serious(page) == []
    page.click("text=Send back")
    page.click("text=Send it back")
    page.wait_for_selector("text=Say it in a sentence")
    page.click("button >> text=Keep it")
    return project


def _schedule(page: Page, publisher: Publisher) -> None:
    """Approve the film, to be public tomorrow."""
    page.click(".thumbnails label >> nth=2")
    page.fill("input[name=title]", "Why bread rises")
    assert serious(page) == []
    page.click("text=Approve and schedule")
    page.wait_for_selector("h1 >> text=The film is ready", timeout=30_000)
    page.wait_for_selector("text=/Scheduled, .*09:00/")
    ((_, video),) = publisher.films().items()
    assert (video["snippet"]["title"], video["status"]["privacyStatus"]) == ("Why bread rises", "private")


def _watch(page: Page, stack: Stack, publisher: Publisher) -> None:
    """Nine days later: who watched."""
    ((id, video),) = publisher.films().items()
    publisher.tell("_clock", ahead_s=9 * 24 * 3600)
    publisher.tell(f"_views/{id}", views=900, curve=[1 - 0.004 * place for place in range(100)])
    forked.call("analytics", stack.settings)
    assert publisher.films()[id]["public_since"] == video["status"]["publishAt"]
    publisher.tell("_clock", ahead_s=0)
    page.click("text=Who watched it")
    page.wait_for_selector("h2 >> text=The curve falls most at")
    page.wait_for_selector(".sentences >> text=Warm dough rises.")
    page.wait_for_selector("text=Learned from 1 film, weight 5 %")
    assert page.locator(".curve canvas").count() == 1
    assert page.evaluate("document.querySelector('.rail button').getBoundingClientRect().width > 100")
    page.click(".sentences button >> nth=0")
    wait_for(page, "document.querySelector('.rail .chosen').textContent === '1'", 3)
    assert serious(page) == []
    page.click("nav >> text=Analytics")
    page.click("td >> text=Why bread rises")
    page.wait_for_selector("text=By sentence")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_the_studio_shows_what_needs_a_person_first(
    page: Page, stack: Stack, person: Person, persona: dict[str, Any], width: int, scheme: Any
) -> None:
    """With numbers for each state; a filter stays in the address. Nothing serious for anybody, on a phone too."""
    waiting = until(person, begin(person, persona, seconds=26, idea=f"why ice floats {width}"), waits("script"))
    stopped = begin(person, persona, seconds=27, idea=f"what glass is {width}")
    person.http.post(f"/v1/projects/{stopped['id']}/cancel").raise_for_status()
    until(person, stopped, lambda found: found["status"] == "canceled")
    page.set_viewport_size({"width": width, "height": 844})
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{stack.url}/studio#token={person.token}")
    page.wait_for_selector(".films-list > li")
    stats = person.http.get("/v1/projects").json()["stats"]
    assert f"Needs you {stats['needs_you']}" in page.inner_text(".chips")
    assert "Choose a script" in page.inner_text(".films-list > li >> nth=0")
    assert page.evaluate("document.querySelectorAll('.films-list > li:first-child .segments li').length") == 8
    page.click("text=Stopped ")
    wait_for(page, f"!document.querySelector('.films-list').textContent.includes('why ice floats {width}')", 5)
    assert page.url.endswith("?state=stopped")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.goto(f"{stack.url}/studio/{waiting['id']}")
    page.wait_for_selector(".script")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert serious(page) == []
    person.http.post(f"/v1/projects/{waiting['id']}/cancel").raise_for_status()
