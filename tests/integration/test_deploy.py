"""`modal deploy`, the real one, against a control plane of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from functions import ENDPOINTS, FUNCTIONS
from local.stack import ROOT
from shared.core.settings import REQUIRED_KEYS
from tests.support.control_plane import ControlPlane, control_plane

pytestmark = pytest.mark.slow
KEYS = frozenset(REQUIRED_KEYS)
GPU = "Lipsync.*"  # the class that runs on one


def deploy(plane: ControlPlane, **settings: str) -> subprocess.CompletedProcess[str]:
    modal = str(Path(sys.executable).with_name("modal"))
    environment = {
        "PATH": os.environ["PATH"], "HOME": "/nowhere", "NO_PROXY": "*", "MODAL_SERVER_URL": plane.url,
        "MODAL_TOKEN_ID": "ak-test", "MODAL_TOKEN_SECRET": "as-test", "FORGE_ENGINE": "cpu", **settings,
    }  # fmt: skip
    command = [modal, "deploy", "modal_app.py"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=90)


def test_without_musetalk_no_gpu_is_deployed_and_no_image_for_one_is_built() -> None:
    """Five lists of packages, by what functions use, of which none has torch."""
    with control_plane(KEYS) as plane:
        done = deploy(plane)
        assert (done.returncode, plane.unknown) == (0, []), done.stdout + done.stderr
        assert set(plane.published) == set(FUNCTIONS) - {"lipsync"}
        lists = {file.data for image in plane.images for file in image.context_files if b"--hash" in file.data}
        assert len(lists) == 5
        assert not any(b"\ntorch==" in one for one in lists)


def test_every_function_is_deployed_with_its_address_secret_and_limit() -> None:
    """All of the list, nothing else; web labels as in vercel.json; each has its secret and a limit of containers."""
    with control_plane(KEYS) as plane:
        done = deploy(plane, FORGE_ENGINE="musetalk")
        assert (done.returncode, plane.unknown) == (0, []), done.stdout + done.stderr
        assert set(plane.published) == set(FUNCTIONS) - {"lipsync"} | {GPU}
        labels = {name: one.webhook_config.requested_suffix for name, (one, *_) in plane.functions.items()}
        assert {name for name, label in labels.items() if label} == set(ENDPOINTS)
        routes = (ROOT / "web" / "vercel.json").read_text()
        assert all(f"--{labels[name]}.modal.run" in routes for name in ENDPOINTS)
        single = {name: one for name, (one, *_) in plane.functions.items() if name != GPU}
        assert all(list(one.secret_ids) == ["st-personaforge"] for one in single.values())
        assert all(0 < one.autoscaler_settings.max_containers <= 50 for one in single.values())
        idle = {name: one.autoscaler_settings.scaledown_window or 60 for name, one in single.items()}  # 60: Modal's own
        assert {name: seconds for name, seconds in idle.items() if seconds > 60} == {"talk": 120}
        assert all(idle[name] <= 10 for name in set(FUNCTIONS) - set(ENDPOINTS) - {"lipsync"})
        assert {one.autoscaler_settings.scaledown_window for one in plane.functions[GPU]} == {300}
        assert single["reconcile"].schedule.cron.cron_string == "* * * * *"
        assert single["talk"].checkpointing_enabled
        assert all(one.resources.gpu_config.gpu_type for one in plane.functions[GPU])


@pytest.mark.parametrize("key", sorted(KEYS))
def test_deploying_is_refused_while_a_key_is_missing(key: str) -> None:
    """Modal is told which keys the secret must have, and its refusal names the one that is not there."""
    with control_plane(KEYS - {key}) as plane:
        done = deploy(plane)
        assert done.returncode != 0
        assert key in done.stdout + done.stderr
        assert plane.published == {}


def test_a_wrong_gpu_is_refused_before_anything_is_deployed() -> None:
    """FORGE_GPU is read when deploying: names are stripped, another name is refused by name."""
    with control_plane(KEYS) as plane:
        done = deploy(plane, FORGE_ENGINE="musetalk", FORGE_GPU="H100, X9000")
        assert done.returncode != 0
        assert "X9000" in done.stdout + done.stderr
        assert plane.published == {}
        done = deploy(plane, FORGE_ENGINE="musetalk", FORGE_GPU=" H100 , L40S ")
        assert done.returncode == 0, done.stdout + done.stderr
        gpus = [one.resources.gpu_config.gpu_type for one in plane.functions[GPU]]
        assert gpus == ["H100", "L40S"]
