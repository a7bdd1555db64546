"""The rules one by one, on short stories of one monitor."""

import tracemalloc
from bisect import bisect_right
from itertools import chain
from math import floor, log2

import pytest
from msgspec.structs import replace

from schemas.durations import format_duration
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Status
from schemas.events import CheckBatch, CheckResult, Component, MaintenanceRevised, MonitorRevised, Tick, encode
from schemas.monitors import Monitor
from stream.folds import STATUSES, Facts, LatencyHour, PartitionFold, Terms
from stream.folds.latency import EDGES
from stream.folds.story import MAX_ENTRIES
from stream.folds.terms import DEFAULT_TERMS

BEGIN = 1_767_225_600_000
MINUTE = 60_000
NAME = "default/api"
OUTCOMES = {"u": Outcome.UP, "g": Outcome.DEGRADED, "d": Outcome.DOWN, "?": Outcome.UNKNOWN}


class Log:
    """A partition that is told of one monitor, a minute at a time."""

    def __init__(self, terms: Terms = DEFAULT_TERMS) -> None:
        self.fold = PartitionFold(lambda monitor, version: terms)
        self.offset = 0

    def add(self, *events: CheckBatch | Tick | MonitorRevised | MaintenanceRevised) -> Facts:
        """The facts of the last of the events."""
        for event in events:
            facts = self.fold.fold(self.offset, event)
            self.offset += 1
        return facts

    def see(self, letters: str, first: int = 0, region: str = "ams") -> list[Facts]:
        """A result a minute."""
        return [self.add(batch(letter, first + minute, region)) for minute, letter in enumerate(letters)]


def batch(letter: str, minute: int, region: str = "ams", sent: int | None = None) -> CheckBatch:
    """A result that was sent in its minute, or in another."""
    at = BEGIN + minute * MINUTE
    reason = Reason.OK if letter == "u" else Reason.TIMEOUT
    result = CheckResult(NAME, at, at, 1, OUTCOMES[letter], reason, total_us=5_000, message=letter)
    return CheckBatch("probe", region, at if sent is None else BEGIN + sent * MINUTE, (result,))


def named(sent: CheckBatch, version: int) -> CheckBatch:
    """The same, taken under another version of the monitor."""
    return replace(sent, results=tuple(replace(result, monitor_version=version) for result in sent.results))


def test_a_status_change_is_dated_by_the_first_failure_and_decided_by_the_one_that_confirmed_it() -> None:
    (change,) = Log().see("uudd")[-1].changes

    assert (change.previous, change.status, change.at, change.decided_at) == (
        Status.UP,
        Status.DOWN,
        BEGIN + 2 * MINUTE,
        BEGIN + 3 * MINUTE,
    )


def test_a_maintenance_is_told_when_it_begins_and_its_end_not_before_it_is_there() -> None:
    log = Log()
    log.see("uu")
    log.add(MaintenanceRevised("m", NAME, BEGIN, BEGIN + 2 * MINUTE, BEGIN + 5 * MINUTE))
    began = log.add(Tick(BEGIN + 3 * MINUTE))
    failing = log.see("dd", first=3)
    ended = log.add(Tick(BEGIN + 5 * MINUTE))

    assert [(change.status, change.at) for change in began.changes] == [(Status.MAINTENANCE, BEGIN + 2 * MINUTE)]
    assert [current.status for current in began.current] == [Status.MAINTENANCE]
    assert not any(facts.changes or facts.incidents for facts in failing)
    assert [(change.status, change.at) for change in ended.changes] == [(Status.DOWN, BEGIN + 5 * MINUTE)]


def test_a_failure_in_a_maintenance_of_which_no_tick_has_told_yet_opens_no_incident() -> None:
    log = Log(Terms(confirmations=1))
    log.see("uu")
    log.add(Tick(BEGIN + MINUTE), MaintenanceRevised("m", NAME, BEGIN, BEGIN + 2 * MINUTE, BEGIN + 5 * MINUTE))
    (facts,) = log.see("d", first=2)

    assert not facts.incidents
    assert [(change.status, change.at) for change in facts.changes] == [(Status.MAINTENANCE, BEGIN + 2 * MINUTE)]


