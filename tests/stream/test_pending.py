from itertools import count

import pytest

from schemas.enums import Outcome, Reason, Status
from schemas.events import StatusChange
from stream.folds import CurrentStatus, Facts, UptimeBucket
from stream.pending import MAX_RESULTS, RESULTS_AT_ONCE, Pending
from stream.sink import Insert
from tests.stream.world import START_AT, result

_slots = count()


def facts_of(version: int, results: int = 0, change: bool = False, known_until: int | None = None) -> Facts:
    facts = Facts(version, "local")
    facts.results = [result("default/m", START_AT + next(_slots), Outcome.UP) for _ in range(results)]
    if change:
        facts.changes = [
            StatusChange(
                "default/m", START_AT, version, START_AT, Status.UP, Status.DOWN, Reason.TIMEOUT, f"v{version}"
            )
        ]
    if known_until is not None:
        status = CurrentStatus("default/m", version, Status.UP, START_AT, known_until, Reason.OK, "", "", False)
        facts.current = [status]
    return facts


def rows(inserts: list[Insert], table: str) -> list[dict[str, object]]:
    return [
        dict(zip(insert.names, row, strict=True))
        for insert in inserts
        if insert.table == table
        for row in zip(*insert.columns, strict=True)
    ]


def test_that_a_status_change_does_not_wait() -> None:
    pending = Pending()

    pending.add(facts_of(1, results=1, change=True, known_until=START_AT), START_AT)
    batch = pending.take()

    assert len(rows(batch.urgent, "status_changes")) == 1
    assert len(rows(batch.urgent, "current_status")) == 1
    assert rows(batch.others, "check_results") == []
    assert [message.topic for message in batch.messages] == ["status-changes"]


def test_that_results_wait_until_they_are_worth_an_insert() -> None:
    pending = Pending()

    pending.add(facts_of(1, results=RESULTS_AT_ONCE - 1), START_AT)
    few = pending.take()
    pending.add(facts_of(2, results=1), START_AT)
    many = pending.take()

    assert rows(few.others, "check_results") == []
    assert len(rows(many.others, "check_results")) == RESULTS_AT_ONCE


def test_that_everything_is_handed_over_once_when_asked_for() -> None:
    pending = Pending()

    pending.add(facts_of(1, results=3, known_until=START_AT), START_AT)
    first, second = pending.take(everything=True), pending.take(everything=True)

    assert len(rows(first.others, "check_results")) == 3
    assert len(rows(first.others, "current_status")) == 1
    assert not any(len(insert) for insert in (*second.urgent, *second.others))


def test_that_the_highest_version_of_an_identity_is_kept_whatever_comes_last() -> None:
    pending = Pending()

    pending.add(facts_of(5, change=True), START_AT)
    pending.add(facts_of(4, change=True), START_AT)
    pending.add(facts_of(8, known_until=START_AT + 8), None)
    pending.add(facts_of(7, known_until=START_AT + 7), None)
    batch = pending.take(everything=True)

    assert [row["version"] for row in rows(batch.urgent, "status_changes")] == [5]
    assert [row["known_until"] for row in rows(batch.others, "current_status")] == [START_AT + 8]


def test_that_folding_waits_when_writing_does_not_keep_up() -> None:
    pending = Pending()

    pending.add(facts_of(1, results=MAX_RESULTS), START_AT)

    assert pending.full
    pending.take()
    assert not pending.full


def test_that_what_a_tick_tells_of_a_whole_fleet_is_written_at_once_and_folding_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream.pending.TOTALS_AT_ONCE", 3)
    monkeypatch.setattr("stream.pending.MAX_TOTALS", 4)
    pending, facts = Pending(), Facts(1)
    hours = range(START_AT, START_AT + 5 * 3_600_000, 3_600_000)
    facts.uptime = [UptimeBucket("default/m", "hour", hour, 1, hour, (0, 0, 0, 0, 0, 0)) for hour in hours]

    pending.add(facts, None)

    assert pending.urgent and pending.full
    assert len(rows(pending.take().others, "uptime_buckets")) == 5
    assert not pending.full


def test_that_late_results_carry_the_version_that_never_wins() -> None:
    pending = Pending()
    facts = facts_of(3 << 48 | 9, results=1)
    facts.late = [result("default/m", START_AT - 1)]

    pending.add(facts, START_AT)
    stored = rows(pending.take(everything=True).others, "check_results")

    assert [(row["version"], row["late"]) for row in stored] == [(3 << 48 | 9, False), ((1 << 48) - 1 - 9, True)]
