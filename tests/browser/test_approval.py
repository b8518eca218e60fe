"""The page behind a link to a gate."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import serious
from tests.support.person import Person
from tests.support.projects import begin, until, waits

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_of_a_link_shows_scripts_and_takes_a_decision(
    page: Page, errors: list[str], person: Person, persona: dict[str, Any], width: int
) -> None:
    """In a browser without an account: the second script is chosen; the link is spent then."""
    project = until(person, begin(person, persona, seconds=21, idea=f"why the sea is salt {width}"), waits("script"))
    link = person.http.post(f"/v1/projects/{project['id']}/link").raise_for_status().json()["url"]
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(link)
    page.click(f"text={project['scripts'][1]['title']}")
    assert serious(page) == []
    page.click("text=Send back with a note")
    page.click("text=Send it back")
    page.wait_for_selector("text=Say what should be better.")
    page.click("text=Keep it")
    page.click("text=Approve this script")
    page.wait_for_selector("text=Approved. Thank you.")
    decided = person.http.get(f"/v1/projects/{project['id']}/history").json()["decisions"]
    assert decided[0]["payload"]["script"] == project["scripts"][1]["id"]
    assert decided[0]["by"].startswith("link ")
    person.http.post(f"/v1/projects/{project['id']}/cancel").raise_for_status()
    assert errors == []