def test_the_end_of_a_maintenance_is_told_even_if_its_results_are_settled_before_a_tick_has_reached_it() -> None:
    log = Log()
    log.add(Tick(BEGIN), MaintenanceRevised("m", NAME, BEGIN, BEGIN + MINUTE, BEGIN + 3 * MINUTE))
    log.see("uu")
    log.add(Tick(BEGIN + 2 * MINUTE))
    log.see("u" * 30, first=2)

    changes = log.add(Tick(BEGIN + 32 * MINUTE)).changes

    assert [(change.status, change.at) for change in changes] == [(Status.UP, BEGIN + 3 * MINUTE)]


def test_a_maintenance_that_is_told_again_does_not_bring_back_what_was_called_off_since() -> None:
    log = Log()
    log.see("uu")
    planned = MaintenanceRevised("m", NAME, BEGIN, BEGIN + 2 * MINUTE, BEGIN + 5 * MINUTE, version=1)
    called_off = replace(planned, ends_at=planned.starts_at, version=2)
    log.add(planned, called_off, planned)

    assert not log.add(Tick(BEGIN + 3 * MINUTE)).changes


def test_one_failure_and_unknown_results_confirm_nothing() -> None:
    assert not [facts.changes for facts in Log().see("uuud?u?d?u")[1:] if facts.changes]


def test_degraded_that_becomes_down_escalates_the_same_incident() -> None:
    facts = Log().see("uuggdd")

    (incident,) = facts[-1].incidents
    assert [entry.kind for entry in incident.entries] == [EntryKind.OPENED, EntryKind.ESCALATED]
    assert incident.id == facts[3].incidents[0].id


def test_an_incident_ends_with_the_first_success_of_the_recovery() -> None:
    (incident,) = Log().see("uudduu")[-1].incidents

    assert (incident.state, incident.resolved_at) == (IncidentState.RESOLVED, BEGIN + 4 * MINUTE)


def test_a_relapse_within_the_gap_reopens_the_incident() -> None:
    facts = Log(Terms(reopen_gap_ms=5 * MINUTE)).see("uudduudd")

    (incident,) = facts[-1].incidents
    assert [entry.kind for entry in incident.entries] == [EntryKind.OPENED, EntryKind.RESOLVED, EntryKind.REOPENED]
    assert incident.id == facts[3].incidents[0].id


@pytest.mark.parametrize(("calm_minutes", "incidents"), [(5, 1), (6, 2)])
def test_the_gap_ends_with_its_last_moment(calm_minutes: int, incidents: int) -> None:
    facts = Log(Terms(reopen_gap_ms=5 * MINUTE)).see("uudd" + "u" * calm_minutes + "dd")

    assert len({incident.id for fact in facts for incident in fact.incidents}) == incidents


def test_an_incident_that_turns_without_end_keeps_its_opening_and_its_newest_turns() -> None:
    terms = Terms(confirmations=1, recoveries=1, flap_start=0, reopen_gap_ms=5 * MINUTE)
    (incident,) = Log(terms).see("u" + "du" * 60)[-1].incidents

    kinds = [entry.kind for entry in incident.entries]
    assert (len(kinds), kinds[0], kinds[-1]) == (MAX_ENTRIES, EntryKind.OPENED, EntryKind.RESOLVED)


def test_a_success_that_comes_late_annuls_the_incident_that_never_was() -> None:
    log = Log()
    log.see("uud")
    log.see("d", first=4)

    facts = log.add(batch("u", 3, sent=4))

    assert facts.incidents[0].state is IncidentState.ANNULLED
    assert facts.changes[0].withdrawn


def test_the_half_of_the_regions_is_no_majority() -> None:
    log = Log()
    log.see("uu", region="lon")
    log.see("dd", region="ams")

    assert not log.add(batch("u", 2, "lon")).changes
    assert log.fold.fold(99, Tick(BEGIN + 2 * MINUTE)).current[0].status is Status.UP


def test_silence_is_unknown_once_a_tick_tells_so() -> None:
    log = Log()
    log.see("uu")

    assert not log.add(Tick(BEGIN + 3 * MINUTE)).changes
    (change,) = log.add(Tick(BEGIN + 3 * MINUTE + 1)).changes
    assert (change.status, change.at, change.reason) == (Status.UNKNOWN, BEGIN + 3 * MINUTE, Reason.NO_RESULTS)


