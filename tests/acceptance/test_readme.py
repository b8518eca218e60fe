"""What the documents promise, held against the code."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from functions import ENDPOINTS, load
from local import costs
from local.routes import vercel
from local.stack import ROOT, Stack
from shared.core.settings import REQUIRED_KEYS, Settings
from tests.support.person import Person

README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()


def test_the_curls_of_the_documents_work_as_written(
    stack: Stack, person: Person, portrait_png: bytes, tmp_path: Path
) -> None:
    """Create a persona, give it a picture, create a talk, open its stream, ask how it ended, as written."""
    commands = [block for block in re.findall(r"```sh\n(.*?)```", README + API, re.S) if "curl" in block]
    env = {"PATH": "/usr/bin:/bin", "TOKEN": person.token, "FORGE": stack.url, "NO_PROXY": "*"}

    def shell(command: str, cwd: Path | None = None) -> bytes:
        return subprocess.run(["bash", "-ec", command], env=env, capture_output=True, check=True, cwd=cwd).stdout

    made = json.loads(shell(commands[0].replace("http://127.0.0.1:8000", stack.url)))
    assert made["name"] == "Ada"
    portrait, create, stream, look = re.split(r"^# [123].*$", commands[1], flags=re.M)
    assert json.loads(shell(portrait.replace("<id>", made["id"])))["status"] == "succeeded"
    (tmp_path / "me.jpg").write_bytes(portrait_png)
    upload = next(line for line in portrait.splitlines() if "PUT" in line).lstrip("# ")
    assert json.loads(shell(upload.replace("<id>", made["id"]), cwd=tmp_path))["consent_at"]
    job = json.loads(shell(create.replace("<id>", made["id"])))
    assert shell(stream.replace("<urls.stream>", job["urls"]["stream"]).replace("talk.mp4", "-"))[4:8] == b"ftyp"
    assert json.loads(shell(look.replace("<urls.get>", job["urls"]["get"])))["status"] == "succeeded"


def test_the_tree_in_the_readme_names_every_function_and_package() -> None:
    """A reader finds each function and each package of shared in the map."""
    tree = README.split("## The tree")[1].split("## ")[0]
    modules = [path.stem for path in (ROOT / "functions").glob("*.py") if path.stem != "__init__"]
    packages = [f"{path.parent.name}/" for path in (ROOT / "shared").glob("*/__init__.py")]
    assert [name for name in modules + packages if not re.search(rf"^  {name}\s", tree, re.M)] == []


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """Between files of this repository; and the README can be read in a few minutes."""
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\((?!http)([^)#]+)", path.read_text()):
            assert (path.parent / link).exists(), f"{path.name}: {link}"
    assert len(README.splitlines()) <= 120


def test_every_setting_is_documented() -> None:
    """Under Settings in docs/operations.md; but for addresses of vendors, which are for stand-ins."""
    names = [name.upper() for name in vars(Settings) if name.upper() in REQUIRED_KEYS or name.startswith("forge_")]
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_table_of_prices_is_computed() -> None:
    """docs/prices.md says what the prices in the code come to."""
    assert (ROOT / "docs" / "prices.md").read_text() == costs.table(), "generate it anew: just prices"


def test_the_routes_for_one_origin_reach_every_function() -> None:
    """Each operation of each function is sent to that function, browsers' preflights too, and nothing else is sent."""
    config = json.loads((ROOT / "web" / "vercel.json").read_text())
    assert config == vercel(), "generate it anew: just routes"

    def sent_to(method: str, path: str) -> str:
        for route in config["routes"]:
            match = re.fullmatch(route.get("src", "^$"), path)
            if match and "dest" in route and method in route.get("methods", [method]):
                address: str = route["dest"]
                for number, group in enumerate(match.groups(), 1):
                    address = address.replace(f"${number}", group)
                return address
        return ""

    for endpoint in ENDPOINTS:
        host = f"https://YOUR-WORKSPACE--personaforge-{endpoint.replace('_', '-')}.modal.run"
        for path, methods in load(endpoint).build().openapi()["paths"].items():
            example = re.sub(r"{[^}]+}", "a-b_c", path)
            assert {sent_to(method.upper(), example) for method in methods} == {host + example}
            assert sent_to("OPTIONS", example).endswith(example)
            assert "get" not in methods or sent_to("HEAD", example) == host + example
    assert sent_to("QUERY", "/v1/models").endswith("/v1/models")
    assert sent_to("GET", "/gallery") == "/index.html"
