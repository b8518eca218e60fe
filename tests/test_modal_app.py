"""What is deployed, looked at without an account."""

from __future__ import annotations

import subprocess
import sys

import modal
import pytest
from fastapi import FastAPI


def test_the_app_imports_offline_and_holds_every_function() -> None:
    """One Modal function for each file in functions/, each an ASGI app of its own."""
    import modal_app
    from functions import create_prediction, gallery, models, personas, prediction_status, reconcile, talk, webhooks

    with pytest.warns(modal.exception.DeprecationError):  # gone in 1.7, which the version bound keeps away
        found = {name.rpartition(".")[2] for name in modal_app.app.registered_functions}
    with pytest.warns(modal.exception.DeprecationError):
        assert set(modal_app.app.registered_classes) == {"Lipsync"}
    modules = (create_prediction, prediction_status, talk, personas, gallery, models, webhooks)
    assert found - {"*"} == {module.__name__.rpartition(".")[2] for module in (*modules, reconcile)}
    for module in modules:
        function = getattr(module, module.__name__.rpartition(".")[2])
        assert isinstance(function.local(), FastAPI)


@pytest.mark.parametrize(
    "name",
    [
        "create_prediction",
        "prediction_status",
        "talk",
        "personas",
        "gallery",
        "models",
        "webhooks",
        "reconcile",
        "lipsync",
    ],
)
def test_importing_a_function_loads_no_vendor_sdk_and_no_sibling(name: str) -> None:
    """A container starts fast: SDKs load where they are used, and functions know nothing of each other."""
    heavy = {"anthropic", "elevenlabs", "replicate", "postgrest", "storage3", "cv2", "local"}
    heavy |= {"torch", "diffusers", "transformers"}
    heavy |= set() if name in ("talk", "lipsync") else {"av"}  # encoding is what those two are for
    script = f"import sys, functions.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not heavy & loaded
    assert {module for module in loaded if module.startswith("functions.")} == {f"functions.{name}"}
