"""A record that was corrected is the one that the rules give for what stands: results, policies, decisions.

FOLD_EXAMPLES=2000 looks at so many histories in each test instead of at a few; `-o faulthandler_timeout=0` lets it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.enums import CorrectionKind, EntryKind, IncidentState, Outcome, Reason, Status
from schemas.events import (
    CheckBatch,
    CheckResult,
    CorrectionOrdered,
    LogEvent,
    MaintenanceRevised,
    MonitorRevised,
    PolicyChange,
    Tick,
)
from stream.folds import Facts, History, PartitionFold, Terms
from stream.folds.facts import OFFSET_MASK
from stream.folds.rewriting import Found, Past, Rewriting, standing
from tests.stream.folds import histories
from tests.stream.folds.histories import BEGIN, EPOCH
from tests.stream.folds.oracle import expect
from tests.stream.folds.table import Tables
from tests.stream.folds.test_histories import thoroughly

MINUTE = 60_000
HOUR = 60 * MINUTE
REASON = "somebody said so"


class Stream:
    """A fold and its tables, which carries out corrections as the worker does."""

    def __init__(self, terms_of: Callable[[str, int], Terms | None]) -> None:
        self.terms_of = terms_of
        self.fold = PartitionFold(terms_of)
        self.tables = Tables()
        self.log: list[LogEvent] = []
        self.states: dict[str, bytes] = {}
        """What snapshots hold."""

    def take(self, event: LogEvent) -> Facts:
        """Fold the next event of the log."""
        version = EPOCH | len(self.log)
        self.log.append(event)
        facts = (
            self._correct(version, event) if isinstance(event, CorrectionOrdered) else self.fold.fold(version, event)
        )
        self.tables.write(facts)
        return facts

    def restart(self) -> None:
        """Go on from a snapshot."""
        fold = self.fold.beside()
        fold.load_position(self.fold.position_state())
        self.states |= {row.monitor: row.state for row in self.fold.changed()}
        for name, state in self.states.items():
            fold.load(name, state)
        self.fold = fold

    def _correct(self, version: int, order: CorrectionOrdered) -> Facts:
        if not self.fold.is_before(order.monitor, version):
            return Facts(version)
        rewriting = Rewriting(self.fold, version, order)
        past = Past(
            self._before(order, rewriting.reads_since), self._of(CorrectionOrdered, order), *self._decisions(order)
        )
        rewriting.begin(past)
        rewriting.feed(self._stored(rewriting, version, past.orders))
        return rewriting.finish()

    def _of(self, kind: type, order: CorrectionOrdered) -> list:
        return [event for event in self.log if isinstance(event, kind) and event.monitor == order.monitor]

    def _decisions(self, order: CorrectionOrdered) -> tuple[list[MonitorRevised], list[MaintenanceRevised]]:
        return self._of(MonitorRevised, order), self._of(MaintenanceRevised, order)

    def _before(self, order: CorrectionOrdered, since: int) -> History:
        incidents = [
            incident
            for incident in self.tables.of("incident", order.monitor)
            if incident.state is not IncidentState.ANNULLED or any(entry.by for entry in incident.entries)
        ]
        lasting = [i for i in incidents if i.state is IncidentState.OPEN or (i.resolved_at or i.opened_at) >= since]
        changes = [c for c in self.tables.of("change", order.monitor) if not c.withdrawn]
        lasted = max((c.at for c in changes if c.at <= since), default=0)
        return History(tuple(sorted(lasting, key=lambda i: i.opened_at)), tuple(c for c in changes if c.at >= lasted))

    def _stored(self, rewriting: Rewriting, version: int, orders: Sequence[CorrectionOrdered]) -> list[Found]:
        spans = [(one.since, one.until) for one in standing(orders) if one.kind is CorrectionKind.REPLAY]
        found = []
        for identity, (row_version, row) in self.tables.rows.items():
            if identity[:2] != ("result", orders[0].monitor):
                continue
            late, region, result = row
            arrived = not late or row_version > OFFSET_MASK - (version & OFFSET_MASK)
            wanted = not late or any(since <= result.scheduled_at < until for since, until in spans)
            if arrived and wanted and rewriting.reads_since <= result.scheduled_at < rewriting.reads_until:
                found.append((region, _as_stored(result)))
        return sorted(found, key=lambda each: each[1].scheduled_at)


def _as_stored(result: CheckResult) -> CheckResult:
    """The table does not keep the components of a result that was up."""
    if result.outcome is not Outcome.UP:
        return result
    return msgspec.structs.replace(result, components=(), failures=(), evidence=None)


@st.composite
def corrected(draw: st.DrawFn) -> histories.History:
    """A history whose record was corrected once or a few times."""
    history = draw(st.one_of(histories.histories(), histories.days()))
    (name, _), terms = next(iter(history.terms.items()))
    unit = max(MINUTE, terms.interval_ms)
    orders: list[tuple[int, LogEvent]] = []
    for number in range(draw(st.integers(1, 4))):
        told_at = draw(st.integers(BEGIN + 5 * unit, history.end))
        earlier = [order for at, order in orders if at < told_at and order.kind is not CorrectionKind.UNDO]
        orders.append((told_at, draw(_order(name, f"c{number}", told_at, unit, earlier))))
    return replace(history, events=[*history.events, *orders])


@st.composite
def _order(
    draw: st.DrawFn, monitor: str, name: str, told_at: int, unit: int, earlier: list[CorrectionOrdered]
) -> CorrectionOrdered:
    kind = draw(st.sampled_from([*CorrectionKind] if earlier else [CorrectionKind.REPLAY, CorrectionKind.ANNUL]))
    if kind is CorrectionKind.UNDO:
        undone = draw(st.sampled_from(earlier))
        return CorrectionOrdered(
            name, monitor, kind, told_at, undone.since, undone.until, "somebody", REASON, undoes=undone.id
        )
    since = max(BEGIN, told_at - draw(st.sampled_from((unit, 5 * unit, 30 * unit, 180 * unit))))
    until = min(told_at, since + draw(st.sampled_from((unit, 7 * unit, 40 * unit, 180 * unit))))
    policy, region = PolicyChange(), ""
    if kind is CorrectionKind.REPLAY and draw(st.booleans()):
        policy = PolicyChange(
            confirmations=draw(st.sampled_from((None, 1, 3, 5))),
            recoveries=draw(st.sampled_from((None, 1, 4))),
            quorum=draw(st.sampled_from((None, 0, 1, 2))),
            reopen_gap_ms=draw(st.sampled_from((None, 0, HOUR))),
            flap_start=draw(st.sampled_from((None, 0, 20))),
        )
    if kind is CorrectionKind.ANNUL:
        region = draw(st.sampled_from(("", "ams", "lon")))
    return CorrectionOrdered(name, monitor, kind, told_at, since, until, "somebody", REASON, policy, region)


@thoroughly
@given(corrected(), st.integers(0, 1_000), st.data())
def test_a_corrected_record_is_the_one_that_the_rules_give_for_what_stands(
    history: histories.History, seed: int, data: st.DataObject
) -> None:
    events = history.delivered(seed)
    restarts = data.draw(st.sets(st.integers(0, len(events) - 1), max_size=3))
    stream = Stream(history.terms_of)
    for place, event in enumerate(events):
        stream.take(event)
        if place in restarts:
            stream.restart()

    for name, expected in expect(events, history.terms_of).items():
        tables = stream.tables
        assert tables.changes(name) == expected.changes
        assert tables.incidents(name) == expected.incidents
        assert tables.current(name) == expected.current
        assert tables.results(name) == expected.results
        assert tables.uptime(name) == expected.uptime
        assert tables.latency(name) == expected.latency


def test_a_correction_of_a_day_tells_what_was_not_yet_told_of_the_day_before() -> None:
    terms = Terms()
    stream = Stream(lambda monitor, version: terms)
    for minute in range(10):
        at = BEGIN + minute * MINUTE
        stream.take(CheckBatch("p", "ams", at, (CheckResult("default/m", at, at, 1, Outcome.UP, total_us=900),)))
    since = BEGIN + 2 * HOUR
    stream.take(
        CorrectionOrdered("c", "default/m", CorrectionKind.REPLAY, since, since, since + MINUTE, "somebody", REASON)
    )
    stream.take(Tick(BEGIN + 3 * HOUR))

    (expected,) = expect(stream.log, lambda monitor, version: terms).values()
    assert stream.tables.latency("default/m") == expected.latency
    assert stream.tables.uptime("default/m") == expected.uptime


def test_a_change_of_the_day_before_is_corrected_where_results_after_midnight_confirmed_it() -> None:
    terms = Terms(confirmations=3)
    stream = Stream(lambda monitor, version: terms)
    midnight = BEGIN + 20 * MINUTE
    for minute in range(30):
        at = BEGIN + minute * MINUTE
        seen = (Outcome.UP, Reason.OK) if at < midnight - 2 * MINUTE else (Outcome.DOWN, Reason.TIMEOUT)
        stream.take(CheckBatch("p", "ams", at, (CheckResult("default/m", at, at, 1, *seen),)))
    now = BEGIN + HOUR
    stream.take(Tick(now))
    stream.take(
        CorrectionOrdered("c", "default/m", CorrectionKind.ANNUL, now, midnight, midnight + MINUTE, "somebody", REASON)
    )

    (expected,) = expect(stream.log, lambda monitor, version: terms).values()
    assert stream.tables.changes("default/m") == expected.changes
    assert stream.tables.incidents("default/m") == expected.incidents


def test_a_pause_of_which_the_log_was_told_too_late_holds_from_its_beginning_once_its_day_is_corrected() -> None:
    stream = Stream(lambda monitor, version: Terms())
    for minute in range(30, 90):
        at = BEGIN + minute * MINUTE
        stream.take(CheckBatch("p", "ams", at, (CheckResult("default/m", at, at, 1, Outcome.UP),)))
    now, paused_at = BEGIN + 90 * MINUTE, BEGIN + 40 * MINUTE
    stream.take(MonitorRevised("default/m", 2, paused_at, "paused"))
    told = stream.tables.changes("default/m")
    order = CorrectionOrdered("c", "default/m", CorrectionKind.REPLAY, now, now - MINUTE, now, "somebody", REASON)
    stream.take(order)

    corrected = stream.tables.changes("default/m")
    assert [change.at for change in told if change.status is Status.PAUSED] == [now - 11 * MINUTE]
    assert [change.at for change in corrected if change.status is Status.PAUSED] == [paused_at]


@pytest.mark.parametrize("results", [72, 20], ids=["seen until now", "silent for days"])
@pytest.mark.parametrize("outcome", [Outcome.UP, Outcome.DOWN])
def test_what_has_lasted_for_days_stays_as_it_was_told(results: int, outcome: Outcome) -> None:
    terms = Terms(interval_ms=HOUR, silence_ms=2 * HOUR, confirmations=1)
    stream = Stream(lambda monitor, version: terms)
    stream.take(MonitorRevised("default/m", 1, BEGIN, "active"))
    for hour in range(results):
        at = BEGIN + hour * HOUR
        seen = outcome if hour else Outcome.UP
        reason = Reason.OK if seen is Outcome.UP else Reason.TIMEOUT
        stream.take(CheckBatch("p", "ams", at, (CheckResult("default/m", at, at, 1, seen, reason),)))
        stream.take(Tick(at))
    now = BEGIN + 72 * HOUR
    stream.take(Tick(now))
    stream.take(CorrectionOrdered("c", "default/m", CorrectionKind.REPLAY, now, now - HOUR, now, "somebody", REASON))

    (expected,) = expect(stream.log, lambda monitor, version: terms).values()
    assert stream.tables.incidents("default/m") == expected.incidents
    assert stream.tables.current("default/m") == expected.current


def test_a_monitor_of_which_nothing_was_seen_for_days_keeps_its_incident_through_a_correction() -> None:
    stream = Stream(lambda monitor, version: Terms(confirmations=1))
    stream.take(
        CheckBatch("p", "ams", BEGIN, (CheckResult("default/m", BEGIN, BEGIN, 1, Outcome.DOWN, Reason.TIMEOUT),))
    )
    now = BEGIN + 72 * HOUR
    stream.take(Tick(now))
    before = stream.tables.incidents("default/m")
    stream.take(CorrectionOrdered("c", "default/m", CorrectionKind.REPLAY, now, now - HOUR, now, "somebody", REASON))

    assert len(before) == 1
    assert stream.tables.incidents("default/m") == before


def told_of_days(bad: set[int], hours: int, terms: Terms, slots: range, policy: PolicyChange | None = None) -> Stream:
    """A result every interval, `bad` ones down; then those of `slots` are annulled, or replayed under a policy."""
    stream = Stream(lambda monitor, version: terms)
    count = hours * HOUR // terms.interval_ms
    for slot in range(count):
        at = BEGIN + slot * terms.interval_ms
        seen = (Outcome.DOWN, Reason.TIMEOUT) if slot in bad else (Outcome.UP, Reason.OK)
        stream.take(CheckBatch("p", "ams", at, (CheckResult("default/m", at, at, 1, *seen),)))
        stream.take(Tick(at))
    now, since, until = (BEGIN + slot * terms.interval_ms for slot in (count, slots.start, slots.stop))
    kind = CorrectionKind.REPLAY if policy else CorrectionKind.ANNUL
    order = CorrectionOrdered("c", "default/m", kind, now, since, until, "somebody", REASON, policy or PolicyChange())
    stream.take(order)
    return stream


HALF_HOURLY = Terms(interval_ms=30 * MINUTE, silence_ms=HOUR, confirmations=1, recoveries=1, reopen_gap_ms=2 * HOUR)


@pytest.mark.parametrize("hours", [54, 78])
def test_an_incident_that_reopened_around_the_beginning_of_what_is_folded_anew_is_told_as_it_was(hours: int) -> None:
    """Over twenty minutes before a midnight, back ten minutes after it; ordered the day after that, or a day later."""
    newest = range(2 * hours - 3, 2 * hours - 2)
    stream = told_of_days({*range(40, 2 * hours)} - {48}, hours, HALF_HOURLY, newest)

    (expected,) = expect(stream.log, stream.terms_of).values()
    assert [entry[0] for entry in expected.incidents[0].entries] == ["opened", "resolved", "reopened"]
    assert stream.tables.incidents("default/m") == expected.incidents


def test_an_outage_in_which_one_check_was_good_at_the_beginning_of_what_is_read_stays_one_incident() -> None:
    terms = msgspec.structs.replace(HALF_HOURLY, confirmations=2, recoveries=2, reopen_gap_ms=0)
    stream = told_of_days({*range(1, 156)} - {49}, 78, terms, range(153, 154))

    (expected,) = expect(stream.log, stream.terms_of).values()
    assert len(expected.incidents) == 1
    assert stream.tables.incidents("default/m") == expected.incidents


def test_what_has_flapped_for_days_flaps_on_at_the_beginning_of_what_is_folded_anew() -> None:
    terms = msgspec.structs.replace(HALF_HOURLY, confirmations=2)
    begins, goes_on = {*range(1, 20, 2)}, {*range(23, 240, 5)}
    stream = told_of_days(begins | goes_on, 120, terms, range(236, 237))

    (expected,) = expect(stream.log, stream.terms_of).values()
    assert [entry[0] for entry in expected.incidents[0].entries] == ["opened"]
    assert stream.tables.incidents("default/m") == expected.incidents


def test_how_a_monitor_that_is_checked_seldom_flapped_is_known_at_the_beginning_of_what_is_folded_anew() -> None:
    terms = Terms(interval_ms=6 * HOUR, silence_ms=12 * HOUR, recoveries=1, reopen_gap_ms=0)
    stream = told_of_days({*range(1, 27, 2)}, 300, terms, range(49, 50))

    (expected,) = expect(stream.log, stream.terms_of).values()
    assert stream.tables.changes("default/m") == expected.changes
    assert stream.tables.incidents("default/m") == expected.incidents


def test_a_monitor_whose_outage_is_taken_away_is_up_since_it_was_up_before() -> None:
    outage = range(150, 156)
    stream = told_of_days({*outage}, 78, HALF_HOURLY, outage, PolicyChange(confirmations=9))

    (expected,) = expect(stream.log, stream.terms_of).values()
    assert stream.tables.current("default/m") == expected.current


def test_an_incident_that_a_correction_does_not_touch_stands_in_the_record_before_and_after_it() -> None:
    stream = told_of_days({*range(10, 16)}, 54, HALF_HOURLY, range(105, 106))
    now = BEGIN + 54 * HOUR
    order = CorrectionOrdered("d", "default/m", CorrectionKind.REPLAY, now, now - HOUR, now, "somebody", REASON)

    (correction,) = stream.take(order).corrections

    assert len(correction.before.incidents) == 1
    assert correction.after.incidents == correction.before.incidents


def test_an_incident_after_one_that_was_annulled_while_it_was_open_is_another_one() -> None:
    stream = Stream(lambda monitor, version: Terms(recoveries=1))
    since, until = BEGIN + 5 * MINUTE, BEGIN + 10 * MINUTE
    for minute in range(60):
        at = BEGIN + minute * MINUTE
        if at == until:
            stream.take(CorrectionOrdered("a", "default/m", CorrectionKind.ANNUL, at, since, until, "somebody", REASON))
        seen = (Outcome.DOWN, Reason.TIMEOUT) if since <= at < until or minute == 40 else (Outcome.UP, Reason.OK)
        stream.take(CheckBatch("p", "ams", at, (CheckResult("default/m", at, at, 1, *seen),)))
    sharper = PolicyChange(confirmations=1)
    now, since, until = BEGIN + HOUR, BEGIN + 35 * MINUTE, BEGIN + 45 * MINUTE
    stream.take(
        CorrectionOrdered("b", "default/m", CorrectionKind.REPLAY, now, since, until, "somebody", REASON, sharper)
    )

    annulled, real = sorted(stream.tables.of("incident", "default/m"), key=lambda incident: incident.opened_at)
    assert (annulled.state, real.state) == (IncidentState.ANNULLED, IncidentState.RESOLVED)
    assert [entry.kind for entry in real.entries] == [EntryKind.OPENED, EntryKind.RESOLVED, EntryKind.CORRECTED]