@pytest.mark.parametrize("interval_ms", [10_000, 45_000, 60_000, 90_000])
def test_a_target_that_hangs_until_its_timeout_is_down_and_never_silent(interval_ms: int) -> None:
    written = {"slug": "m", "url": "http://m/", "interval": format_duration(interval_ms), "timeout": "60s"}
    monitor = Monitor.model_validate(written)
    log, statuses = Log(Terms.of(monitor)), []
    told_at = {BEGIN + n * interval_ms + 60_300: BEGIN + n * interval_ms for n in range(20)}
    for now in range(BEGIN, BEGIN + 20 * interval_ms, 100):
        if now in told_at:
            at = told_at[now]
            result = CheckResult(NAME, at, at, 1, Outcome.DOWN, Reason.TIMEOUT)
            statuses += [change.status for change in log.add(CheckBatch("p", "ams", now, (result,))).changes]
        if now % 5_000 == 0:
            statuses += [change.status for change in log.add(Tick(now)).changes]

    assert statuses == [Status.DOWN]


def test_a_result_that_comes_after_time_has_passed_it_is_followed_by_silence_at_once() -> None:
    log = Log()
    log.see("uu")
    log.add(Tick(BEGIN + 8 * MINUTE))

    changes = log.add(batch("u", 4, sent=8)).changes

    assert [(change.status, change.at) for change in changes] == [
        (Status.UP, BEGIN + 4 * MINUTE),
        (Status.UNKNOWN, BEGIN + 6 * MINUTE),
    ]


def test_deletion_ends_the_incident() -> None:
    log = Log()
    log.see("uudd")

    facts = log.add(MonitorRevised(NAME, 2, BEGIN + 4 * MINUTE, "deleted"))

    assert facts.incidents[0].state is IncidentState.RESOLVED
    assert facts.current[0].deleted


def test_a_deleted_monitor_is_told_no_more_once_all_of_it_is_settled_and_goes_on_when_it_is_made_anew() -> None:
    log = Log()
    first = log.see("uudd")[-1].incidents
    log.add(MonitorRevised(NAME, 2, BEGIN + 4 * MINUTE, "deleted"))
    told = [log.add(Tick(BEGIN + minute * MINUTE)) for minute in range(5, 120)]
    (row,) = log.fold.changed()
    watched = [*log.fold.monitors]
    log.add(MonitorRevised(NAME, 3, BEGIN + 180 * MINUTE, "active"), Tick(BEGIN + 180 * MINUTE))
    back = log.see("uudd", first=180)

    assert not any(facts.uptime or facts.current for facts in told[75:])
    assert (row.monitor, watched) == (NAME, [])
    assert back[0].current[0].status is Status.UP
    assert {incident.id for incident in back[-1].incidents}.isdisjoint({incident.id for incident in first})
    (day,) = [bucket for bucket in back[-1].uptime if bucket.step == "day"]
    assert dict(zip(STATUSES, day.spans_ms, strict=True)) | {Status.UNKNOWN: 0} == {
        Status.UP: 4 * MINUTE,
        Status.DOWN: 3 * MINUTE,
    } | dict.fromkeys((Status.DEGRADED, Status.UNKNOWN, Status.MAINTENANCE, Status.PAUSED), 0)


def test_a_deleted_monitor_is_kept_packed_with_its_maintenance_which_holds_when_it_is_made_anew() -> None:
    log, begin, day = Log(), BEGIN + 1_440 * MINUTE, 1_440 * MINUTE
    log.see("uu")
    log.add(MaintenanceRevised("m", NAME, BEGIN + MINUTE, begin, begin + day))
    log.add(MonitorRevised(NAME, 2, BEGIN + 2 * MINUTE, "deleted"))
    for minute in range(3, 120):
        log.add(Tick(BEGIN + minute * MINUTE))
    (row,) = log.fold.changed()
    watched, held = [*log.fold.monitors], log.fold.monitors_in("m")
    log.add(MonitorRevised(NAME, 3, begin - MINUTE, "active"))

    (told,) = log.add(Tick(begin + MINUTE)).changes

    assert (row.monitor, watched) == (NAME, [])
    assert (held, log.fold.monitors_in("n")) == ({NAME}, set())
    assert (told.status, told.at) == (Status.MAINTENANCE, begin)


def in_a_new_log(before: Log, terms: Terms = DEFAULT_TERMS) -> Log:
    """The states of a log that is gone, under the next."""
    log = Log(terms)
    log.offset = 1 << 48
    for row in before.fold.changed():
        log.fold.load(row.monitor, row.state)
    log.fold.begin_log(log.offset - 1)
    return log


