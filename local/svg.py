"""Small parts of drawings."""

from __future__ import annotations


def tone(colour: str, light: float, colourful: float = 1.0) -> str:
    """The colour darker (light < 1) or nearer to white (light > 1), and more or less colourful."""
    rgb = [float(int(colour[i : i + 2], 16)) for i in (1, 3, 5)]
    grey = sum(rgb) / 3
    rgb = [grey + (value - grey) * colourful for value in rgb]
    rgb = [value * light if light <= 1 else value + (255 - value) * (light - 1) for value in rgb]
    return "#" + "".join(f"{round(min(255, max(0, value))):02x}" for value in rgb)


def mirror(shape: str) -> str:
    return f'{shape}<g transform="translate(512 0) scale(-1 1)">{shape}</g>'
