"""What providers charge, in USD, as published in November 2026. Estimates in receipts come from here alone."""

# dollars per million tokens: (input, output)
CLAUDE = {
    "claude-haiku-5-5": (0.10, 0.50),
    "claude-sonnet-5-5": (2.00, 10.00),
    "claude-opus-5-5": (4.00, 20.00),
}
ELEVENLABS_CHARACTER = {"eleven_flash_v2_5": 20e-6, "eleven_multilingual_v2": 80e-6, "eleven_v4": 80e-6}
MODAL_CORE_SECOND = 0.0000131
TALK_CORES = 2


def claude(model: str, tokens_in: int, tokens_out: int) -> float:
    """Dollars for a message. A model not in the table is taken at the highest price."""
    price_in, price_out = CLAUDE.get(model, max(CLAUDE.values()))
    return (tokens_in * price_in + tokens_out * price_out) / 1e6


def elevenlabs(model: str, characters: int) -> float:
    """Dollars for a number of spoken characters."""
    return characters * ELEVENLABS_CHARACTER.get(model, max(ELEVENLABS_CHARACTER.values()))


def compute(seconds: float) -> float:
    """Dollars for the container's time."""
    return seconds * TALK_CORES * MODAL_CORE_SECOND