def test_what_was_sent_before_a_log_was_lost_comes_too_late_in_the_next() -> None:
    before = Log()
    before.see("uu")
    for minute in range(2, 40):
        before.add(Tick(BEGIN + minute * MINUTE))

    facts = in_a_new_log(before).add(batch("u", 1))

    assert (len(facts.results), len(facts.late)) == (0, 1)


def test_a_maintenance_that_has_ended_does_not_begin_again_in_a_new_log() -> None:
    before = Log()
    before.add(MaintenanceRevised("m", NAME, BEGIN, BEGIN + MINUTE, BEGIN + 5 * MINUTE))
    before.see("u" * 8)
    before.add(Tick(BEGIN + 8 * MINUTE))

    assert not in_a_new_log(before).add(batch("u", 9)).changes


@pytest.mark.parametrize("version", [0, 1, 2], ids=["older", "same", "newer"])
def test_a_version_of_a_new_log_is_not_taken_for_one_of_the_log_before(version: int) -> None:
    before = Log(Terms(quorum=1, confirmations=1))
    for region in ("ams", "lon", "nyc"):
        before.see("uu", region=region)
    log = in_a_new_log(before, Terms(quorum=3, confirmations=2))
    seen = [named(batch("d", minute, r), version) for minute in (2, 3) for r in ("ams", "lon", "nyc")]

    told = [[change.status for change in log.add(one).changes] for one in seen]

    assert told == [[], [], [], [], [], [Status.DOWN]]


def test_a_region_that_nobody_probes_any_more_is_not_kept() -> None:
    log = Log()
    log.see("ud")
    for minute in range(2, 120):
        log.add(batch("u", minute, region="lon"), Tick(BEGIN + minute * MINUTE))

    assert [region.name for region in log.fold.monitors[NAME].regions] == ["lon"]


def taken_bytes(minutes: int, restarted: bool) -> int:
    """What fifty monitors take after an hour, of which their results came for so long."""
    tracemalloc.start()
    fold = PartitionFold(lambda monitor, version: DEFAULT_TERMS)
    for minute in range(60):
        at = BEGIN + minute * MINUTE
        if minute < minutes:
            results = (CheckResult(f"default/m{number}", at, at, 1, Outcome.UP) for number in range(50))
            fold.fold(minute, CheckBatch("p", "ams", at, tuple(results)))
        fold.fold(minute, Tick(at))
    if restarted:
        rows, fold = [*fold.changed()], fold.beside()
        for row in rows:
            fold.load(row.monitor, row.state)
        del rows, row
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken


@pytest.mark.parametrize("restarted", [False, True], ids=["told", "loaded"])
def test_a_fleet_that_is_silent_takes_no_more_memory_than_one_that_is_seen(restarted: bool) -> None:
    _, silent, seen = (taken_bytes(minutes, restarted) for minutes in (10, 10, 60))  # the first one fills caches

    assert silent < seen


def test_an_incident_stays_small_enough_for_a_record_however_many_components_fail_in_it() -> None:
    log = Log(Terms(confirmations=1, recoveries=1, flap_start=0))
    for minute in range(100):
        (failing,) = batch("dg"[minute % 2], minute).results
        names = tuple(Component(f"job {minute} {n}" + "x" * 290, Outcome.DOWN) for n in range(50))
        (incident,) = log.add(
            CheckBatch("probe", "ams", failing.scheduled_at, (replace(failing, components=names),))
        ).incidents

    assert len(encode(incident)) < 500_000


def test_a_region_that_keeps_changing_is_degraded_until_it_is_steady() -> None:
    facts = Log(Terms(confirmations=3)).see("ud" * 12 + "u" * 20)

    changes = [change for fact in facts for change in fact.changes]
    assert [(change.status, change.reason) for change in changes] == [
        (Status.UP, Reason.OK),
        (Status.DEGRADED, Reason.FLAPPING),
        (Status.UP, Reason.OK),
    ]


def test_results_outside_the_window_are_late_and_change_nothing() -> None:
    log = Log()
    log.see("uu")

    facts = log.add(batch("d", 2, sent=13))

    assert not facts.results
    assert len(facts.late) == 1
    assert facts.late_version < 1 << 48


@pytest.mark.parametrize("letters", ["ud", "du"])
def test_of_two_results_of_one_identity_the_same_one_wins_whichever_came_first(letters: str) -> None:
    log = Log()
    first = [log.add(batch(letter, 0)) for letter in letters]

    stored = [result.message for facts in first for result in facts.results][-1]
    assert stored == "d"


