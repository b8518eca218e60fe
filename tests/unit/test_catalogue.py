"""The models that settings may name, and the words that providers have for their states."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from shared.core.errors import SettingInvalid
from shared.core.settings import Settings
from shared.providers import catalogue, job
from shared.providers.anthropic import LanguageModel, Usage

OWN: dict[str, Any] = {
    "name": "somebody/talking-head", "kind": "lipsync", "inputs": {"picture": "face", "sound": "wav"}, "price": 0.02,
    "unit": "second", "version": "f" * 64, "options": {"fps": 25}, "ranges": {"fps": [12, 30]},
}  # fmt: skip
# Of the vendors' documents, November 2026.
WORDS = {
    "replicate": ("starting", "processing", "succeeded", "failed", "canceled", "aborted"),
    "fal": ("IN_QUEUE", "IN_PROGRESS", "COMPLETED"),
    "firefly": ("pending", "running", "succeeded", "failed", "cancelled", "cancel_pending", "timeout"),
}


def settings(**values: str) -> Settings:
    return Settings({"ANTHROPIC_API_KEY": "key", **values})


@pytest.mark.parametrize("kind", ["portrait", "lipsync", "clip", "idle"])
def test_every_model_of_the_catalogue_can_be_chosen_by_its_name(kind: catalogue.Kind) -> None:
    """And is called by its version, where its provider knows it by that alone."""
    setting = {
        "portrait": "REPLICATE_PORTRAIT_MODEL", "lipsync": "REPLICATE_LIPSYNC_MODEL", "clip": "FORGE_CLIP_MODEL",
        "idle": "FORGE_IDLE_MODEL",
    }  # fmt: skip
    names = [one.name for one in catalogue.HOSTED if one.kind == kind]
    assert len(names) >= 2
    for name in names:
        found = catalogue.hosted(settings(**{setting[kind]: name}), kind)
        assert found.call == (f"{name}:{found.version}" if found.version else name)
    other = catalogue.hosted(settings(**{setting[kind]: f"{names[0]}:{'a' * 64}"}), kind)
    assert other.call == f"{names[0]}:{'a' * 64}"


def test_inputs_and_options_go_under_the_models_own_names() -> None:
    """SadTalker calls the picture and the sound otherwise than OmniHuman."""
    model = next(one for one in catalogue.HOSTED if one.name == "cjwbw/sadtalker")
    assert model.given(picture="p", sound="s") == {
        "source_image": "p", "driven_audio": "s", "preprocess": "full", "still": True, "enhancer": "gfpgan",
    }  # fmt: skip


@pytest.mark.parametrize(("values", "says"), [
    ({"REPLICATE_LIPSYNC_MODEL": "somebody/gone"}, "REPLICATE_LIPSYNC_MODEL is 'somebody/gone'.*FORGE_HOSTED_MODELS"),
    ({"REPLICATE_LIPSYNC_MODEL": "black-forest-labs/flux-1.1-pro"}, "omni-human"),
    ({"FORGE_HOSTED_MODELS": "[{"}, "no JSON"),
    ({"FORGE_HOSTED_MODELS": json.dumps([OWN | {"inputs": {"picture": "face"}}])}, "sound"),
    ({"FORGE_HOSTED_MODELS": json.dumps([OWN | {"options": {"fps": 60}}])}, "fps"),
    ({"FORGE_HOSTED_MODELS": json.dumps([OWN | {"speed": 1}])}, "speed"),
    ({"FORGE_HOSTED_MODELS": json.dumps([OWN | {"provider": "fal"}]), "REPLICATE_LIPSYNC_MODEL": OWN["name"]}, "fal"),
    ({"ANTHROPIC_MODEL": "claude-2"}, "not in the catalogue.*claude-haiku-5-5"),
    ({"ELEVENLABS_MODEL": "eleven_v9"}, "eleven_flash_v2_5"),
])  # fmt: skip
def test_a_model_that_nobody_described_is_refused_at_start(values: dict[str, str], says: str) -> None:
    """Not with the first request that is paid: every function that begins work checks. It says what it may be."""
    with pytest.raises(SettingInvalid, match=says):
        catalogue.check(settings(**values))


def test_a_model_that_the_catalogue_lacks_is_described_by_the_deployment() -> None:
    """With its inputs and its price: estimates and reservations are made of them."""
    chosen = settings(FORGE_HOSTED_MODELS=json.dumps([OWN]), REPLICATE_LIPSYNC_MODEL="somebody/talking-head")
    catalogue.check(chosen)
    model = catalogue.hosted(chosen, "lipsync")
    assert model.given(picture="p", sound="s") == {"face": "p", "wav": "s", "fps": 25}
    assert model.cost(10) == pytest.approx(0.2)


def test_a_language_model_is_refused_from_the_day_on_which_it_ends() -> None:
    """Until then it is not."""
    old = settings(ANTHROPIC_MODEL="claude-sonnet-4-5")
    assert catalogue.claude(old, date(2026, 11, 29)).name == "claude-sonnet-4-5"
    with pytest.raises(SettingInvalid, match=r"ended on 2026-11-30.*claude-haiku-5-5"):
        catalogue.claude(old, date(2026, 11, 30))


@pytest.mark.parametrize(("model", "sent"), [
    ("claude-haiku-5-5", {"thinking": {"type": "disabled"}}),
    ("claude-sonnet-5-5", {"thinking": {"type": "between_tools"}}),
    ("claude-opus-5-5", {"output_config": {"effort": "low"}}),
    ("claude-haiku-4-5", {}),
])  # fmt: skip
def test_a_talk_does_not_wait_for_thoughts(model: str, sent: dict[str, Any]) -> None:
    """Thinking is off where a model has it on by default; where it cannot be, it takes the least effort."""
    assert LanguageModel(settings(ANTHROPIC_MODEL=model))._quick() == sent


@pytest.mark.parametrize(("model", "characters", "cached"), [
    ("claude-sonnet-5-5", 2047, False), ("claude-sonnet-5-5", 2048, True), ("claude-haiku-5-5", 2048, False),
])  # fmt: skip
def test_the_persona_is_a_cached_prefix_where_it_is_long_enough(model: str, characters: int, cached: bool) -> None:
    """A shorter one would not be kept, and nothing would say so."""
    (block,) = LanguageModel(settings(ANTHROPIC_MODEL=model))._system("a" * characters)
    assert ("cache_control" in block) == cached


def test_reads_of_the_cache_cost_a_tenth() -> None:
    """Receipts count all tokens; their price counts what was cached for less."""

    class Read:
        input_tokens, cache_creation_input_tokens, cache_read_input_tokens = 100, 40, 1000

    usage = Usage()
    usage.read(Read())
    assert (usage.tokens_in, usage.billed_in) == (1140, 250)


@pytest.mark.parametrize(("provider", "word"), [(one, word) for one, words in WORDS.items() for word in words])
def test_every_word_of_a_providers_documents_has_one_of_ours(provider: str, word: str) -> None:
    """A job in a state that nobody mapped would run forever."""
    assert job.status(provider, word) in ("starting", "processing", "succeeded", "failed", "canceled", "aborted")


def test_a_word_that_no_document_has_is_logged_and_the_job_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """What was paid for is not thrown away for a new word: its deadline ends it."""
    assert job.status("replicate", "hibernating") == "processing"
    assert "hibernating" in caplog.text
