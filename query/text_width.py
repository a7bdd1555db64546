"""How wide a text is in Verdana at 11 px, without a font: advance widths in thousandths of the font's size."""

import unicodedata
from typing import Final

FONT_PX: Final = 11
WIDE: Final = 1_000
OTHER: Final = 800
_ASCII: Final = (
    # space to /
    *(352, 394, 459, 818, 636, 1076, 727, 269, 454, 454, 636, 818, 364, 454, 364, 454),
    # 0 to 9
    *(636,) * 10,
    # : to @
    *(454, 454, 818, 818, 818, 545, 1000),
    # A to Z
    *(684, 686, 698, 771, 632, 575, 775, 751, 421, 455, 693, 557, 843, 748, 787, 603, 787, 695, 684, 616, 732),
    *(684, 989, 685, 615, 685),
    # [ to `
    *(454, 454, 454, 818, 636, 636),
    # a to z
    *(601, 623, 521, 623, 596, 352, 623, 633, 274, 344, 592, 274, 973, 633, 607, 623, 623, 427, 521, 394, 633),
    *(592, 818, 592, 592, 525),
    # { to ~
    *(635, 454, 635, 818),
)


def text_width_px(text: str) -> int:
    """Pixels, as badges count them: rounded down, and odd, so that the halves of a badge meet on a pixel."""
    width = sum(_advance(character) for character in text) * FONT_PX // 1_000
    return width + 1 if width and width % 2 == 0 else width


def _advance(character: str) -> int:
    code = ord(character)
    if 0x20 <= code <= 0x7E:
        return _ASCII[code - 0x20]
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cc", "Cf"):
        return 0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return WIDE
    base = unicodedata.normalize("NFD", character)[0]
    return _ASCII[ord(base) - 0x20] if 0x20 <= ord(base) <= 0x7E else OTHER
