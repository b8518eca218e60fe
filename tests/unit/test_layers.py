"""The tree shows the system: each package imports only what stands below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import ROOT

# From the bottom up; packages of one row know nothing of each other.
LAYERS = (
    {"core"},
    {"files", "media"},
    {"lipsync", "providers"},
    {"billing"},
    {"personas"},
    {"predictions"},
    {"talk"},
    {"runners", "studio"},
    {"models"},
    {"accounts"},
)
LEVEL = {package: level for level, row in enumerate(LAYERS) for package in sorted(row)}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{one.name}" for one in node.names)


def test_every_package_of_shared_has_its_place() -> None:
    """One that is new is put into the order first."""
    assert {path.parent.name for path in (ROOT / "shared").glob("*/__init__.py")} == set(LEVEL)
    assert [path.name for path in (ROOT / "shared").glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("package", LEVEL)
def test_arrows_point_downwards_only(package: str) -> None:
    """Vendors do not import lip-sync, media does not import engines, and nothing in shared imports what is above it."""
    wrong = []
    for path in (ROOT / "shared" / package).rglob("*.py"):
        for module in imports(path):
            top, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            upwards = top == "shared" and other != package and LEVEL.get(other, 99) >= LEVEL[package]
            if upwards or top in ("functions", "local", "tests", "bench"):
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


def test_functions_do_not_know_each_other_nor_the_laptop() -> None:
    """Parse, call, answer: with what is in shared."""
    wrong = [
        f"{path.name} imports {module}"
        for path in (ROOT / "functions").glob("[!_]*.py")
        for module in imports(path)
        if module.partition(".")[0] in ("functions", "local", "tests", "bench")
    ]
    assert wrong == []


def test_nothing_branches_on_a_models_name() -> None:
    """What differs between models stands in their files."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        and any(
            isinstance(one, ast.Constant) and one.value in ("talk", "portrait", "lipsync") for one in ast.walk(node)
        )
    ]
    assert wrong == []


def test_every_package_that_is_imported_is_declared() -> None:
    """Nothing is used that came along with something else by chance."""
    import sys
    import tomllib

    names = {"pyjwt": "jwt", "opencv-python-headless": "cv2", "pillow": "PIL", "c2pa-python": "c2pa"}
    names |= {"opentelemetry-api": "opentelemetry", "huggingface-hub": "huggingface_hub"}
    names |= {"python-json-logger": "pythonjsonlogger", "font-source-sans-pro": "font_source_sans_pro"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = [*project["project"]["dependencies"], *project["dependency-groups"]["gpu"][1:]]
    declared = {line.partition("[")[0].partition(">")[0] for line in lines}
    declared = {names.get(name, name) for name in declared}
    used = {
        module.partition(".")[0]
        for folder in ("functions", "shared")
        for path in (ROOT / folder).rglob("*.py")
        for module in imports(path)
    }
    assert used - declared - set(sys.stdlib_module_names) - {"shared", "functions"} == set()
