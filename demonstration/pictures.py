"""What a sample shows where an office shows signature and seal: this file draws both as transparent PNG.

- Neither is anybody's: the seal says that it is a sample, and no emblem stands in it.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from signing.typeface import FILE

RED, BLUE = (206, 30, 38, 255), (24, 52, 150, 255)
CLEAR = (255, 255, 255, 0)
SIDE = 425  # pixels of 36 mm at 300 dpi
FINER = 2  # drawn larger, then made smaller: smooth edges
_STROKES: tuple[tuple[tuple[float, float], ...], ...] = (
    ((0.04, 0.62), (0.10, 0.05), (0.22, 0.02), (0.20, 0.55), (0.18, 0.95), (0.10, 0.98), (0.30, 0.50)),
    ((0.30, 0.50), (0.38, 0.30), (0.42, 0.35), (0.40, 0.60), (0.44, 0.75), (0.50, 0.35), (0.56, 0.42)),
    ((0.56, 0.42), (0.60, 0.50), (0.56, 0.72), (0.64, 0.58), (0.74, 0.30), (0.78, 0.62), (0.96, 0.34)),
    ((0.12, 0.82), (0.40, 0.66), (0.70, 0.78), (0.90, 0.70)),
)


def seal(around: str, within: str) -> bytes:
    """A round seal of 36 mm: `around` along its edge, `within` in its middle."""
    side = SIDE * FINER
    image = Image.new("RGBA", (side, side), CLEAR)
    drawing = ImageDraw.Draw(image)
    for share, thick in ((0.495, 14), (0.455, 6), (0.275, 6)):
        edge = side * (0.5 - share)
        drawing.ellipse((edge, edge, side - edge, side - edge), outline=RED, width=thick)
    _along(image, f"{around}   ", radius=side * 0.365, size=76)
    drawing.text((side / 2, side / 2), within, fill=RED, font=_font(150), anchor="mm", stroke_width=3)
    return _png(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def signature() -> bytes:
    """A blue stroke of the pen that writes no name."""
    wide, high = 500 * FINER, 200 * FINER
    image = Image.new("RGBA", (wide, high), CLEAR)
    drawing = ImageDraw.Draw(image)
    for stroke in _STROKES:
        places = [(x * wide, y * high) for x, y in _curve(stroke)]
        for number, (x, y) in enumerate(places):
            thick = 4 + 4 * abs(math.sin(number / 23))
            drawing.ellipse((x - thick, y - thick, x + thick, y + thick), fill=BLUE)
    return _png(image.resize((500, 200), Image.Resampling.LANCZOS))


def _along(image: Image.Image, text: str, *, radius: float, size: int) -> None:
    """Each letter turned to its place on the circle, clockwise from its lowest point."""
    font, middle = _font(size), image.width / 2
    widths = [font.getlength(letter) for letter in text]
    gap = (2 * math.pi * radius - sum(widths)) / len(text)
    at = -math.pi * radius + (widths[0] + gap) * 2
    for number, letter in enumerate(text):
        angle = at / radius
        tile = Image.new("RGBA", (size * 2, size * 2), CLEAR)
        ImageDraw.Draw(tile).text((size, size), letter, fill=RED, font=font, anchor="mm", stroke_width=1)
        turned = tile.rotate(-math.degrees(angle), Image.Resampling.BICUBIC)
        x, y = middle + radius * math.sin(angle), middle - radius * math.cos(angle)
        image.alpha_composite(turned, (round(x - size), round(y - size)))
        if number + 1 < len(text):
            at += (widths[number] + widths[number + 1]) / 2 + gap


def _curve(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Cubic curves one behind the other: each takes three points more."""
    places = []
    for start in range(0, len(points) - 3, 3):
        four = points[start : start + 4]
        for step in range(240):
            part = step / 240
            weights = (
                (1 - part) ** 3, 3 * part * (1 - part) ** 2, 3 * part**2 * (1 - part), part**3,
            )  # fmt: skip
            x, y = (sum(w * p[axis] for w, p in zip(weights, four, strict=True)) for axis in (0, 1))
            places.append((x, y))
    return places


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(FILE), size)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
