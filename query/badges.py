"""Badges: a label and a message in a picture of 20 pixels' height, and in the shape of shields' endpoint badge."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from xml.sax.saxutils import escape, quoteattr

from query.catalog import Entry
from query.compose import status_of, window_spans
from query.facts import Facts, MonitorFacts
from query.status_document import Window
from query.text_width import text_width_px
from query.uptime import total, uptime_of
from query.words import headline, milliseconds, percent, say_moment, worst
from schemas.enums import Status
from schemas.monitors import Monitor, Page

MAX_LABEL: Final = 60
COLORS: Final = {
    "brightgreen": "#4c1",
    "green": "#97ca00",
    "yellow": "#dfb317",
    "orange": "#fe7d37",
    "red": "#e05d44",
    "blue": "#007ec6",
    "lightgrey": "#9f9f9f",
}
STATUS_COLORS: Final = {
    Status.UP: "brightgreen",
    Status.DEGRADED: "yellow",
    Status.DOWN: "red",
    Status.UNKNOWN: "lightgrey",
    Status.MAINTENANCE: "blue",
    Status.PAUSED: "lightgrey",
}
UPTIME_COLORS: Final = ((0.999, "brightgreen"), (0.99, "green"), (0.97, "yellow"), (0.95, "orange"))
NO_DATA: Final = "no data"
PADDING_PX: Final = 5
LABEL_COLOR: Final = "#555"
DARK_TEXT: Final = ("#333", "#ccc")
LIGHT_TEXT: Final = ("#fff", "#010101")
BRIGHT: Final = 0.69


class BadgeKind(StrEnum):
    """What a badge tells."""

    STATUS = "status"
    UPTIME = "uptime"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class Badge:
    """What is written on it; `color` is one of COLORS."""

    label: str
    message: str
    color: str

    def labelled(self, label: str) -> "Badge":
        """The same badge under another label, cut to MAX_LABEL characters; an empty one keeps its own."""
        clean = "".join(character for character in label if character.isprintable())[:MAX_LABEL].strip()
        return Badge(clean, self.message, self.color) if clean else self

    def as_of(self, at: datetime) -> "Badge":
        """The same badge, where nothing newer is known; what is unknown is so now, too."""
        if self.message == Status.UNKNOWN:
            return self
        return Badge(self.label, f"{self.message}, as of {say_moment(at)}", self.color)

    def endpoint(self) -> dict[str, Any]:
        """The shape that https://shields.io/badges/endpoint-badge reads."""
        return {"schemaVersion": 1, "label": self.label, "message": self.message, "color": self.color}


def page_badge(
    kind: BadgeKind, window: Window, page: Page, entries: Sequence[Entry[Monitor]], facts: Facts, now: int
) -> Badge:
    """A badge of everything on a page, `entries`, together. There is none for latency: the caller refuses it."""
    if kind is BadgeKind.UPTIME:
        spans = total([window_spans(facts.of(entry.id), window, now)[0] for entry in entries])
        return _uptime(uptime_of(spans), window)
    named = [(entry.document.title, status_of(entry, facts.of(entry.id))) for entry in entries]
    overall = worst([status for _, status in named])
    message = headline(named) if overall is Status.UP else overall.value
    return Badge("status", message.lower(), STATUS_COLORS[overall]).labelled(page.title or page.slug)


def monitor_badge(kind: BadgeKind, window: Window, entry: Entry[Monitor], facts: MonitorFacts, now: int) -> Badge:
    """A badge of one monitor."""
    if kind is BadgeKind.UPTIME:
        return _uptime(uptime_of(window_spans(facts, window, now)[0]), window)
    if kind is BadgeKind.LATENCY:
        return _latency(entry.document, facts)
    status = status_of(entry, facts)
    return Badge("status", status.value, STATUS_COLORS[status]).labelled(entry.document.title)


def _uptime(share: float | None, window: Window) -> Badge:
    label = f"uptime {window}"
    if share is None:
        return Badge(label, NO_DATA, "lightgrey")
    return Badge(label, percent(share), next((color for least, color in UPTIME_COLORS if share >= least), "red"))


def _latency(monitor: Monitor, facts: MonitorFacts) -> Badge:
    if facts.latency is None:
        return Badge("latency", NO_DATA, "lightgrey")
    p95_ms, allowed_ms = facts.latency.p95_ms, monitor.latency_threshold_ms
    color = "blue" if allowed_ms is None else "brightgreen" if p95_ms <= allowed_ms else "yellow"
    return Badge("latency p95", milliseconds(p95_ms), color)


def svg(badge: Badge) -> str:
    """The picture, in shields' flat style."""
    label_px, message_px = text_width_px(badge.label), text_width_px(badge.message)
    left, right = label_px + 2 * PADDING_PX, message_px + 2 * PADDING_PX
    color = COLORS[badge.color]
    name = f"{badge.label}: {badge.message}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f"aria-label={quoteattr(name)}><title>{escape(name)}</title>"
        '<linearGradient id="s" x2="0" y2="100%"><stop offset="0" stop-color="#bbb" stop-opacity=".1"/>'
        '<stop offset="1" stop-opacity=".1"/></linearGradient>'
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="3" fill="#fff"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="{LABEL_COLOR}"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{color}"/>'
        f'<rect width="{left + right}" height="20" fill="url(#s)"/></g>'
        '<g text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" '
        'text-rendering="geometricPrecision" font-size="110">'
        f"{_text(badge.label, left / 2, label_px, LABEL_COLOR)}"
        f"{_text(badge.message, left + right / 2, message_px, color)}</g></svg>"
    )


def _text(text: str, middle_px: float, width_px: int, background: str) -> str:
    fill, shadow = DARK_TEXT if _brightness(background) > BRIGHT else LIGHT_TEXT
    place = f'x="{middle_px * 10:g}" transform="scale(.1)" textLength="{width_px * 10}"'
    words = escape(text)
    return (
        f'<text aria-hidden="true" {place} y="150" fill="{shadow}" fill-opacity=".3">{words}</text>'
        f'<text {place} y="140" fill="{fill}">{words}</text>'
    )


def _brightness(color: str) -> float:
    """From 0 to 1, as the eye weighs red, green and blue."""
    digits = color[1:] if len(color) == 7 else "".join(digit * 2 for digit in color[1:])
    red, green, blue = (int(digits[place : place + 2], 16) for place in (0, 2, 4))
    return (red * 299 + green * 587 + blue * 114) / 255_000
