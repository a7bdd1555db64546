"""Badges: pictures and shields' endpoint schema, byte for byte, and safe with hostile labels."""

from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.badges import COLORS, MAX_LABEL, Badge, BadgeKind, monitor_badge, svg
from query.facts import MonitorFacts
from query.reads import Current, Latency
from query.status_document import Window
from query.text_width import text_width_px
from query.uptime import HOUR_MS
from schemas.enums import Reason, Status
from tests.query.filled import Filled

GOLDEN = Path(__file__).parent / "golden"
NOW = 1_795_000_000_000
BADGES = {
    "up": Badge("Acme", "all systems operational", "brightgreen"),
    "down": Badge("checkout", "down", "red"),
    "degraded": Badge("search", "degraded", "yellow"),
    "no_data": Badge("uptime 30d", "no data", "lightgrey"),
    "escaped": Badge("<b>&\"'", "日本語 99.98%", "blue"),
}


@pytest.mark.parametrize("name", BADGES)
def test_a_badge_is_the_picture_that_was_agreed_on(name: str) -> None:
    assert svg(BADGES[name]) + "\n" == (GOLDEN / f"badge_{name}.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "width_px"),
    [
        ("", 0),
        ("build", 27),
        ("passing", 41),
        ("coverage", 51),
        ("99.98%", 43),
        ("日本語", 33),
        ("é", 7),
        ("e\u0301", 7),
    ],
)
def test_text_is_as_wide_as_shields_has_it(text: str, width_px: int) -> None:
    assert text_width_px(text) == width_px


@given(st.text(max_size=80), st.text(max_size=80))
def test_whatever_the_texts_are_the_picture_is_well_formed(label: str, message: str) -> None:
    badge = Badge("x", message, "red").labelled(label)
    picture = svg(Badge(badge.label, "".join(c for c in message if c.isprintable()), "red"))

    root = ElementTree.fromstring(picture)

    assert [child.tag.rpartition("}")[2] for child in root] == ["title", "linearGradient", "clipPath", "g", "g"]


def test_a_label_is_cut_and_loses_control_characters() -> None:
    assert Badge("x", "y", "red").labelled("a\x00\n" + "b" * 100).label == "a" + "b" * (MAX_LABEL - 1)
    assert Badge("x", "y", "red").labelled(" \n ").label == "x"


def test_the_endpoint_badge_has_exactly_what_shields_accepts() -> None:
    assert BADGES["down"].endpoint() == {"schemaVersion": 1, "label": "checkout", "message": "down", "color": "red"}
    assert all(badge.color in COLORS for badge in BADGES.values())


def filled_with_api(**fields: object) -> tuple[Filled, MonitorFacts, str]:
    filled = Filled()
    monitor = filled.monitor("api", **fields)
    return filled, MonitorFacts(), monitor


def test_a_monitor_that_nobody_checked_is_unknown_and_has_no_uptime() -> None:
    filled, facts, monitor = filled_with_api()
    entry = filled.catalog.monitor(monitor)
    assert entry is not None

    told = {kind: monitor_badge(kind, Window.MONTH, entry, facts, NOW) for kind in BadgeKind}

    assert told[BadgeKind.STATUS] == Badge("api", "unknown", "lightgrey")
    assert told[BadgeKind.UPTIME] == Badge("uptime 30d", "no data", "lightgrey")
    assert told[BadgeKind.LATENCY] == Badge("latency", "no data", "lightgrey")


def test_a_paused_monitor_is_not_shown_as_up() -> None:
    filled, facts, monitor = filled_with_api(paused=True)
    facts.current = Current(1, Status.UP, NOW - HOUR_MS, NOW, Reason.OK, "")
    entry = filled.catalog.monitor(monitor)
    assert entry is not None

    assert monitor_badge(BadgeKind.STATUS, Window.MONTH, entry, facts, NOW) == Badge("api", "paused", "lightgrey")


@pytest.mark.parametrize(("threshold", "color"), [(None, "blue"), ("150ms", "brightgreen"), ("149ms", "yellow")])
def test_the_colour_of_latency_comes_from_the_monitors_own_threshold(threshold: str | None, color: str) -> None:
    filled, facts, monitor = filled_with_api(latency_threshold=threshold)
    facts.latency = Latency(100, 10.0, 150.0, 300.0)
    entry = filled.catalog.monitor(monitor)
    assert entry is not None

    assert monitor_badge(BadgeKind.LATENCY, Window.MONTH, entry, facts, NOW) == Badge("latency p95", "150 ms", color)


def test_a_badge_of_old_figures_says_of_when_they_are_and_what_is_unknown_is_so_now() -> None:
    read_at = datetime(2026, 11, 27, 16, 5, tzinfo=UTC)
    unknown = Badge("Acme", "unknown", "lightgrey")

    assert Badge("Acme", "down", "red").as_of(read_at) == Badge("Acme", "down, as of 27 Nov, 16:05 UTC", "red")
    assert unknown.as_of(read_at) == unknown


def test_a_name_with_control_characters_does_not_break_the_picture() -> None:
    filled = Filled()
    filled.monitor("api", name="A\x00P\x1bI")
    filled.page("acme", "api", title="Ac\x07me")

    for path in ("/badges/acme/status.svg", "/badges/acme/api/status.svg"):
        ElementTree.fromstring(filled.get(path).content)
