"""What is deployed, looked at without an account."""

from __future__ import annotations

import subprocess
import sys

import modal
import pytest
from fastapi import FastAPI

from functions import ENDPOINTS, FUNCTIONS, load
from local.stack import ROOT
from shared.core.errors import SettingInvalid


def test_the_app_imports_offline_and_holds_every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """One Modal function for each file in functions/; the endpoints are ASGI apps of their own, at most eight."""
    monkeypatch.setenv("FORGE_ENGINE", "musetalk")
    import modal_app

    with pytest.warns(modal.exception.DeprecationError):  # gone in 1.7, which the version bound keeps away
        registered = {name.rpartition(".")[2] for name in modal_app.app.registered_functions}
    with pytest.warns(modal.exception.DeprecationError):
        assert set(modal_app.app.registered_classes) == {"Lipsync"}
    assert registered - {"*"} == set(FUNCTIONS) - {"lipsync"}
    assert set(FUNCTIONS) == {path.stem for path in (ROOT / "functions").glob("[!_]*.py")}
    assert len(ENDPOINTS) <= 8
    for name in ENDPOINTS:
        assert isinstance(getattr(load(name), name).local(), FastAPI)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_importing_a_function_loads_no_vendor_sdk_and_no_sibling(name: str) -> None:
    """A container starts fast: SDKs load where they are used, and functions know nothing of each other."""
    heavy = {"anthropic", "elevenlabs", "replicate", "postgrest", "storage3", "cv2", "local"}
    heavy |= {"torch", "diffusers", "transformers"}
    heavy |= set() if name == "lipsync" else {"av", "numpy"}
    script = f"import sys, functions.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert not heavy & loaded
    assert {module for module in loaded if module.startswith("functions.")} == {f"functions.{name}"}


def test_memory_of_the_talk_functions_snapshot_holds_what_a_talk_imports() -> None:
    """In a container of Modal's, importing the module is all that comes before the snapshot."""
    script = "import sys, modal; modal.is_local = lambda: False; import functions.talk; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    needed = {"anthropic", "elevenlabs", "cv2", "av", "replicate", "postgrest", "storage3", "numpy"}
    assert needed <= set(done.stdout.split())


@pytest.mark.parametrize("given", ["L4O", "", " , ", "H100,RTX"])
def test_a_gpu_that_modal_does_not_offer_is_refused_when_deploying(given: str) -> None:
    """By name, before anything is built; blanks around names are not part of them."""
    from functions.lipsync import gpus

    with pytest.raises(SettingInvalid, match="FORGE_GPU"):
        gpus(given)
    assert gpus(" H100 , L40S,") == ["H100", "L40S"]
