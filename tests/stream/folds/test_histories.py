"""Whatever happens and in whatever order the log gets it, the facts are those of the rules.

FOLD_EXAMPLES=2000 looks at so many histories in each test instead of at a few; `-o faulthandler_timeout=0` lets it.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.enums import IncidentState
from schemas.events import LogEvent
from stream.folds import Facts, PartitionFold
from tests.stream.folds.histories import EPOCH, History, histories
from tests.stream.folds.oracle import ExpectedMonitor, expect
from tests.stream.folds.table import Tables

EXAMPLES = int(os.environ.get("FOLD_EXAMPLES", "50"))


def thoroughly(test: Callable[..., None]) -> Callable[..., None]:
    """As many examples as are asked for, and the time that they take."""
    as_asked = settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    return pytest.mark.timeout(max(300, EXAMPLES))(as_asked(test))


def fold_all(history: History, events: Iterable[LogEvent]) -> Tables:
    """What the tables hold after all events, between which snapshots are taken."""
    fold, tables = PartitionFold(history.terms_of), Tables()
    for offset, event in enumerate(events):
        tables.write(fold.fold(EPOCH | offset, event))
        if offset % 10 == 0:
            deque(fold.changed(), maxlen=0)
    return tables


def assert_decided(tables: Tables, name: str, expected: ExpectedMonitor) -> None:
    """Statuses and incidents, which hold after every event."""
    assert tables.changes(name) == expected.changes
    assert tables.incidents(name) == expected.incidents
    assert tables.current(name) == expected.current
    assert tables.results(name) == expected.results
    assert tables.components(name) == expected.components


def assert_as_expected(tables: Tables, expected: dict[str, ExpectedMonitor]) -> None:
    """All tables, after a tick at which everything is told."""
    for name, monitor in expected.items():
        assert_decided(tables, name, monitor)
        assert tables.uptime(name) == monitor.uptime
        assert tables.latency(name) == monitor.latency


@thoroughly
@given(histories(), st.integers(0, 1_000))
def test_any_delivery_leads_to_what_the_oracle_expects(history: History, seed: int) -> None:
    events = history.delivered(seed)
    tables = fold_all(history, events)

    assert_as_expected(tables, expect(events, history.terms_of))
    for name in {monitor for monitor, _ in history.terms}:
        assert_incidents_never_overlap(tables, name)
    deleted = {event.monitor for event in events if getattr(event, "state", "") == "deleted"}
    for name in {monitor for monitor, _ in history.terms} - deleted:
        assert_hours_add_up(tables, name)


def assert_incidents_never_overlap(tables: Tables, name: str) -> None:
    """One begins after the one before has ended."""
    for earlier, later in pairwise(tables.incidents(name)):
        assert earlier.opened_at < earlier.resolved_at <= later.opened_at


def assert_hours_add_up(tables: Tables, name: str) -> None:
    """The milliseconds of an hour's statuses are those that are known of it, from the monitor's first full hour on."""
    rows = [row for row in tables.of("uptime", name) if row.step == "hour"]
    begin = min((row.bucket for row in rows if any(row.spans_ms)), default=0)
    for row in rows:
        if row.bucket > begin:
            assert sum(row.spans_ms) == row.known_until - row.bucket


@thoroughly
@given(histories(), st.integers(0, 1_000))
def test_any_delivery_leads_to_the_same_as_the_results_in_order(history: History, seed: int) -> None:
    ordered, shuffled = fold_all(history, history.in_order()), fold_all(history, history.delivered(seed))

    for name in {monitor for monitor, _ in history.terms}:
        assert shuffled.changes(name) == ordered.changes(name)
        assert shuffled.incidents(name) == ordered.incidents(name)
        assert _standing_ids(shuffled, name) == _standing_ids(ordered, name)
        assert shuffled.current(name) == ordered.current(name)
        assert shuffled.uptime(name) == ordered.uptime(name)
        assert shuffled.latency(name) == ordered.latency(name)
        assert shuffled.components(name) == ordered.components(name)
        assert shuffled.results(name) == ordered.results(name)


def _standing_ids(tables: Tables, name: str) -> list[str]:
    return [i.id for i in tables.of("incident", name) if i.state is not IncidentState.ANNULLED]


@thoroughly
@given(histories(), st.integers(0, 1_000), st.data())
def test_after_every_event_the_statuses_are_those_of_the_log_so_far(
    history: History, seed: int, data: st.DataObject
) -> None:
    events = history.delivered(seed)
    seen = data.draw(st.integers(1, len(events)))
    expected = expect(events[:seen], history.terms_of)
    tables = fold_all(history, events[:seen])

    for name, monitor in expected.items():
        if monitor.current:
            assert_decided(tables, name, monitor)


@thoroughly
@given(histories(monitors=2), st.integers(0, 1_000), st.data())
def test_a_restart_from_any_snapshot_gives_the_same_facts_and_states(
    history: History, seed: int, data: st.DataObject
) -> None:
    events = history.delivered(seed)
    position = data.draw(st.integers(0, len(events) - 1))
    torn = data.draw(st.integers(position, len(events) - 1))
    first, told, clock, rows = PartitionFold(history.terms_of), [], b"", {}
    for offset, event in enumerate(events):
        told.append(first.fold(EPOCH | offset, event))
        if offset == position:
            clock = first.position_state()
            rows = {row.monitor: row for row in first.changed()}
        if offset == torn:
            rows |= {row.monitor: row for row in first.changed() if data.draw(st.booleans())}

    second = PartitionFold(history.terms_of)
    second.load_position(clock)
    for row in rows.values():
        second.load(row.monitor, row.state)
    again = [second.fold(EPOCH | offset, event) for offset, event in enumerate(events) if offset > position]

    for before, after in zip(told[position + 1 :], again, strict=True):
        if _told(after) != _told(before):
            assert not sorted(_counted(after) - _counted(before))
            assert after.version <= EPOCH | torn or not sorted(_counted(before) - _counted(after))
    names = {monitor for monitor, _ in history.terms}
    assert _states(second, names) == _states(first, names)


def _told(facts: Facts) -> list[list[Any]]:
    return [getattr(facts, name) for name in Facts.__slots__ if name not in ("version", "region")]


def _counted(facts: Facts) -> Counter[str]:
    return Counter(repr(fact) for kind in _told(facts) for fact in kind)


def _states(fold: PartitionFold, names: Iterable[str]) -> dict[str, bytes]:
    """As of now: one that nothing has happened to may not have been told yet how late it is."""
    states = {}
    for name in names:
        monitor = fold.monitor(name)
        monitor.horizon = fold.clock.horizon
        states[name] = monitor.encode(EPOCH)
    return states
