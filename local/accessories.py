"""What a drawn person wears on the head and over the eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local.drawn_face import EYE_DX, EYE_Y
from local.svg import mirror, tone

if TYPE_CHECKING:
    from local.portrait import Look


def glasses(look: Look) -> str:
    if not look.glasses:
        return ""
    x, y = 256 - EYE_DX, EYE_Y + 3
    lens = (
        f'<circle cx="{x}" cy="{y}" r="34" '
        if look.glasses == "round"
        else f'<rect x="{x - 36}" y="{y - 25}" width="70" height="52" rx="13" '
    )
    frame = "#2a2523"
    return (
        mirror(
            f'{lens} fill="#fff" fill-opacity=".1" stroke="{frame}" stroke-width="4.5"/>'
            f'<path d="M{x - 18} {y + 16} L{x + 4} {y - 20}" stroke="#fff" stroke-width="5" opacity=".16"/>'
            f'<path d="M{x - 35} {y - 6} L{x - 58} {y - 12}" stroke="{frame}" stroke-width="4.5"/>'
        )
        + f'<path d="M{x + 33} {y - 5} q10 -9 20 0" stroke="{frame}" stroke-width="4.5" fill="none"/>'
    )


def hat(look: Look, jaw: float) -> str:
    if not look.hat:
        return ""
    if look.hat in ("hijab", "crown"):
        return _hijab(look, jaw) if look.hat == "hijab" else _crown(jaw)
    colour = tone(look.cloth, 0.8) if look.hat != "fedora" else "#5b4a3c"
    dark, lit = tone(colour, 0.7), tone(colour, 1.3)
    left, right = 256 - jaw - 14, 256 + jaw + 14
    if look.hat == "beanie":
        ribs = "".join(f"M{left + 12 + 17 * i} 140 v32 " for i in range(int((right - left) / 17)))
        return (
            f'<path d="M{left + 4} 150 C{left + 4} 70 206 42 256 42 S{right - 4} 70 {right - 4} 150Z" fill="{colour}"/>'
            f'<rect x="{left}" y="136" width="{right - left}" height="40" rx="16" fill="{dark}"/>'
            f'<path d="{ribs}" stroke="{colour}" stroke-width="4" opacity=".6"/><circle cx="256" cy="40" r="20" fill="{lit}"/>'
        )
    if look.hat == "fedora":
        return (
            f'<ellipse cx="256" cy="148" rx="168" ry="27" fill="{dark}"/>'
            f'<path d="M162 146 C166 92 186 48 216 54 C238 58 244 68 256 68 S274 58 296 54 C326 48 346 92 350 146 '
            f'C320 160 192 160 162 146Z" fill="{colour}"/>'
            f'<path d="M163 134 C200 150 312 150 349 134 L351 148 C320 162 192 162 161 148Z" fill="{tone(colour, 0.45)}"/>'
        )
    return (
        f'<path d="M{left + 4} 160 C{left} 72 206 52 256 52 S{right} 72 {right - 4} 160Z" fill="{colour}"/>'
        f'<path d="M256 54 V150" stroke="{dark}" stroke-width="2.5" opacity=".6"/><circle cx="256" cy="53" r="6" fill="{lit}"/>'
        f'<path d="M{left + 2} 158 C206 128 306 128 {right - 2} 158 C{right + 6} 174 316 168 256 168 '
        f'S{left - 6} 174 {left + 2} 158Z" fill="{dark}"/>'
    )


def _hijab(look: Look, jaw: float) -> str:
    """A scarf around the face and over the shoulders."""
    cloth, dark, lit = tone(look.cloth, 0.95), tone(look.cloth, 0.68), tone(look.cloth, 1.2)
    left, right = 256 - jaw - 2, 256 + jaw + 2
    face = (
        f"M{left} 214 C{left - 2} 148 212 112 256 112 S{right + 2} 148 {right} 214 C{right} 272 {256 + jaw * 0.78} 318 "
        f"{256 + jaw * 0.44} 350 C286 378 270 386 256 386 S226 378 {256 - jaw * 0.44} 350 "
        f"C{256 - jaw * 0.78} 318 {left} 272 {left} 214Z"
    )
    around = (
        "M256 62 C150 62 122 140 124 222 C126 300 110 372 60 440 L90 512 H422 L452 440 "
        "C402 372 386 300 388 222 C390 140 362 62 256 62Z"
    )
    return (
        f'<path d="{around} {face}" fill="{cloth}" fill-rule="evenodd"/>'
        f'<path d="{face}" fill="none" stroke="{dark}" stroke-width="4" opacity=".7"/>'
        f'<path d="M150 150 C190 92 322 92 362 150" stroke="{lit}" stroke-width="3" fill="none" opacity=".6"/>'
        f'<path d="M150 330 C190 430 300 450 372 336 M128 400 C200 470 320 470 400 384" stroke="{dark}" '
        f'stroke-width="4" fill="none" opacity=".55"/>'
    )


def _crown(jaw: float) -> str:
    left, right = 256 - jaw * 0.86, 256 + jaw * 0.86
    points = (
        f"M{left} 140 L{left - 10} 62 L{256 - jaw * 0.42} 104 L256 42 L{256 + jaw * 0.42} 104 L{right + 10} 62 "
        f"L{right} 140Z"
    )
    band = f"M{left} 146 C{left + 30} 124 {right - 30} 124 {right} 146"
    gems = "".join(
        f'<circle cx="{x}" cy="134" r="6" fill="{colour}"/>'
        for x, colour in ((left + 24, "#a33b4a"), (256, "#2f6f8f"), (right - 24, "#a33b4a"))
    )
    return (
        f'<path d="{points}" fill="#d8aa3c" stroke="#a57c20" stroke-width="3"/>'
        f'<path d="{band}" stroke="#f0cf74" stroke-width="12" fill="none"/>{gems}'
    )


def eye_patch(look: Look) -> str:
    """Over the viewer's right eye."""
    if not look.patch:
        return ""
    x, y = 256 + EYE_DX, EYE_Y
    return (
        f'<path d="M150 176 L{x} {y - 26} L366 214" stroke="#1c1a1b" stroke-width="5" fill="none"/>'
        f'<path d="M{x - 34} {y - 24} H{x + 32} C{x + 38} {y + 8} {x + 18} {y + 30} {x} {y + 30} '
        f'S{x - 38} {y + 8} {x - 34} {y - 24}Z" fill="#1c1a1b"/>'
        f'<path d="M{x - 24} {y - 14} H{x + 18}" stroke="#fff" stroke-width="3" opacity=".12"/>'
    )
