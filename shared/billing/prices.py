"""What providers charge, in USD, as published in November 2026. Estimates in receipts come from here alone."""

from shared.providers.catalogue import CLAUDE, SPEECH

CREDIT = 0.001  # dollars

MODAL_GPU_SECOND = 0.000542  # of an L40S
GPU_SPEAKERS = 8  # that share one: reckoned, not measured
MODAL_CORE_SECOND = 0.0000131
TALK_CORES = 2


def claude(model: str, tokens_in: float, tokens_out: int) -> float:
    """Dollars for a message. A model that the catalogue lacks is taken at its highest price."""
    known = [one for one in CLAUDE if one.name == model] or [max(CLAUDE, key=lambda one: one.price_out)]
    return (tokens_in * known[0].price_in + tokens_out * known[0].price_out) / 1e6


def elevenlabs(model: str, characters: int) -> float:
    """Dollars for a number of spoken characters."""
    return characters * SPEECH.get(model, max(SPEECH.values()))


def gpu(seconds: float) -> float:
    """Dollars for so much video from a GPU that draws for several speakers in real time."""
    return seconds * MODAL_GPU_SECOND / GPU_SPEAKERS


def compute(seconds: float) -> float:
    """Dollars for the container's time."""
    return seconds * TALK_CORES * MODAL_CORE_SECOND


def claude_at_most(model: str, text_bytes: int, tokens_out: int) -> float:
    """Dollars that a message may cost. A token has two bytes or more, but in rare scripts."""
    return claude(model, text_bytes // 2 + 500, tokens_out)
