"""The page's colours can be read by most eyes: WCAG AA, in the light and in the dark."""

import re
from importlib.resources import files

import pytest

CSS = files("query").joinpath("static", "page.css").read_text("utf-8")
THEMES = dict(zip(("light", "dark"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True))
TEXT_RATIO, GRAPHIC_RATIO = 4.5, 3.0


def colours(theme: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", THEMES[theme]))


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_stands_out_from_every_background(theme: str) -> None:
    palette = colours(theme)
    for text in ("text", "quiet", "up", "degraded", "down", "maintenance", "unknown", "paused"):
        for background in ("ground", "card"):
            assert contrast(palette[text], palette[background]) >= TEXT_RATIO, (text, background)


@pytest.mark.parametrize("theme", THEMES)
def test_every_bar_stands_out_from_its_card(theme: str) -> None:
    palette = colours(theme)
    for bar in ("bar-up", "bar-degraded", "bar-down", "bar-maintenance"):
        assert contrast(palette[bar], palette["card"]) >= GRAPHIC_RATIO, bar


@pytest.mark.parametrize("theme", THEMES)
def test_the_mark_in_an_icon_stands_out_from_it(theme: str) -> None:
    palette = colours(theme)
    for status in ("up", "degraded", "down", "maintenance", "paused"):
        assert contrast(palette["mark"], palette[status]) >= GRAPHIC_RATIO, status
