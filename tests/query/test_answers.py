"""Answers are put together from pieces that were written before, and say what they would say without those.

What has aged is given once more, and made again in turns with other requests.
"""

import asyncio
import re
import time
from html import unescape
from types import SimpleNamespace

import orjson
import pytest

from query.answers import (
    GIVEN_FOR_MS,
    GIVEN_WHILE_WAITING_MS,
    JSON_OPTIONS,
    MADE_AGAIN_AFTER_MS,
    SPREAD_MS,
    document_json,
)
from query.compose import compose
from query.page import render_page, say_day
from query.reads import Bucket
from query.snapshots import Snapshot
from query.status_document import StatusDocument
from query.targets import Target
from query.turns import at_once
from query.uptime import DAY_MS, HOUR_MS
from schemas.enums import IncidentState, Reason, Severity, Status
from schemas.events import Incident
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
    return at_once(compose(page, filled.catalog, filled.facts, "http://pulse.test", now))


def bars_of(page: bytes) -> list[str]:
    return [unescape(text) for text in re.findall(r'data-day="(.*?)"', page.decode())]


def breaks(filled: Filled, monitor: str, down_ms: int) -> None:
    spans_ms = (DAY_MS - down_ms, 0, down_ms, 0, 0, 0)
    filled.facts.take_day(monitor, Bucket(BROKEN_DAY, BROKEN_DAY + DAY_MS, spans_ms))


def test_a_monitor_that_is_created_anew_under_a_name_has_the_past_of_that_name_and_no_present(filled: Filled) -> None:
    past = document_of(filled).groups[0].monitors[0].days[:-1]
    filled.delete_monitor("api")
    assert [each.slug for each in document_of(filled).groups[0].monitors] == ["shop", "mail"]

    filled.monitor("api")

    anew = document_of(filled).groups[0].monitors[0]
    assert (anew.slug, anew.status, anew.days[:-1]) == ("api", Status.UNKNOWN, past)


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
    assert bars_of(at_once(render_page(document))) == said
    assert [number for number, text in enumerate(said) if "1 h down" in text] == [90 + 90 - 13]


def test_a_day_that_is_corrected_later_is_told_anew_of_that_monitor_alone(filled: Filled) -> None:
    breaks(filled, "default/shop", HOUR_MS)
    before = document_of(filled)
    at_once(render_page(before)), document_json(before)
    breaks(filled, "default/shop", 2 * HOUR_MS)
    after = document_of(filled)

    changed = [
        pair
        for pair in zip(bars_of(at_once(render_page(before))), bars_of(at_once(render_page(after))), strict=True)
        if pair[0] != pair[1]
    ]
    assert len(changed) == 1
    assert "1 h down" in changed[0][0]
    assert "2 h down" in changed[0][1]
    assert document_json(after) == orjson.dumps(after, option=JSON_OPTIONS)


def test_at_midnight_all_bars_move_on_by_one(filled: Filled) -> None:
    today, tomorrow = (bars_of(at_once(render_page(document_of(filled, now=at)))) for at in (NOW, NOW + DAY_MS))

    assert today[1:89] == tomorrow[:88]
    assert tomorrow[89].endswith("no data")


def test_days_that_were_alike_are_one_object(filled: Filled) -> None:
    api, shop, _ = document_of(filled).groups[0].monitors

    assert all(one is other for one, other in zip(api.days[:-1], shop.days[:-1], strict=True))


def aged(filled: Filled, target: Target, age_ms: int) -> Snapshot:
    """Its answer, as if it was made so long ago."""
    snapshot = filled.app.answers.find(target)
    assert snapshot is not None
    snapshot.made_at -= age_ms
    return snapshot


async def made_again(filled: Filled, target: Target, before: Snapshot) -> int:
    """How many turns others have until there is another answer than `before`."""
    for turn in range(1_000):
        if filled.app.answers.snapshots.get(target.address) is not before:
            return turn
        await asyncio.sleep(0)
    raise AssertionError("it is not made again")


