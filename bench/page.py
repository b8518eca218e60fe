"""From the click on the page to the first frame that Chromium presents, beside when the first clause was there."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from bench.machine import parser, report
from local.portrait import draw
from local.stack import Stack
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.support.idle import loops
from tests.support.person import WOMAN, Person

TALKS = 12
STATE = "document.querySelector('persona-video').state"
RECORD = """() => { window.first = []; document.querySelector('persona-video')
  .addEventListener('firstframe', event => window.first.push(event.detail.ms)); }"""


def main() -> None:
    args = parser(__doc__ or "").parse_args()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder)) as stack, sync_playwright() as playwright:
        person = Person(stack)
        persona = loops(person, person.persona(draw(WOMAN, 512)))
        context = playwright.chromium.launch_persistent_context(
            Path(folder, "profile"), executable_path=CHROMIUM, headless=True, args=FLAGS
        )
        page = context.pages[0]
        page.goto(f"{stack.url}/talk/{persona['id']}#token={person.token}")
        page.wait_for_selector("persona-video")
        page.evaluate(RECORD)
        found = [_talk(page, person, number) for number in range(TALKS)][2:]  # the first ones warm everything up
        context.close()
    over = sorted(one["first_frame_ms"] - one["first_clause_ms"] for one in found)
    figures = {
        "talks": len(found),
        "first_frame_ms": round(statistics.median(one["first_frame_ms"] for one in found)),
        "first_clause_ms": round(statistics.median(one["first_clause_ms"] for one in found)),
        "over_first_clause_ms": round(statistics.median(over)),
        "over_first_clause_worst_ms": round(over[-1]),
    }
    report(args, figures, [])


def _talk(page: Page, person: Person, number: int) -> dict[str, Any]:
    page.fill(".composer textarea", f"Who are you? Answer {number} in 12 words.")
    page.keyboard.press("Enter")
    limit = time.monotonic() + 30
    while page.evaluate("window.first.length") <= number or page.evaluate(STATE) != "idle":
        assert time.monotonic() < limit, "no answer within 30 s"
        page.wait_for_timeout(50)
    made = next(one for one in person.http.get("/v1/predictions").json()["results"] if one["model"].endswith("talk"))
    shown, clause = page.evaluate("window.first.at(-1)"), made["receipt"]["first_clause_ms"]
    return {"first_frame_ms": shown, "first_clause_ms": clause}


if __name__ == "__main__":
    main()