def test_bins_are_eighths_of_octaves_of_milliseconds() -> None:
    spread = [*range(1_001, 5_000, 7), *range(5_001, 100_000_000, 99_991)]

    assert [bisect_right(EDGES, us) for us in spread] == [min(floor(log2(us / 1000) * 8), 127) for us in spread]
    assert [bisect_right(EDGES, us) for us in (0, 1_000, 2_000, 1_000 << 15, 1 << 32)] == [0, 0, 8, 120, 127]


def test_nobody_knows_how_the_components_of_a_silent_region_are() -> None:
    log = Log()
    broken = (Component("db", Outcome.DOWN, "refused"),)
    result = CheckResult(NAME, BEGIN, BEGIN, 1, Outcome.DEGRADED, Reason.COMPONENT, components=broken)
    log.add(CheckBatch("probe", "ams", BEGIN, (result,)))
    log.see("uuuuu", region="fra")
    (told,) = log.add(Tick(BEGIN + 10 * MINUTE)).components

    silence_ms = DEFAULT_TERMS.silence_ms
    assert (told.component, told.outcome, told.message, told.gone) == ("db", Outcome.UNKNOWN, "", False)
    assert told.at == BEGIN + silence_ms


def test_what_measured_nothing_is_no_quick_answer() -> None:
    log = Log()
    for minute, total_us in enumerate((0, 900, 0, 65_000)):
        at = BEGIN + minute * MINUTE
        log.add(CheckBatch("office", "ams", at, (CheckResult(NAME, at, at, 1, Outcome.UP, total_us=total_us),)))
    (hour,) = log.add(Tick(BEGIN + 60 * MINUTE)).latency

    assert (hour.checks, hour.phases_us[5], sum(hour.histogram), hour.histogram[0]) == (2, 65_900, 2, 1)


@pytest.mark.parametrize(("bins", "histogram"), [(((3, 2), (1, 4), (9, 0)), (0, 4, 0, 2)), (((9, 0),), ()), ((), ())])
def test_a_histogram_ends_with_the_last_bin_that_has_any(
    bins: tuple[tuple[int, int], ...], histogram: tuple[int, ...]
) -> None:
    assert LatencyHour("default/m", "east", 0, 5, 6, (0, 0, 0, 0, 0, 0), bins).histogram == histogram


def test_a_day_of_results_that_waited_for_the_stream_is_told_by_the_hour_and_not_kept() -> None:
    log = Log()
    log.add(Tick(BEGIN))
    waited = log.see("u" * 1_440)
    size = len(log.fold.monitors[NAME].encode(log.offset))
    first = log.add(Tick(BEGIN + 1_440 * MINUTE))

    assert size < 3_000
    assert max(len(facts.uptime) + len(facts.latency) for facts in [*waited, first]) <= 6


def test_a_healthy_monitor_at_a_minute_takes_at_most_1_kb() -> None:
    log = Log()
    for minute in range(120):
        log.add(batch("u", minute), Tick(BEGIN + minute * MINUTE))

    (row,) = log.fold.changed()
    assert len(row.state) <= 1_000


def test_a_fleet_is_told_evenly_each_monitor_once_in_its_time() -> None:
    fold, names, told = PartitionFold(lambda monitor, version: DEFAULT_TERMS), [f"default/m{n}" for n in range(100)], []
    for minute in range(6):
        at = BEGIN + minute * MINUTE
        fold.fold(minute, CheckBatch("p", "ams", at, tuple(CheckResult(n, at, at, 1, Outcome.UP) for n in names)))
        ticks = (fold.fold(minute, Tick(tick)) for tick in range(at, at + MINUTE, MINUTE // 6))
        told += [[current.monitor for current in facts.current] for facts in ticks]

    first, *others = told[:31]
    assert first == names
    assert sorted(chain.from_iterable(others)) == sorted(names)
    assert max(map(len, others)) < 20


def test_the_first_figures_of_a_new_monitor_are_told_within_an_interval_of_its_first_result() -> None:
    log = Log()
    log.add(MonitorRevised(NAME, 1, BEGIN, "active"), Tick(BEGIN), Tick(BEGIN + 2 * MINUTE), batch("u", 2))

    told = [log.add(Tick(tick)) for tick in range(BEGIN + 2 * MINUTE, BEGIN + 3 * MINUTE + 1, 10_000)]

    assert [hour.checks for facts in told for hour in facts.latency] == [1]
    assert max(bucket.spans_ms[0] for facts in told for bucket in facts.uptime) > 0