@pytest.mark.parametrize("view", ["page", "status"])
def test_what_has_aged_is_given_once_more_and_made_again_in_turns_with_others(filled: Filled, view: str) -> None:
    target = Target(view, "acme")
    before = aged(filled, target, MADE_AGAIN_AFTER_MS + SPREAD_MS)

    async def scenario() -> int:
        assert filled.app.answers.find(target) is before
        turns = await made_again(filled, target, before)
        after = filled.app.answers.find(target)
        assert after is not None
        assert after.made_at > before.made_at
        return turns

    assert asyncio.run(scenario()) >= len(document_of(filled).groups[0].monitors)


def test_all_that_have_aged_are_made_again_one_a_turn(filled: Filled) -> None:
    targets = [Target("svg", "acme", label=str(number)) for number in range(20)]
    before = [aged(filled, target, MADE_AGAIN_AFTER_MS + SPREAD_MS) for target in targets]

    async def scenario() -> list[int]:
        assert [filled.app.answers.find(target) for target in targets] == before
        return [await made_again(filled, *each) for each in zip(targets, before, strict=True)]

    assert asyncio.run(scenario()) == [1] * len(targets)


def test_what_nobody_asked_for_for_long_is_made_before_it_is_given(filled: Filled) -> None:
    target = Target("status", "acme")
    before = aged(filled, target, GIVEN_FOR_MS)

    assert filled.app.answers.find(target) is not before


@pytest.mark.parametrize(("aged_ms", "is_given"), [(GIVEN_FOR_MS, True), (GIVEN_WHILE_WAITING_MS, False)])
def test_what_waits_to_be_made_again_is_given_for_longer(filled: Filled, aged_ms: int, is_given: bool) -> None:
    target = Target("status", "acme")
    aged(filled, target, MADE_AGAIN_AFTER_MS + SPREAD_MS)

    async def scenario() -> None:
        filled.app.answers.find(target)
        before = aged(filled, target, aged_ms)
        assert (filled.app.answers.find(target) is before) == is_given

    asyncio.run(scenario())


def test_while_clickhouse_is_away_a_maintenance_begins_all_the_same_and_an_incident_gets_no_older(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time_ns=lambda: NOW * 1_000_000)
    monkeypatch.setattr("query.answers.time", clock)
    filled.maintenance("upgrade", NOW + HOUR_MS, NOW + 2 * HOUR_MS, "api", title="ClickHouse upgrade")
    opened = IncidentState.OPEN, Severity.DOWN, NOW - HOUR_MS, NOW - HOUR_MS, Reason.TIMEOUT, ""
    filled.facts.take_incident(Incident("i-1", "default/shop", 1, *opened))
    filled.facts.trouble = "ClickHouse cannot be read"
    told = []
    for minutes in (1, 61):
        clock.time_ns = lambda: (NOW + minutes * 60_000) * 1_000_000  # noqa: B023 - asked for at once
        told.append(orjson.loads(filled.get("/status/acme").content))

    assert [document["maintenances"][0]["state"] for document in told] == ["upcoming", "active"]
    assert [document["incidents"][0]["duration_ms"] for document in told] == [HOUR_MS, HOUR_MS]


def test_a_change_does_not_wait_for_what_is_being_made(filled: Filled) -> None:
    target = Target("status", "acme")
    before = aged(filled, target, MADE_AGAIN_AFTER_MS + SPREAD_MS)

    async def scenario() -> bytes:
        filled.app.answers.find(target)
        await asyncio.sleep(0)
        filled.status("default/api", Status.DOWN, NOW, version=2)
        await made_again(filled, target, before)
        after = filled.app.answers.find(target)
        assert after is not None
        return after.body(b"")

    assert orjson.loads(asyncio.run(scenario()))["status"] == "down"


def test_an_aged_answer_that_cannot_be_made_again_stays(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    target = Target("status", "acme")
    before = aged(filled, target, MADE_AGAIN_AFTER_MS + SPREAD_MS)
    monkeypatch.setattr("query.answers.document_json", lambda _: 1 / 0)

    async def scenario() -> None:
        filled.app.answers.find(target)
        while not filled.app.answers.failures:
            await asyncio.sleep(0)
        assert filled.app.answers.find(target) is before

    asyncio.run(scenario())
