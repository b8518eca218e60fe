"""The page as Vercel builds it for a hosted project: people sign in at Supabase, by a link in a mail."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route

from local import page as built
from local.node_packages import node
from local.stack import Stack
from tests.browser.conftest import wait_for
from tests.support.person import Person

pytestmark = pytest.mark.slow
ALLOWED = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*", "Access-Control-Allow-Methods": "*"}


@pytest.fixture(scope="module")
def hosted(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page, built with the addresses of a Supabase project."""
    built.build(print)
    folder = tmp_path_factory.mktemp("hosted")
    vite = built.WEB / "node_modules" / "vite" / "bin" / "vite.js"
    project = {
        "VITE_SUPABASE_URL": stack.settings["SUPABASE_URL"],
        "VITE_SUPABASE_PUBLISHABLE_KEY": stack.settings["SUPABASE_PUBLISHABLE_KEY"],
    }
    command = [node(), str(vite), "build", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "warn"]
    subprocess.run(command, cwd=built.WEB, env={**os.environ, **project}, check=True)
    return folder


class Files(SimpleHTTPRequestHandler):
    """Vercel, for files: its headers, and the page itself for what is no file."""

    def do_GET(self) -> None:
        if not Path(self.translate_path(self.path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def end_headers(self) -> None:
        for name, value in json.loads((built.WEB / "vercel.json").read_text())["routes"][0]["headers"].items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(page: Page, stack: Stack, hosted: Path) -> Iterator[str]:
    """Its address."""

    def call(route: Route) -> None:
        asked = urlsplit(route.request.url)
        route.fulfill(response=route.fetch(url=f"{stack.url}{asked.path}?{asked.query}"))

    def sign(route: Route) -> None:
        """Supabase Lite is never called by a page of another origin; hosted Supabase allows every one."""
        if route.request.method == "OPTIONS":
            return route.fulfill(status=204, headers=ALLOWED)
        answer = route.fetch()
        return route.fulfill(response=answer, headers={**answer.headers, **ALLOWED})

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(hosted))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        page.route(f"{address}/v1/**", call)
        page.route(f"{stack.settings['SUPABASE_URL']}/auth/**", sign)
        yield address
        server.shutdown()


def test_a_link_is_sent_to_the_address_that_was_typed(page: Page, site: str, stack: Stack) -> None:
    """Through supabase-js, past the content security policy, back to where the page is."""
    asked: list[dict[str, object]] = []

    def mail(route: Route) -> None:
        if route.request.method == "POST":
            asked.append({**(route.request.post_data_json or {}), "url": route.request.url})
        route.fulfill(status=200, json={}, headers=ALLOWED)

    page.route(f"{stack.settings['SUPABASE_URL']}/auth/v1/otp**", mail)
    page.goto(site)
    page.fill("input[type=email]", "ada@example.com")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=We sent you a link.")
    assert asked[0]["email"] == "ada@example.com"
    assert urlencode({"redirect_to": site}) in str(asked[0]["url"])


def test_who_comes_back_by_the_link_is_signed_in_and_stays_so(
    page: Page, site: str, sign_up: Callable[[], Person], errors: list[str]
) -> None:
    """The session is kept by Supabase's client: a reload needs no second mail. The token leaves the address."""
    person = sign_up()
    person.http.post("/v1/personas", json={"name": "Grace", "description": "A sailor."}).raise_for_status()
    arrived = {"access_token": person.token, "refresh_token": "x", "expires_in": "3600", "token_type": "bearer"}
    page.goto(f"{site}/#{urlencode(arrived)}")
    page.wait_for_selector("text=Grace")
    wait_for(page, "!location.hash.includes('token')", 5)
    page.reload()
    page.wait_for_selector("text=Grace")
    assert errors == []


def test_a_token_of_somebody_else_in_the_address_signs_nobody_in(
    page: Page, site: str, sign_up: Callable[[], Person]
) -> None:
    """#token=… is for a laptop; where people sign in it could make them talk in a stranger's account."""
    page.goto(f"{site}/#token={sign_up().token}")
    page.wait_for_selector("input[type=email]")
    assert httpx.URL(page.url).host == "127.0.0.1"
