"""The page: built from web/ when its sources have changed."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from local.node_packages import NodeError, install, locked, node

WEB = Path(__file__).parent.parent / "web"
DIST = WEB / "dist"


def build(say: Callable[[str], object]) -> None:
    """Bring web/dist up to date; say is told when that takes a while. Raises NodeError."""
    with locked(WEB):
        sources = [WEB / "index.html", *WEB.glob("*.json"), *WEB.glob("*.ts"), *sorted((WEB / "src").rglob("*"))]
        state = hashlib.sha256(b"".join(path.read_bytes() for path in sources if path.is_file())).hexdigest()
        mark = DIST / ".built"
        if mark.exists() and mark.read_text() == state:
            return
        say("building the page")
        install(WEB / "package.json", WEB, develop=True)
        vite = WEB / "node_modules" / "vite" / "bin" / "vite.js"
        for options in ([], ["--config", "vite.element.ts"]):
            command = [node(), str(vite), "build", "--logLevel", "warn", *options]
            done = subprocess.run(command, cwd=WEB, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode != 0:
                raise NodeError(f"The page could not be built:\n{(done.stderr or done.stdout)[-2000:]}")
        mark.write_text(state)
