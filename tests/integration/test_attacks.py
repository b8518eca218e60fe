"""Everything in tests/attacks, by the command that anybody can run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from local.attack import check_loopback, prepare, run
from local.stack import Stack
from shared.core.errors import InvalidInput
from tests.attacks import KINDS, Target, corpus
from tests.support.person import Person

pytestmark = pytest.mark.slow
FORGE = str(Path(sys.executable).with_name("forge"))


def test_every_attack_is_held_off() -> None:
    """At least 200 are tried on a stack of its own, and none fails."""
    done = subprocess.run([FORGE, "attack", "--json"], capture_output=True, text=True, check=False, timeout=200)
    found = json.loads(done.stdout)
    assert (found["failures"], found["failed"], done.returncode) == ([], 0, 0)
    assert found["tried"] >= 200


def test_a_kind_is_no_empty_word(stack: Stack, person: Person) -> None:
    """Each kind holds several attacks, no two of the same name."""
    attacks = list(corpus(prepare(stack.url, person.token, "http://127.0.0.1:9")))
    names = Counter((one.kind, one.name) for one in attacks)
    assert max(names.values()) == 1
    assert min(sum(1 for one in attacks if one.kind == kind) for kind in KINDS) > 15


@pytest.mark.parametrize("url", ["https://example.com", "http://10.0.0.1:8000", "http://127.0.0.1.example.com", "x"])
def test_only_this_machine_is_attacked(url: str) -> None:
    """An address that is no loopback address is refused before anything is sent."""
    with pytest.raises(InvalidInput, match="this machine"):
        check_loopback(url)


def test_a_backend_that_does_not_hold_is_named(stack: Stack, person: Person) -> None:
    """A server with errors of another form and without CORS fails, and each failure says in what."""
    target = Target(stack.addresses["replicate"], person.token, "persona", "finished", "waiting")
    tried, failures = run(target)
    assert len(failures) > tried / 2
    assert {"browsers may not read the error"} <= {part for one in failures for part in one.problem.split("; ")}
    assert all(one.kind and one.name and one.request for one in failures)
