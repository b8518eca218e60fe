"""A channel is connected, and a finished film scheduled, moved and canceled, by a person on the page."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Page

from local.stack import Stack
from tests.browser.conftest import serious
from tests.support import finished
from tests.support.operator import rest
from tests.support.person import Person

pytestmark = pytest.mark.slow


def test_a_channel_is_connected_and_a_film_goes_out(
    page: Page, stack: Stack, sign_up: Callable[[], Person], errors: list[str]
) -> None:
    """Consent at Google, confirmed by name; title, thumbnail and time; then where it stands, moved, and canceled."""
    person = sign_up()
    channel = f"UC{uuid4().hex[:12]}"
    film = finished.film(stack, person)
    with rest(stack) as service:
        service.delete("/youtube_quota", params={"used": "gte.0"}).raise_for_status()
    page.goto(f"{stack.url}/studio#token={person.token}")
    page.click("text=Connect a channel")
    page.click("button >> text=/^Cancel$/")
    page.wait_for_selector("text=Nothing was connected")
    page.click("text=Connect a channel")
    page.wait_for_selector("text=wants to publish")
    page.goto(f"{page.url}&channel={channel}")
    page.click("button >> text=/^Allow$/")
    page.wait_for_selector(f"text=Channel {channel[2:]}")
    page.wait_for_selector("text=Is it this one?")
    page.click("text=Yes, publish there")
    page.wait_for_selector("text=/^Connected$/")
    assert page.url == f"{stack.url}/studio"
    assert serious(page) == []
    page.goto(f"{stack.url}/studio/{film['id']}")
    page.wait_for_selector(".thumbnails img")
    page.click(".thumbnails label >> nth=1")
    page.fill("input[name=title]", "Why the sea is salt")
    page.fill("textarea[name=description]", "It rained, for a long time.")
    assert serious(page) == []
    page.click("button >> text=Schedule")
    page.wait_for_selector("h2 >> text=At YouTube")
    page.wait_for_selector("text=/Scheduled, .*09:00/", timeout=30_000)
    videos = httpx.get(f"{stack.addresses['youtube']}/_videos", trust_env=False).json()["videos"]
    (video,) = [one for one in videos.values() if one["channel"] == channel]
    assert video["snippet"]["title"] == "Why the sea is salt"
    assert video["status"]["privacyStatus"] == "private"
    assert video["status"]["publishAt"]
    assert video["thumbnail"]
    page.click("text=Cancel: keep it private")
    page.wait_for_selector("text=Only you can watch it.")
    page.click("text=Unlist")
    page.wait_for_selector("text=Whoever has its address can watch it.")
    assert errors == []
