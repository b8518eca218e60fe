"""What the page is made of: types that agree with the API, and one file for pages that are not ours."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from local import page
from local.node_packages import node

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _built() -> None:
    page.build(print)


def run(module: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [node(), str(page.WEB / "node_modules" / module), *options]
    return subprocess.run(command, cwd=page.WEB, capture_output=True, text=True, check=False)


def test_the_types_of_the_api_are_those_of_the_document(tmp_path: Path) -> None:
    """web/src/openapi.d.ts is generated; anew: `npm run types` in web/."""
    fresh = tmp_path / "openapi.d.ts"
    options = ("../openapi.json", "--default-non-nullable=false", "-o", str(fresh))
    done = run("openapi-typescript/bin/cli.js", *options)
    assert done.returncode == 0, done.stderr
    assert fresh.read_text() == (page.WEB / "src" / "openapi.d.ts").read_text()


def test_the_page_is_well_typed() -> None:
    """As strictly as TypeScript can be."""
    done = run("typescript/bin/tsc", "--noEmit")
    assert done.returncode == 0, done.stdout


def test_the_player_is_one_file_of_its_own() -> None:
    """Without imports, without markup from strings; small enough to be put beside any page."""
    text = (page.DIST / "persona-video.js").read_text()
    assert "import" not in text.replace("import.meta", "")
    assert "innerHTML" not in text
    assert len(text) < 30_000
