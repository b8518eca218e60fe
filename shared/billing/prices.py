"""What providers charge, in USD, as published in November 2026. Estimates in receipts come from here alone."""

CREDIT = 0.001  # dollars

# dollars per million tokens: (input, output)
CLAUDE = {
    "claude-haiku-5-5": (0.10, 0.50),
    "claude-sonnet-5-5": (2.00, 10.00),
    "claude-opus-5-5": (4.00, 20.00),
}
ELEVENLABS_CHARACTER = {"eleven_flash_v2_5": 20e-6, "eleven_multilingual_v2": 80e-6, "eleven_v4": 80e-6}
REPLICATE = {  # per picture, or per second of video
    "black-forest-labs/flux-1.1-pro": 0.04,
    "bytedance/omni-human-1.5": 0.16,
}
FAL = {"fal-ai/ovi": 0.20}  # per clip
MODAL_GPU_SECOND = 0.000542  # of an L40S
GPU_SPEAKERS = 8  # that share one: reckoned, not measured
MODAL_CORE_SECOND = 0.0000131
TALK_CORES = 2


def claude(model: str, tokens_in: int, tokens_out: int) -> float:
    """Dollars for a message. A model not in the table is taken at the highest price."""
    price_in, price_out = CLAUDE.get(model, max(CLAUDE.values()))
    return (tokens_in * price_in + tokens_out * price_out) / 1e6


def elevenlabs(model: str, characters: int) -> float:
    """Dollars for a number of spoken characters."""
    return characters * ELEVENLABS_CHARACTER.get(model, max(ELEVENLABS_CHARACTER.values()))


def replicate(model: str, units: float) -> float:
    """Dollars for pictures or seconds of video. A model not in the table is taken at the highest price."""
    return units * REPLICATE.get(model.partition(":")[0], max(REPLICATE.values()))


def fal(model: str) -> float:
    """Dollars for a clip. A model not in the table is taken at the highest price."""
    return FAL.get(model, max(FAL.values()))


def gpu(seconds: float) -> float:
    """Dollars for so much video from a GPU that draws for several speakers in real time."""
    return seconds * MODAL_GPU_SECOND / GPU_SPEAKERS


def compute(seconds: float) -> float:
    """Dollars for the container's time."""
    return seconds * TALK_CORES * MODAL_CORE_SECOND


def claude_at_most(model: str, text_bytes: int, tokens_out: int) -> float:
    """Dollars that a message may cost. A token has two bytes or more, but in rare scripts."""
    return claude(model, text_bytes // 2 + 500, tokens_out)
