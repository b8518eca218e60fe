"""What may be changed of a persona, what is said of its photo, and where photos cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from bench.faces import photos
from local.stack import Stack
from tests.support.container import Container
from tests.support.person import Person


def png(rgb: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", rgb[:, :, ::-1])[1])


def test_the_style_of_a_persona_is_given_shown_and_changed(sign_up: Callable[[], Person]) -> None:
    """What is left out stays; the defaults are lively by half and a natural gaze."""
    person = sign_up()
    made = person.persona(gaze="viewer")
    assert (made["liveliness"], made["gaze"]) == (0.5, "viewer")
    where = f"/v1/personas/{made['id']}"
    changed = person.http.patch(where, json={"liveliness": 0.9, "name": " Grace "}).raise_for_status().json()
    assert changed == {**made, "liveliness": pytest.approx(0.9), "name": "Grace"}
    assert person.http.get(where).json()["description"] == made["description"]
    assert person.http.patch(where, json={}).json() == person.http.get(where).json()


@pytest.mark.parametrize(
    "change",
    [
        {"liveliness": 1.1},
        {"liveliness": "much"},
        {"gaze": "away"},
        {"name": ""},
        {"owner": "x"},
        {"portrait": "x"},
        {"face": {"left_eye": [2, 0]}},
        {"face": {"nose": [0.5, 0.5]}},
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(person: Person, change: dict[str, Any]) -> None:
    """Out of range, of another kind, empty, or nothing one may change: 422."""
    made = person.persona()
    answer = person.http.patch(f"/v1/personas/{made['id']}", json={"description": "Other.", **change})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert person.http.get(f"/v1/personas/{made['id']}").json() == made


def test_nobody_changes_anothers_persona(person: Person, sign_up: Callable[[], Person], portrait_png: bytes) -> None:
    """Not its fields and not its face: 404."""
    made, other = person.persona(portrait_png), sign_up()
    for change in ({"name": "Mine"}, {"face": {"lip_top": [0.5, 0.59]}}):
        assert other.http.patch(f"/v1/personas/{made['id']}", json=change).status_code == 404
    found = person.http.get(f"/v1/personas/{made['id']}").json()
    kept = ("name", "description", "face", "voice_id", "portrait")  # its loops may have come meanwhile
    assert [found[name] for name in kept] == [made[name] for name in kept]


def test_a_face_is_put_right_by_its_points(person: Person, astronaut: bytes) -> None:
    """The points land where they were put, the talk still runs, points that form no face are refused."""
    made = person.persona(astronaut)
    where = f"/v1/personas/{made['id']}"
    x, y = made["face"]["lip_bottom"]
    changed = person.http.patch(where, json={"face": {"lip_bottom": [x, y + 0.01]}}).raise_for_status().json()
    assert changed["face"]["lip_bottom"] == pytest.approx([x, y + 0.01], abs=0.001)
    assert changed["face"]["left_eye"] == pytest.approx(made["face"]["left_eye"], abs=0.001)
    assert changed["portrait"] == made["portrait"]
    assert len(person.follow(person.talk(made["id"], say="Better."))) > 10_000
    wrong = person.http.patch(where, json={"face": {"left_eye": [0.9, 0.2]}})
    assert (wrong.status_code, "upright face" in wrong.json()["detail"]) == (422, True)
    none = person.http.patch(f"/v1/personas/{person.persona()['id']}", json={"face": {"lip_top": [0.5, 0.5]}})
    assert (none.status_code, none.json()["code"]) == (409, "conflict")


def test_what_one_should_know_of_a_photo_comes_back(person: Person) -> None:
    """Glasses are mentioned in words; a photo without a weakness has an empty list."""
    found = {}
    for name, rgb in photos().items():
        made = person.persona(png(rgb))
        found[name] = [warning["code"] for warning in made["warnings"]]
        assert all(warning["detail"].endswith(".") for warning in made["warnings"])
        assert set(made["face"]) == {"left_eye", "right_eye", "mouth_left", "mouth_right", "lip_top", "lip_bottom"}
    assert found == {"astronaut": [], "hopper": ["glasses"]}
    assert person.persona()["warnings"] == []


@pytest.fixture
def without_models(stack: Stack, tmp_path: Path) -> Iterator[Container]:
    container = Container(stack, tmp_path / "container.log", FORGE_MODELS=str(tmp_path / "empty"))
    yield container
    container.close()


def test_where_photos_cannot_be_read_drawn_personas_speak(
    without_models: Container, person: Person, astronaut: bytes
) -> None:
    """Without the networks an upload is a 503 that says so; a portrait that is drawn works, and talks."""
    made = person.persona()
    with without_models.client(person) as http:
        answer = http.put(f"/v1/personas/{made['id']}/portrait", params={"consent": "true"}, content=astronaut)
        assert (answer.status_code, answer.json()["code"]) == (503, "face_models_missing")
        assert ".tflite is not there" in answer.json()["detail"]
        body = {"model": "portrait", "input": {"persona": made["id"], "prompt": "a friendly woman"}}
        job = http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"}).raise_for_status().json()
        assert job["status"] == "succeeded", job
        talk = {"model": "talk", "stream": True, "input": {"persona": made["id"], "say": "Here I am."}}
        job = http.post("/v1/predictions", json=talk).raise_for_status().json()
        assert b"moof" in http.get(job["urls"]["stream"]).raise_for_status().content


def test_what_cannot_be_drawn_fails_with_the_reason(person: Person) -> None:
    """A robot: the job fails, in words, and costs nothing."""
    made = person.persona()
    body = {"model": "portrait", "input": {"persona": made["id"], "prompt": "a robot"}}
    job = person.http.post("/v1/predictions", json=body, headers={"Prefer": "wait=30"}).raise_for_status().json()
    assert job["status"] == "failed"
    assert "no robot" in job["error"]
    assert person.http.get(f"/v1/personas/{made['id']}").json() == made
