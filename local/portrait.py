"""Draws a portrait from a description: the same words give the same person, other words another one.

Words that are understood decide ("an old man with glasses and a red jacket"); what they leave open is drawn
by lot from a hash of the description. The picture carries its exact face in a PNG text chunk.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from dataclasses import dataclass
from io import BytesIO

import resvg_py
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from local import accessories
from local.drawn_face import EYE_DX, EYE_Y, MOUTH_DX, MOUTH_Y, drawn_face
from local.svg import mirror, tone
from shared.lipsync.face import PNG_KEY, Face

SKINS = {
    "porcelain": "#f6dccb",
    "fair": "#f0c9ae",
    "light": "#e8b894",
    "olive": "#d3a27a",
    "tan": "#bd8559",
    "brown": "#95613f",
    "dark": "#6d4530",
    "deep": "#523324",
}
HAIRS = {
    "black": "#1f1a1c",
    "brown": "#4a2f22",
    "chestnut": "#6e3f26",
    "auburn": "#85402a",
    "red": "#b4552d",
    "blond": "#d2a65c",
    "grey": "#9a9791",
    "white": "#dedbd4",
    "blue": "#3f5f8f",
    "pink": "#c4718c",
}
COLOURS = {
    "red": "#b8423f",
    "orange": "#d2783c",
    "yellow": "#d8ab3f",
    "green": "#4f7f5f",
    "teal": "#2f7779",
    "blue": "#3c5f94",
    "navy": "#2b3a55",
    "purple": "#6d5288",
    "pink": "#c77f92",
    "white": "#e9e6df",
    "black": "#2c2b30",
    "grey": "#70747b",
    "brown": "#7a5a45",
    "cream": "#dccfb4",
}
GROUNDS = {**COLOURS, "sky": "#8fb3cf", "sand": "#cfb795", "mint": "#9fc4ad", "rose": "#d3a5a4", "slate": "#6f7f8f"}
STYLES = ("short", "side", "crop", "curly", "long", "bob", "bun", "wavy", "bald", "mohawk", "pigtails")
CLOTHES = ("shirt", "sweater", "hoodie", "blazer", "tee")
HATS = ("beanie", "fedora", "cap", "crown", "hijab")
COMMON_HATS = HATS[:3]
PEOPLE = ["woman", "man", "girl", "boy", "person", "lady", "gentleman", "engineer", "scientist", "doctor", "artist"]
# Who is no person, and cannot be drawn.
CREATURES = [
    "robot",
    "android",
    "cyborg",
    "cat",
    "dog",
    "animal",
    "alien",
    "monster",
    "dragon",
    "bird",
    "horse",
    "fox",
    "bear",
    "lion",
    "skeleton",
    "snowman",
]
EYES = ("#5b4030", "#3e2c22", "#6f8a57", "#5c86a8", "#7a6a3f")


@dataclass(frozen=True)
class Look:
    """Everything the drawing depends on."""

    skin: str
    hair: str
    style: str
    old: bool
    woman: bool
    beard: str
    clothes: str
    cloth: str
    ground: str
    glasses: str
    hat: str
    patch: bool  # over an eye
    eyes: str
    face: float  # width of the jaw, 0.92 .. 1.08

    @property
    def brow(self) -> float:
        """Thickness of the brows."""
        return 6 if self.woman else 9

    def drawn_face(self) -> Face:
        """Where the drawing's face is, exactly."""
        hidden = ("sunglasses",) if self.patch else ()  # an eye that cannot be seen does not blink
        return drawn_face(self.face, self.brow, hidden or (("glasses",) if self.glasses else ()))

    @classmethod
    def read(cls, description: str) -> Look:
        """Understand a description of up to any length; every string gives a look."""
        plain = description.lower().strip()
        lot = random.Random(hashlib.sha256(plain.encode()).digest())  # noqa: S311  # art, not secrets
        words = re.findall(r"[a-z]+", plain.replace("gray", "grey").replace("blonde", "blond"))
        text = " ".join(words)

        def before(colours: dict[str, str], *nouns: str) -> str | None:
            for noun in nouns:
                found = re.search(rf"\b({'|'.join(colours)})\b(?: \w+)? {noun}", text)
                if found:
                    return colours[found[1]]
            return None

        def any_of(*names: str) -> str:
            return next((name for name in names if name in words), "")

        woman = bool(any_of("woman", "female", "girl", "lady", "she", "her", "grandmother", "mother", "queen"))
        man = bool(any_of("man", "male", "boy", "he", "his", "grandfather", "father", "king", "gentleman"))
        if woman == man:
            woman = lot.random() < 0.5
        old = bool(any_of("old", "elderly", "aged", "senior", "grandmother", "grandfather", "wise", "retired"))
        old = old or (not any_of("young", "girl", "boy", "student", "teenager") and lot.random() < 0.15)
        fair = any_of("blond", "redhead") or re.search(r"\b(red|blond|auburn|ginger) hair", text)
        tones = list(SKINS)[:5] if fair else list(SKINS)
        skin = before(SKINS, "skin", "skinned") or SKINS[lot.choice(tones)]
        natural = ["grey", "white"] if old else ["black", "brown", "chestnut", "auburn", "red", "blond"]
        dark_skin = skin in (SKINS["brown"], SKINS["dark"], SKINS["deep"])
        natural = ["black", "brown"] if dark_skin and not old else natural
        hair = before(HAIRS, "hair", "haired", "curls", "bun", "bob", "beard", "mohawk", "pigtails")
        hair = hair or (HAIRS["blond"] if "blond" in words else None) or HAIRS[lot.choice(natural)]
        styles = ("long", "bob", "bun", "wavy", "curly", "side") if woman else ("short", "side", "crop", "curly")
        style = any_of(*STYLES) or lot.choice(styles)
        beard = any_of("beard", "moustache", "stubble") or ("" if woman else lot.choice(("", "", "stubble", "beard")))
        clothes = {"jacket": "blazer", "suit": "blazer", "jumper": "sweater", "pullover": "sweater"}
        worn = any_of(*CLOTHES, *clothes)
        worn = clothes.get(worn, worn) or lot.choice(CLOTHES)
        cloth = (
            before(COLOURS, *CLOTHES, *clothes, "clothes", "hijab", "headscarf") or COLOURS[lot.choice(list(COLOURS))]
        )
        ground = before(GROUNDS, "background", "wall") or lot.choice(
            [GROUNDS[name] for name in ("sky", "sand", "mint", "rose", "slate", "teal", "cream", "navy")]
        )
        round_or_square = lot.choice(("round", "square"))
        glasses = round_or_square if any_of("glasses", "spectacles") or lot.random() < 0.22 else ""
        hat = any_of(*HATS) or (lot.choice(COMMON_HATS) if any_of("hat") or lot.random() < 0.1 else "")
        hat = "hijab" if any_of("headscarf") else hat
        patch = bool(re.search(r"\beye ?patch\b", text))
        glasses = "" if patch and not any_of("glasses", "spectacles") else glasses
        bare = "without" in words or "no" in words
        if bare and re.search(r"\b(no|without) (glasses|spectacles)", text):
            glasses = ""
        if bare and re.search(r"\b(no|without) (a )?hat", text):
            hat = ""
        return cls(
            skin, hair, style, old, woman, beard, worn, cloth, ground, glasses, hat, patch,
            lot.choice(EYES), round(lot.uniform(0.93, 1.07), 3),
        )  # fmt: skip


