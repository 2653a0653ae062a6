"""The visible mark of a signature: this file draws text, image and QR into one appearance.

- Decree 30/2020 annex I: the signer's image and the seal are shown without text, the seal in its real size; copies and
  attachments show text of size 10 in black (II.7d, II.8, III.1d). A size that is given is never changed to fit.
- A mark is only decoration: what proves is the signature. It stands upright on the page as it is shown.
- Colours do not depend on a device, so that a PDF/A stays one whatever its output intent is (S5).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import segno
from PIL import Image, UnidentifiedImageError

from signing import typeface
from signing.pdf.pages import Box, Page
from signing.pdf.update import Update
from signing.pdf.values import VIETNAM, array, dictionary, number, rectangle

POINTS_PER_MM = 72 / 25.4
MOST_PIXELS = 16_000_000
LONGEST_TEXT, LONGEST_QR = 2000, 1000
LEADING, GAP = 1.2, 4.0
SMALLEST_TEXT, LARGEST_TEXT = 4.0, 10.0
# sRGB's. Greys are written in it too: a CalGray white of D65 is shown cream by readers that do not adapt to it.
_RGB = b"[/CalRGB<</WhitePoint[0.9505 1 1.089]/Gamma[2.2 2.2 2.2]/Matrix[0.4124 0.2126 0.0193 0.3576 0.7152 0.1192 0.1805 0.0722 0.9505]>>]"


class MarkRefused(ValueError):
    """The mark cannot be drawn as it is wished. `code` is a value of `Unsignable`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Mark:
    """`box`: left, bottom, right, top in points on the page as it is shown, from its lower left corner; not asked for
    where a field with a place of its own is signed. `image` is a PNG or JPEG, `image_width_mm` its real width;
    `text_size` in points, None: as large as fits, up to 10."""

    page: int = 1
    box: Box | None = None
    text: str | None = None
    image: bytes | None = None
    image_width_mm: float | None = None
    qr: str | None = None
    text_size: float | None = None

    def to_stored(self) -> dict[str, Any]:
        image = base64.b64encode(self.image).decode() if self.image is not None else None
        return asdict(self) | {"image": image, "box": list(self.box) if self.box else None}

    @staticmethod
    def from_stored(stored: dict[str, Any]) -> Mark:
        image, box = stored["image"], stored["box"]
        left, bottom, right, top = box or (0, 0, 0, 0)
        return Mark(
            **stored
            | {
                "image": base64.b64decode(image) if image is not None else None,
                "box": (left, bottom, right, top) if box else None,
            }
        )


def time_text(moment: datetime) -> str:
    """`15/01/2026; 10:20:30 +07:00`."""
    return moment.astimezone(VIETNAM).strftime("%d/%m/%Y; %H:%M:%S +07:00")


def attachment_text(number_and_sign: str, moment: datetime) -> str:
    """On the first page of an attachment in a file of its own (annex I.II.8, template 1.3)."""
    return f"Số: {number_and_sign}; {time_text(moment)}"


def copy_text(form: str, agency: str, moment: datetime) -> str:
    """On an electronic copy; `form` is SAO Y, SAO LỤC or TRÍCH SAO (annex I part II.I)."""
    return f"{form}; {agency}; {time_text(moment)}"


@dataclass(frozen=True)
class Drawn:
    """An appearance not yet written: `content` within (0, 0, width, height) points."""

    content: bytes
    size: tuple[float, float]
    text: str
    image: Image.Image | None

    @property
    def transparent(self) -> bool:
        return self.image is not None and self.image.mode == "RGBA"

    def write(self, update: Update, rotation: int) -> bytes:
        """The form XObject's reference; turned against the page's rotation."""
        resources: dict[str, bytes] = {"/ColorSpace": dictionary({"/Rgb": _RGB})}
        if self.text:
            resources["/Font"] = dictionary({"/F": typeface.Subset(self.text).embed(update)})
        if self.image is not None:
            resources["/XObject"] = dictionary({"/I": _write_image(update, self.image)})
        turns = {0: b"[1 0 0 1 0 0]", 90: b"[0 1 -1 0 0 0]", 180: b"[-1 0 0 -1 0 0]", 270: b"[0 -1 1 0 0 0]"}
        entries = {
            "/Type": b"/XObject",
            "/Subtype": b"/Form",
            "/BBox": rectangle(0, 0, *self.size),
            "/Matrix": turns[rotation],
            "/Resources": dictionary(resources),
        }
        return update.stream(entries, self.content)


def draw(mark: Mark, size: tuple[float, float]) -> Drawn:
    """QR, then image, then text, from left to right. Raises MarkRefused."""
    wide, high = size
    if not (wide > 0 and high > 0):
        raise MarkRefused("mark-does-not-fit", "the box has no area")
    parts, left, image, text = [], 0.0, None, ""
    if mark.qr is not None:
        side = min(high, wide)
        parts.append(_qr(mark.qr, side, bottom=high - side))
        left += side + GAP
    if mark.image is not None:
        image = _open_image(mark.image)
        room = wide - left if not mark.text else min(high * image.width / image.height, (wide - left) / 2)
        part, taken = _place_image(image, mark.image_width_mm, (left, room, high))
        parts.append(part)
        left += taken + GAP
    if mark.text:
        content, text = _text(mark, wide - left, high, left)
        parts.append(content)
    return Drawn(b"\n".join(parts), size, text, image)


