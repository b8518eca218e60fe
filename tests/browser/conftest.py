"""A browser, and the page in it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, sync_playwright

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


def serious(page: Page) -> list[tuple[str, str]]:
    """What axe finds on the page that is serious or critical: the rule, and the beginning of the element."""
    violations = Axe().run(page, options={"iframes": False}).response["violations"]
    return [
        (one["id"], one["nodes"][0]["html"][:120]) for one in violations if one["impact"] in ("serious", "critical")
    ]


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[BrowserContext]:
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=CHROMIUM,
            headless=True,
            args=FLAGS,
            viewport={"width": 1280, "height": 800},
        )
        yield context
        context.close()


@pytest.fixture
def page(browser: BrowserContext) -> Page:
    return browser.pages[0]


@pytest.fixture
def errors(page: Page) -> list[str]:
    """What the page throws and logs as an error."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    return found
