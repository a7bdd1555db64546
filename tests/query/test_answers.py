"""Answers are put together from pieces that were written before, and say what they would say without those."""

import re
import time
from html import unescape

import orjson
import pytest

from query.answers import JSON_OPTIONS, document_json
from query.compose import compose
from query.page import render_page, say_day
from query.reads import Bucket
from query.status_document import StatusDocument
from query.uptime import DAY_MS, HOUR_MS
from schemas.enums import Status
from tests.query.filled import Filled

NOW = time.time_ns() // 1_000_000 // DAY_MS * DAY_MS + DAY_MS // 2
BROKEN_DAY = NOW // DAY_MS * DAY_MS - 12 * DAY_MS


@pytest.fixture
def filled() -> Filled:
    filled = Filled()
    slugs = ("api", "shop", "mail")
    for slug in slugs:
        monitor = filled.monitor(slug)
        filled.status(monitor, Status.UP, NOW)
        filled.up_for_90_days(monitor, NOW)
    filled.page("acme", *slugs)
    filled.facts.read_at, filled.facts.trouble = NOW, ""
    return filled


def document_of(filled: Filled, now: int = NOW) -> StatusDocument:
    page = filled.catalog.page("acme")
    assert page is not None
    return compose(page, filled.catalog, filled.facts, "http://pulse.test", now)


def bars_of(page: bytes) -> list[str]:
    return [unescape(text) for text in re.findall(r'data-day="(.*?)"', page.decode())]


def breaks(filled: Filled, monitor: str, down_ms: int) -> None:
    spans_ms = (DAY_MS - down_ms, 0, down_ms, 0, 0, 0)
    filled.facts.take_day(monitor, Bucket(BROKEN_DAY, BROKEN_DAY + DAY_MS, spans_ms))


def test_json_put_together_is_the_json_of_the_whole(filled: Filled) -> None:
    breaks(filled, "default/shop", HOUR_MS)
    filled.maintenance("upgrade", NOW, NOW + HOUR_MS, "shop", "api")
    document = document_of(filled)
    assert document.maintenances

    assert document_json(document) == orjson.dumps(document, option=JSON_OPTIONS)


def test_every_bar_says_its_own_monitors_day(filled: Filled) -> None:
    breaks(filled, "default/shop", HOUR_MS)
    document = document_of(filled)

    said = [say_day(day) for monitor in document.groups[0].monitors for day in monitor.days]
    assert bars_of(render_page(document)) == said
    assert [number for number, text in enumerate(said) if "1 h down" in text] == [90 + 90 - 13]


def test_a_day_that_is_corrected_later_is_told_anew_of_that_monitor_alone(filled: Filled) -> None:
    breaks(filled, "default/shop", HOUR_MS)
    before = document_of(filled)
    render_page(before), document_json(before)
    breaks(filled, "default/shop", 2 * HOUR_MS)
    after = document_of(filled)

    changed = [
        pair
        for pair in zip(bars_of(render_page(before)), bars_of(render_page(after)), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(changed) == 1
    assert "1 h down" in changed[0][0]
    assert "2 h down" in changed[0][1]
    assert document_json(after) == orjson.dumps(after, option=JSON_OPTIONS)


def test_at_midnight_all_bars_move_on_by_one(filled: Filled) -> None:
    today, tomorrow = (bars_of(render_page(document_of(filled, now=at))) for at in (NOW, NOW + DAY_MS))

    assert today[1:89] == tomorrow[:88]
    assert tomorrow[89].endswith("no data")


def test_days_that_were_alike_are_one_object(filled: Filled) -> None:
    api, shop, _ = document_of(filled).groups[0].monitors

    assert all(one is other for one, other in zip(api.days[:-1], shop.days[:-1], strict=True))