def rectangle_on(page: Page, box: Box) -> Box:
    """A box on the page as it is shown, in the page's own units. Raises MarkRefused where it leaves the page."""
    x0, y0, x1, y1 = page.box
    left, bottom, right, top = (one / page.unit for one in box)
    wide, high = (x1 - x0, y1 - y0) if page.rotation % 180 == 0 else (y1 - y0, x1 - x0)
    if not (-0.01 <= left < right <= wide + 0.01 and -0.01 <= bottom < top <= high + 0.01):
        raise MarkRefused("mark-off-page", f"the page is {wide * page.unit:g} by {high * page.unit:g} points")
    if page.rotation == 90:
        return x1 - top, y0 + left, x1 - bottom, y0 + right
    if page.rotation == 180:
        return x1 - right, y1 - top, x1 - left, y1 - bottom
    if page.rotation == 270:
        return x0 + bottom, y1 - right, x0 + top, y1 - left
    return x0 + left, y0 + bottom, x0 + right, y0 + top


def _qr(content: str, side: float, *, bottom: float) -> bytes:
    """Modules as rectangles, in a white margin of four modules (ISO/IEC 18004 6.3.8)."""
    if not content or len(content) > LONGEST_QR:
        raise MarkRefused("mark-does-not-fit", "the QR code's text is empty or too long")
    rows = [bytes(row) for row in segno.make(content, error="m", micro=False).matrix]
    count = len(rows) + 8
    drawn = [b"q /Rgb cs 1 1 1 sc", rectangle_path(0, bottom, side, side), b"f 0 0 0 sc"]
    drawn.append(b" ".join(number(one) for one in (side / count, 0, 0, side / count, 0, bottom)) + b" cm")
    for line, row in enumerate(rows):
        at = 0
        while (at := row.find(1, at)) >= 0:
            end = row.find(0, at)
            end = len(row) if end < 0 else end
            drawn.append(b"%d %d %d 1 re" % (at + 4, count - 5 - line, end - at))
            at = end
    return b"\n".join([*drawn, b"f Q"])


def rectangle_path(*corner_and_size: float) -> bytes:
    return b" ".join(number(one) for one in corner_and_size) + b" re"


def _open_image(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise MarkRefused("mark-image-refused", "too many pixels")
            clear = opened.mode in {"LA", "PA", "RGBA"} or "transparency" in opened.info
            image = opened.convert("RGBA" if clear else "RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as wrong:
        if isinstance(wrong, MarkRefused):
            raise
        raise MarkRefused("mark-image-refused", "not a PNG or JPEG that can be read") from wrong
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image


def _place_image(
    image: Image.Image, width_mm: float | None, place: tuple[float, float, float]
) -> tuple[bytes, float]:
    """The content and the width taken; centred in (left, room, height)."""
    left, room, high = place
    if width_mm is not None:
        wide = width_mm * POINTS_PER_MM
        tall = wide * image.height / image.width
        if wide > room + 0.01 or tall > high + 0.01:
            raise MarkRefused("mark-does-not-fit", "the image in its real size is larger than its box")
    else:
        scale = min(room / image.width, high / image.height)
        wide, tall = image.width * scale, image.height * scale
    where = (wide, 0, 0, tall, left + (room - wide) / 2, (high - tall) / 2)
    return b"q " + b" ".join(number(one) for one in where) + b" cm /I Do Q", room


def _write_image(update: Update, image: Image.Image) -> bytes:
    entries = {
        "/Type": b"/XObject",
        "/Subtype": b"/Image",
        "/Width": b"%d" % image.width,
        "/Height": b"%d" % image.height,
        "/BitsPerComponent": b"8",
    }
    colours = entries | {"/ColorSpace": _RGB}
    if image.mode == "RGBA":
        mask = image.getchannel("A").tobytes()
        colours["/SMask"] = update.stream(entries | {"/ColorSpace": b"/DeviceGray"}, mask)
    return update.stream(colours, image.convert("RGB").tobytes())


def _text(mark: Mark, room: float, high: float, left: float) -> tuple[bytes, str]:
    text = typeface.normal(mark.text or "")
    if len(text) > LONGEST_TEXT:
        raise MarkRefused("mark-does-not-fit", "the text is too long")
    try:
        size, lines = _fitting(text, mark.text_size, room, high)
        letters = typeface.Subset("".join(lines))
    except typeface.NoSuchGlyph as letter:
        raise MarkRefused("mark-letter-unknown", str(letter)) from letter
    begin = high - size * typeface.ASCENT / typeface.UNITS
    head = b"BT /Rgb cs 0 0 0 sc /F %s Tf %s TL %s %s Td" % tuple(
        number(one) for one in (size, size * LEADING, left, begin)
    )
    return head + b"".join(b"\n" + letters.show(line) + b" Tj T*" for line in lines) + b"\nET", "".join(lines)


def _fitting(text: str, wanted: float | None, room: float, high: float) -> tuple[float, Sequence[str]]:
    size = wanted or LARGEST_TEXT
    while True:
        lines = [line for paragraph in text.split("\n") for line in _wrapped(paragraph, size, room)]
        tall = (len(lines) - 1) * size * LEADING + size * (
            typeface.ASCENT - typeface.DESCENT
        ) / typeface.UNITS
        if tall <= high + 0.01 and all(typeface.width(line, size) <= room + 0.01 for line in lines):
            return size, lines
        if wanted is not None or size <= SMALLEST_TEXT:
            raise MarkRefused("mark-does-not-fit", "the text is larger than its box")
        size -= 0.5


def _wrapped(paragraph: str, size: float, room: float) -> list[str]:
    lines, line = [], ""
    for word in paragraph.split(" "):
        longer = f"{line} {word}" if line else word
        if line and typeface.width(longer, size) > room:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]


def empty(update: Update) -> bytes:
    """The appearance of what shows nothing: PDF/A asks every field for one (ISO 19005-1 6.9)."""
    return update.stream({"/Type": b"/XObject", "/Subtype": b"/Form", "/BBox": array(*4 * [b"0"])}, b"")