class NotDrawn(ValueError):
    """What is asked for cannot be drawn; the text says what, and what can."""


def draw(description: str, side: int = 1024) -> bytes:
    """A square portrait as PNG, `side` pixels wide, with its face in the text chunk `personaforge:face`.

    Raises NotDrawn for what is no person.
    """
    who = re.split(r"\b(?:with|in|at|on|who|that|wearing|holding|and|from|of|for)\b|[,.;:]", description.lower())[0]
    words = re.findall(r"[a-z]+", who)
    creature = next((word for word in words if word in CREATURES), None)
    if creature and not any(word in PEOPLE for word in words):
        raise NotDrawn(f"This drawing model draws people, and no {creature}. Describe a person, or upload a picture.")
    look = Look.read(description)
    png = resvg_py.svg_to_bytes(svg_string=_svg(look), width=side, height=side, skip_system_fonts=True)
    note = PngInfo()
    note.add_text(PNG_KEY, json.dumps(look.drawn_face().dump()))
    out = BytesIO()
    Image.open(BytesIO(png)).convert("RGB").save(out, "PNG", pnginfo=note, compress_level=3)
    return out.getvalue()


def _svg(look: Look) -> str:
    jaw = 92 * look.face
    skin, shade, deep = look.skin, tone(look.skin, 0.86, 1.3), tone(look.skin, 0.66, 1.3)
    light = tone(look.skin, 1.09)
    head = (
        f"M{256 - jaw} 205 C{256 - jaw} 128 206 104 256 104 S{256 + jaw} 128 {256 + jaw} 205 "
        f"C{256 + jaw} 262 {256 + jaw * 0.86} 300 {256 + jaw * 0.56} 338 "
        f"C292 366 274 372 256 372 S220 366 {256 - jaw * 0.56} 338 "
        f"C{256 - jaw * 0.86} 300 {256 - jaw} 262 {256 - jaw} 205Z"
    )
    parts = [
        _ground(look.ground),
        _hair_behind(look) if look.hat != "hijab" else "",
        _ears(jaw, skin, shade, deep),
        _body(look, shade, deep),
        f'<path d="{head}" fill="url(#skin)"/>',
        f'<g clip-path="url(#head)">{_shading(look, shade, deep, light)}</g>',
        _eyes(look, deep),
        _nose(shade, deep, light),
        f'<g clip-path="url(#head)">{_beard(look)}</g>',
        _mouth(look, deep),
        _hair_front(look, jaw) if look.hat != "hijab" else "",
        accessories.glasses(look),
        accessories.eye_patch(look),
        accessories.hat(look, jaw),
    ]
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512">
<defs>
<clipPath id="head"><path d="{head}"/></clipPath>
<radialGradient id="skin" cx=".42" cy=".36" r=".75"><stop offset="0" stop-color="{light}"/>
<stop offset=".55" stop-color="{skin}"/><stop offset="1" stop-color="{shade}"/></radialGradient>
<linearGradient id="hair" x1="0" y1="0" x2="0.3" y2="1"><stop offset="0" stop-color="{tone(look.hair, 1.28)}"/>
<stop offset="1" stop-color="{tone(look.hair, 0.82)}"/></linearGradient>
<linearGradient id="cloth" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="{tone(look.cloth, 1.12)}"/>
<stop offset="1" stop-color="{tone(look.cloth, 0.78)}"/></linearGradient>
<filter id="soft" x="-60%" y="-60%" width="220%" height="220%"><feGaussianBlur stdDeviation="9"/></filter>
<filter id="blur" x="-60%" y="-60%" width="220%" height="220%"><feGaussianBlur stdDeviation="3"/></filter>
<filter id="haze" x="-60%" y="-60%" width="220%" height="220%"><feGaussianBlur stdDeviation="26"/></filter>
</defs>{"".join(parts)}</svg>"""


def _ground(colour: str) -> str:
    return (
        f'<rect width="512" height="512" fill="{colour}"/>'
        f'<circle cx="150" cy="120" r="170" fill="{tone(colour, 1.3)}" opacity=".75" filter="url(#haze)"/>'
        f'<circle cx="430" cy="430" r="190" fill="{tone(colour, 0.66)}" opacity=".7" filter="url(#haze)"/>'
        f'<circle cx="420" cy="90" r="60" fill="{tone(colour, 1.15)}" opacity=".5" filter="url(#haze)"/>'
    )


def _ears(jaw: float, skin: str, shade: str, deep: str) -> str:
    x = 256 - jaw + 2
    return mirror(
        f'<ellipse cx="{x}" cy="236" rx="15" ry="25" fill="{shade}"/>'
        f'<ellipse cx="{x + 2}" cy="236" rx="11" ry="20" fill="{skin}"/>'
        f'<path d="M{x - 4} 226 q10 8 2 24" stroke="{deep}" stroke-width="2.5" fill="none" opacity=".5"/>'
    )


def _body(look: Look, shade: str, deep: str) -> str:
    dark, lit, cloth = tone(look.cloth, 0.62), tone(look.cloth, 1.3), "url(#cloth)"
    torso = "M36 512 C44 446 96 424 168 408 L214 396 L298 396 L344 408 C416 424 468 446 476 512Z"
    neck = (
        '<clipPath id="neck"><path d="M206 318 L206 392 C214 428 298 428 306 392 L306 318Z"/></clipPath>'
        f'<g clip-path="url(#neck)"><rect x="200" y="310" width="112" height="120" fill="{shade}"/>'
        f'<ellipse cx="256" cy="352" rx="66" ry="42" fill="{deep}" opacity=".6" filter="url(#soft)"/></g>'
    )
    folds = (
        f'<path d="M120 512 C124 480 128 462 140 444" stroke="{dark}" stroke-width="3" fill="none" opacity=".45"/>'
        f'<path d="M392 512 C388 480 384 462 372 444" stroke="{dark}" stroke-width="3" fill="none" opacity=".45"/>'
    )
    base = f'<path d="{torso}" fill="{cloth}"/>{folds}'
    v_neck = f'<path d="M206 392 C216 404 232 424 256 446 C280 424 296 404 306 392 L306 380 L206 380Z" fill="{shade}"/>'
    if look.clothes == "tee":
        edge = "M196 400 C212 440 300 440 316 400"
        return (
            base + neck + f'<path d="M206 390 C218 428 294 428 306 390Z" fill="{shade}"/>'
            f'<path d="{edge}" stroke="{dark}" stroke-width="7" fill="none"/>'
        )
    if look.clothes == "sweater":
        rib = "".join(f"M{198 + 13 * i} {402 + 12 - abs(i - 4) * 3} v16 " for i in range(10))
        return (
            base
            + neck
            + f'<path d="M194 392 C210 432 302 432 318 392 L322 414 C300 456 212 456 190 414Z" fill="{dark}"/>'
            f'<path d="{rib}" stroke="{cloth}" stroke-width="3" opacity=".6"/>'
        )
    if look.clothes == "hoodie":
        return (
            base + f'<path d="M160 410 C176 372 208 368 212 372 L300 372 C304 368 336 372 352 410 '
            f'C330 446 292 456 256 456 S182 446 160 410Z" fill="{dark}"/>'
            + neck
            + f'<path d="M206 392 C218 432 294 432 306 392 L330 402 C312 452 200 452 182 402Z" fill="{cloth}"/>'
            + mirror(f'<path d="M226 440 q-3 30 1 62" stroke="{lit}" stroke-width="4.5" fill="none"/>')
        )
    if look.clothes == "blazer":
        white = "#eceae4"
        lapel = "M204 394 L176 408 L156 452 L184 458 L172 470 L240 512 L256 512 L256 470Z"
        return (
            base
            + neck
            + f'<path d="M204 392 L256 446 L308 392 L330 512 L182 512Z" fill="{white}"/>'
            + v_neck
            + mirror('<path d="M206 386 L196 402 L236 446 L256 440Z" fill="#f7f5f0"/>')
            + mirror(f'<path d="{lapel}" fill="{tone(look.cloth, 0.92)}" stroke="{dark}" stroke-width="2"/>')
        )
    buttons = "".join(f'<circle cx="256" cy="{y}" r="3.4" fill="{lit}"/>' for y in (466, 494))
    return (
        base
        + neck
        + v_neck
        + mirror(
            f'<path d="M206 384 L186 404 L230 452 L256 442Z" fill="{tone(look.cloth, 1.16)}" '
            f'stroke="{dark}" stroke-width="1.5"/>'
        )
        + f'<path d="M256 446 V512" stroke="{dark}" stroke-width="2.5"/>'
        + buttons
    )


def _shading(look: Look, shade: str, deep: str, light: str) -> str:
    blush = tone(_rosy(look.skin), 1.0, 1.1)
    lines = ""
    if look.old:
        ink = f'stroke="{deep}" fill="none" stroke-linecap="round"'
        lines = (
            f'<path d="M214 150 q42 -9 84 0 M220 164 q36 -7 72 0" {ink} stroke-width="2" opacity=".4"/>'
            + mirror(f'<path d="M193 244 q18 12 38 4" {ink} stroke-width="2.2" opacity=".45"/>'
                      f'<path d="M226 284 q-14 12 -16 32" {ink} stroke-width="2.6" opacity=".5"/>'
                      f'<path d="M178 222 q-8 -3 -12 -9 M178 230 q-9 2 -13 0" {ink} stroke-width="1.8" opacity=".45"/>')
        )  # fmt: skip
    return (
        f'<ellipse cx="256" cy="104" rx="110" ry="34" fill="{deep}" opacity=".45" filter="url(#soft)"/>'
        + mirror(
            f'<ellipse cx="213" cy="222" rx="31" ry="17" fill="{shade}" opacity=".8" filter="url(#blur)"/>'
            f'<ellipse cx="190" cy="275" rx="24" ry="18" fill="{blush}" opacity=".5" filter="url(#soft)"/>'
            f'<ellipse cx="194" cy="262" rx="18" ry="10" fill="{light}" opacity=".5" filter="url(#soft)"/>'
        )
        + f'<ellipse cx="256" cy="371" rx="70" ry="20" fill="{deep}" opacity=".4" filter="url(#soft)"/>'
        f'<ellipse cx="256" cy="337" rx="24" ry="7" fill="{deep}" opacity=".28" filter="url(#blur)"/>'
        f'<ellipse cx="256" cy="352" rx="22" ry="9" fill="{light}" opacity=".5" filter="url(#blur)"/>{lines}'
    )


def _eyes(look: Look, deep: str) -> str:
    x, y = 256 - EYE_DX, EYE_Y
    brow = tone(look.hair, 0.8) if look.hair not in (HAIRS["white"], HAIRS["grey"]) else "#8a857d"
    lash = "#231a17"
    almond = f"M{x - 24} {y + 2} C{x - 14} {y - 13} {x + 10} {y - 15} {x + 23} {y + 4} C{x + 10} {y + 13} {x - 12} {y + 13} {x - 24} {y + 2}Z"
    flick = f"M{x - 21} {y - 1} q-6 -3 -9 -8" if look.woman else ""
    eye = (
        f'<clipPath id="eye"><path d="{almond}"/></clipPath><path d="{almond}" fill="#f4f0ea"/>'
        f'<g clip-path="url(#eye)"><circle cx="{x}" cy="{y - 1}" r="12" fill="{look.eyes}"/>'
        f'<circle cx="{x}" cy="{y - 1}" r="12" fill="none" stroke="#000" stroke-width="2.5" opacity=".35"/>'
        f'<circle cx="{x}" cy="{y + 3}" r="7" fill="#fff" opacity=".16"/>'
        f'<circle cx="{x}" cy="{y - 1}" r="5.6" fill="#120d0c"/>'
        f'<path d="M{x - 26} {y - 14} h52 v8 q-26 -9 -52 2Z" fill="#000" opacity=".25"/></g>'
        f'<path d="M{x - 24} {y + 2} C{x - 14} {y - 13} {x + 10} {y - 15} {x + 23} {y + 4}" stroke="{lash}" '
        f'stroke-width="{4.6 if look.woman else 3.6}" fill="none" stroke-linecap="round"/>'
        f'<path d="{flick}" stroke="{lash}" stroke-width="3" fill="none" stroke-linecap="round"/>'
        f'<path d="M{x - 21} {y + 5} C{x - 10} {y + 14} {x + 10} {y + 13} {x + 20} {y + 6}" stroke="{deep}" '
        f'stroke-width="1.8" fill="none" opacity=".7"/>'
        f'<path d="M{x - 24} {y - 11} C{x - 10} {y - 22} {x + 10} {y - 21} {x + 24} {y - 7}" stroke="{deep}" '
        f'stroke-width="2" fill="none" opacity=".55"/>'
        f'<path d="M{x - 30} {y - 25} C{x - 16} {y - 38} {x + 8} {y - 38} {x + 26} {y - 28}" stroke="{brow}" '
        f'stroke-width="{look.brow}" fill="none" stroke-linecap="round" opacity=".92"/>'
    )
    glints = "".join(f'<circle cx="{256 + s * EYE_DX - 4}" cy="{y - 5}" r="2.8" fill="#fff"/>' for s in (-1, 1))
    return mirror(eye) + glints


def _nose(shade: str, deep: str, light: str) -> str:
    return (
        f'<path d="M247 214 C242 240 236 256 235 270 C240 280 272 280 277 270 C276 256 270 240 265 214Z" '
        f'fill="{shade}" opacity=".55" filter="url(#blur)"/>'
        f'<ellipse cx="255" cy="248" rx="5" ry="24" fill="{light}" opacity=".75" filter="url(#blur)"/>'
        f'<ellipse cx="255" cy="266" rx="9" ry="7" fill="{light}" opacity=".7" filter="url(#blur)"/>'
        + mirror(
            f'<path d="M236 264 C230 270 232 278 240 278" stroke="{deep}" stroke-width="2.6" fill="none" '
            f'stroke-linecap="round" opacity=".75"/>'
            f'<ellipse cx="246" cy="279" rx="6" ry="2.8" fill="{deep}" opacity=".85"/>'
        )
    )


def _mouth(look: Look, deep: str) -> str:
    x0, x1, y = 256 - MOUTH_DX, 256 + MOUTH_DX, MOUTH_Y
    tint = 1.25 if look.woman else 1.0
    upper, lower = tone(_rosy(look.skin), 0.78, tint), tone(_rosy(look.skin), 0.93, tint)
    return (
        f'<path d="M{x0} {y} C{x0 + 12} {y - 5} 246 {y - 12} 256 {y - 8} C266 {y - 12} {x1 - 12} {y - 5} {x1} {y} '
        f'C{x1 - 14} {y + 3} 268 {y + 3} 256 {y + 3} S{x0 + 14} {y + 3} {x0} {y}Z" fill="{upper}"/>'
        f'<path d="M{x0} {y} C{x0 + 16} {y + 3} 244 {y + 2} 256 {y + 3} S{x1 - 16} {y + 3} {x1} {y} '
        f'C{x1 - 12} {y + 12} 272 {y + 15} 256 {y + 15} S{x0 + 12} {y + 12} {x0} {y}Z" fill="{lower}"/>'
        f'<path d="M{x0 - 1} {y} C{x0 + 16} {y + 4} 244 {y + 2} 256 {y + 3} S{x1 - 16} {y + 4} {x1 + 1} {y}" '
        f'stroke="{tone(deep, 0.55)}" stroke-width="2.4" fill="none" stroke-linecap="round"/>'
        f'<ellipse cx="256" cy="{y + 9}" rx="14" ry="2.6" fill="#fff" opacity=".25" filter="url(#blur)"/>'
    )


def _rosy(skin: str) -> str:
    red, green, blue = (int(skin[i : i + 2], 16) for i in (1, 3, 5))
    return f"#{round(red * 0.94):02x}{round(green * 0.72):02x}{round(blue * 0.76):02x}"


def _beard(look: Look) -> str:
    colour = tone(look.hair, 0.95)
    if look.beard == "stubble":
        return f'<path d="M160 262 C170 306 180 300 206 296 C226 284 286 284 306 296 C332 300 342 306 352 262 L352 380 H160Z" fill="{tone(look.hair, 0.7)}" opacity=".22" filter="url(#blur)"/>'
    moustache = (
        "M212 304 C222 288 246 286 256 291 C266 286 290 288 300 304 C286 300 270 300 256 302 C242 300 226 300 212 304Z"
    )
    if look.beard == "moustache":
        return f'<path d="{moustache}" fill="{colour}"/>'
    if look.beard == "beard":
        return (
            f'<path d="M158 246 C168 296 180 306 204 302 C212 300 214 312 216 322 C232 340 280 340 296 322 '
            f'C298 312 300 300 308 302 C332 306 344 296 354 246 L372 300 L300 384 H212 L140 300Z" fill="{colour}"/>'
            f'<path d="{moustache}" fill="{colour}"/>'
            f'<path d="M214 302 q-8 14 2 26 M298 302 q8 14 -2 26" stroke="{colour}" stroke-width="12" fill="none"/>'
        )
    return ""


def _hair_behind(look: Look) -> str:
    fill = tone(look.hair, 0.7)
    shapes = {
        "long": "M146 210 C130 96 210 66 256 66 S382 96 366 210 C370 300 384 380 398 436 C350 448 330 420 322 380 L190 380 C182 420 162 448 114 436 C128 380 142 300 146 210Z",
        "wavy": "M140 216 C122 100 206 64 256 64 S390 100 372 216 C392 262 368 288 390 330 C404 366 372 386 378 412 C346 424 326 400 318 372 L194 372 C186 400 166 424 134 412 C140 386 108 366 122 330 C144 288 120 262 140 216Z",
        "bob": "M142 212 C128 98 208 68 256 68 S384 98 370 212 C378 270 378 312 366 346 C346 358 326 352 318 338 L194 338 C186 352 166 358 146 346 C134 312 134 270 142 212Z",
    }  # fmt: skip
    if look.style == "curly":
        ring = [(142, 190), (140, 150), (160, 112), (196, 88), (236, 74), (278, 74), (318, 88), (352, 112), (372, 150), (370, 190)]  # fmt: skip
        return "".join(f'<circle cx="{x}" cy="{y}" r="34" fill="{fill}"/>' for x, y in ring)
    if look.style == "bun":
        return f'<circle cx="256" cy="72" r="40" fill="{fill}"/>'
    if look.style == "mohawk":
        spikes = "M214 116 L200 40 L226 74 L236 14 L254 62 L270 10 L284 70 L312 34 L298 116Z"
        return f'<path d="{spikes}" fill="{fill}"/>'
    if look.style == "pigtails":
        tail = "M156 196 C96 190 76 262 96 330 C104 352 128 348 128 326 C122 276 132 232 160 222Z"
        band = f'<circle cx="150" cy="206" r="13" fill="{tone(look.cloth, 0.9)}"/>'
        return mirror(f'<path d="{tail}" fill="{fill}"/>{band}')
    return f'<path d="{shapes[look.style]}" fill="{fill}"/>' if look.style in shapes else ""


def _hair_front(look: Look, jaw: float) -> str:
    left, right = 256 - jaw - 5, 256 + jaw + 5
    strand = f'stroke="{tone(look.hair, 1.45)}" stroke-width="2.5" fill="none" opacity=".5" stroke-linecap="round"'
    cap = f"M{left} 222 C{left - 12} 130 200 84 256 84 S{right + 12} 130 {right} 222 "
    fringe = {
        "short": f"C{right - 6} 190 {right - 14} 172 {right - 26} 160 C310 148 284 158 256 152 C228 158 196 150 {left + 26} 164 C{left + 14} 176 {left + 6} 196 {left} 222Z",
        "crop": f"C{right - 3} 182 {right - 14} 150 {right - 34} 140 C290 132 222 132 {left + 34} 140 C{left + 14} 150 {left + 3} 182 {left} 222Z",
        "side": f"C{right - 4} 184 {right - 10} 168 {right - 22} 152 C316 150 270 142 226 124 C208 150 190 158 {left + 18} 172 C{left + 8} 188 {left + 3} 204 {left} 222Z",
        "bun": f"C{right - 4} 176 {right - 22} 138 256 128 C{left + 22} 138 {left + 4} 176 {left} 222Z",
        "long": f"C{right - 2} 190 {right - 14} 150 262 122 C{left + 22} 150 {left + 4} 186 {left} 222Z",
        "pigtails": f"C{right - 4} 184 {right - 12} 150 262 126 L256 160 L250 126 C{left + 12} 150 {left + 4} 184 {left} 222Z",
        "bob": f"C{right - 4} 200 {right - 10} 176 {right - 18} 168 C320 160 200 160 {left + 18} 168 C{left + 10} 176 {left + 4} 200 {left} 222Z",
        "wavy": f"C{right - 4} 190 {right - 8} 168 316 150 C296 136 276 140 240 124 C222 146 196 152 {left + 20} 168 C{left + 8} 184 {left + 3} 204 {left} 222Z",
    }  # fmt: skip
    if look.style == "curly":
        curls = [(170, 168, 22), (186, 138, 25), (216, 120, 27), (252, 112, 28), (290, 118, 27), (322, 136, 25), (342, 166, 22), (160, 198, 16), (352, 198, 16)]  # fmt: skip
        return "".join(
            f'<circle cx="{x}" cy="{y}" r="{r}" fill="url(#hair)"/>'
            f'<path d="M{x - r * 0.5:.0f} {y} a{r * 0.5:.0f} {r * 0.5:.0f} 0 0 1 {r * 0.9:.0f} -{r * 0.3:.0f}" {strand}/>'
            for x, y, r in curls
        )
    if look.style == "mohawk":
        ridge = "M232 148 C228 110 236 62 256 40 C276 62 284 110 280 148 C272 132 240 132 232 148Z"
        return f'<path d="{ridge}" fill="url(#hair)"/><path d="M246 132 C244 104 248 80 254 60" {strand}/>'
    if look.style == "bald":
        return '<ellipse cx="228" cy="136" rx="34" ry="14" fill="#fff" opacity=".28" filter="url(#soft)"/>'
    shine = f'<path d="M196 122 C222 104 250 100 282 104 M206 136 C226 122 246 118 266 118" {strand}/>'
    return f'<path d="{cap}{fringe[look.style]}" fill="url(#hair)"/>{shine}'
