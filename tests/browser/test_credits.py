"""Credits are bought on the page: to Stripe's page, back, and what came of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from local.stack import Stack
from tests.browser.conftest import serious, wait_for
from tests.support.operator import rest
from tests.support.person import Person

pytestmark = pytest.mark.slow


def test_credits_are_bought_and_seen_at_once(
    page: Page, stack: Stack, sign_up: Callable[..., Person], errors: list[str]
) -> None:
    """Balance in red, paid on Stripe's page, thanks and a receipt on the way back, a line in the ledger."""
    person = sign_up(balance=0)
    page.goto(f"{stack.url}/credits#token={person.token}")
    page.wait_for_selector("text=Buy more to go on.")
    page.click("text=$20")
    page.wait_for_selector("h1 >> text=20,000 credits")
    page.click("button >> text=Leave")
    page.wait_for_selector("text=Nothing was charged.")
    page.click("text=$20")
    page.click("button >> text=bank debit")
    page.wait_for_selector("text=Your bank takes up to 5 days.")
    page.click("text=$20")
    page.click("button >> text=/^Pay$/")
    page.wait_for_selector("text=Thank you. 20,000 credits are here.")
    page.wait_for_selector("text=Bought 20,000 credits")
    page.wait_for_selector("text=Enough for about 1,333 answers or 10 films of a minute")
    assert page.url == f"{stack.url}/credits"
    assert page.get_attribute("text=Receipt >> nth=-1", "href").startswith("https://pay.stripe.com/")  # type: ignore[union-attr]
    wait_for(page, "document.querySelector('nav .credits b').textContent === '20,000'", 5)
    assert serious(page) == []
    assert errors == []


def test_a_ledger_says_what_each_line_was_for(
    page: Page, stack: Stack, sign_up: Callable[..., Person], portrait_png: bytes
) -> None:
    """A talk by its persona's name, what is held, and older lines on demand."""
    person = sign_up(balance=0)
    with rest(stack) as service:
        for number in range(55):
            line = {"p_owner": person.id, "p_kind": "grant", "p_credits": 100 + number}
            service.post("/rpc/book", json=line).raise_for_status()
    persona = person.persona(portrait_png)
    person.follow(person.talk(persona["id"], say="What things cost."))
    page.goto(f"{stack.url}/credits#token={person.token}")
    page.wait_for_selector(f"td >> text=Talk, {persona['name']}")
    assert page.locator(".ledger tbody tr").count() == 50
    page.click("text=Show more")
    wait_for(page, "document.querySelectorAll('.ledger tbody tr').length === 56", 5)
    page.wait_for_selector("dt >> text=Answers")
