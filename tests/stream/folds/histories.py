"""Generated histories: what a partition's monitors go through, and the orders in which the log may get it."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.enums import Outcome, Reason
from schemas.events import CheckBatch, CheckResult, Component, LogEvent, MaintenanceRevised, MonitorRevised, Tick
from stream.folds import Terms

EPOCH = 1 << 48
BEGIN = 1_767_225_600_000 - 1_200_000
"""Twenty minutes before a day and an hour end."""
INTERVALS_MS = (10_000, 30_000, 60_000)
LONGEST_DELAY_MS = 590_000
PATTERNS = (
    "u" * 12,
    "d" * 6,
    "g" * 6,
    "ud" * 8,
    "uuuuud",
    "ddu",
    "dddduu",
    "gd",
    "ggddgguu",
    "?" * 5,
    "u?d?d?u",
    "-" * 15,
    "uuu---",
    "uuuuugggdddggguu",
)
"""What a region's results are, slot by slot; `-` is none."""
OUTCOMES = {"u": Outcome.UP, "g": Outcome.DEGRADED, "d": Outcome.DOWN, "?": Outcome.UNKNOWN}


@dataclass(frozen=True)
class History:
    """What happened, in the order of time: results by region, and events that keep their place."""

    results: list[tuple[str, CheckResult]]
    events: list[tuple[int, LogEvent]]
    terms: Mapping[tuple[str, int], Terms]
    end: int

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In short, for the falsifying examples."""
        letters = {outcome: letter for letter, outcome in OUTCOMES.items()}
        told = (f"{r.scheduled_at - BEGIN}{region[0]}{letters[r.outcome]}" for region, r in self.results)
        events = (f"{at - BEGIN}: {event}" for at, event in self.events if not isinstance(event, Tick))
        printer.text(f"<{' '.join(told)}; {'; '.join(events)}; {self.terms}>")

    def terms_of(self, monitor: str, version: int) -> Terms | None:
        """The terms of a version."""
        return self.terms.get((monitor, version))

    def in_order(self) -> list[LogEvent]:
        """Every result sent at once, by itself."""
        sent = [(r.scheduled_at, CheckBatch("p", region, r.scheduled_at, (r,))) for region, r in self.results]
        return self._log(sent)

    def delivered(self, seed: int) -> list[LogEvent]:
        """Every result once or more, each delayed by less than the window, several in a batch."""
        random = Random(seed)
        longest = random.choice((5_000, 100_000, LONGEST_DELAY_MS))
        parcels: dict[tuple[str, int], list[CheckResult]] = {}
        for region, result in self.results:
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                late = result.scheduled_at + random.randrange(longest)
                parcels.setdefault((region, late - late % random.choice((1, 1_000, 20_000))), []).append(result)
        sent = []
        for (region, at), results in parcels.items():
            random.shuffle(results)
            at = max(at, *(r.scheduled_at for r in results))
            sent.append((at, CheckBatch("p", region, at, tuple(results))))
        return self._log(sent)

    def _log(self, sent: list[tuple[int, CheckBatch]]) -> list[LogEvent]:
        log = sorted([*sent, *self.events], key=lambda item: item[0])
        return [*(event for _, event in log), Tick(self.end)]


@st.composite
def terms(draw: st.DrawFn, interval_ms: int) -> Terms:
    """Any policy."""
    return Terms(
        interval_ms=interval_ms,
        silence_ms=max(2 * interval_ms, 90_000),
        confirmations=draw(st.integers(1, 4)),
        recoveries=draw(st.integers(1, 3)),
        quorum=draw(st.sampled_from((0, 0, 1, 2, 3))),
        reopen_gap_ms=draw(st.sampled_from((0, 60_000, 120_000, 600_000))),
        flap_start=draw(st.sampled_from((0, 15, 30, 50))),
        flap_stop=draw(st.sampled_from((5, 20, 25))),
    )


@st.composite
def histories(draw: st.DrawFn, monitors: int = 1) -> History:
    """Half an hour to two of one or a few monitors; some are deleted then, and named again long after."""
    results: list[tuple[str, CheckResult]] = []
    events: list[tuple[int, LogEvent]] = []
    policies: dict[tuple[str, int], Terms] = {}
    length_ms = draw(st.sampled_from((600_000, 1_800_000, 3_600_000, 7_200_000)))
    end = BEGIN + length_ms + 1_200_000
    gone_ms = draw(st.sampled_from((0, 0, 0, 5_400_000, 90_000_000)))
    for number in range(draw(st.integers(1, monitors))):
        name = f"default/m{number}"
        interval_ms = draw(st.sampled_from(INTERVALS_MS))
        versions = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
        policies |= {(name, version): draw(terms(interval_ms)) for version in versions}
        for region in ("ams", "lon", "nyc", "sgp")[: draw(st.integers(1, 4))]:
            results += [(region, r) for r in draw(_results(name, interval_ms, length_ms, sorted(versions)))]
        events += draw(_decisions(name, length_ms))
        if gone_ms:
            results += [("ams", r) for r in draw(_results(name, interval_ms, 600_000, sorted(versions), end + gone_ms))]
            events += draw(_deletion(name, end, gone_ms))
    every_ms = draw(st.sampled_from((length_ms // 200, length_ms // 50, 130_000, 1_500_000, 20_000_000)))
    events += [(at, Tick(at)) for at in range(BEGIN + draw(st.integers(0, every_ms)), end, every_ms)]
    events += [(at, Tick(at)) for at in range(end, end + gone_ms, 500_000)]
    return History(results, events, policies, end + gone_ms + 1_800_000)


@st.composite
def days(draw: st.DrawFn) -> History:
    """Days of a monitor that is checked seldom, by probes that are never in doubt.

    The message of a silence tells the newest doubt of any region, and a correction does not read on which day that was;
    nor which version was the highest that had been named before, where a later result names a lower one.
    """
    name, interval_ms = "default/m0", draw(st.sampled_from((1_800_000, 1_800_000, 7_200_000, 21_600_000)))
    length_ms = max(4 * 86_400_000, 100 * interval_ms)
    versions = draw(st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True))
    quorum, gap_ms = draw(st.integers(0, 2)), draw(st.sampled_from((0, interval_ms, 7_200_000, 36_000_000)))
    policies = {
        (name, version): replace(draw(terms(interval_ms)), quorum=quorum, reopen_gap_ms=gap_ms) for version in versions
    }
    results: list[tuple[str, CheckResult]] = []
    for region in ("ams", "lon")[: draw(st.integers(1, 2))]:
        found = draw(_results(name, interval_ms, length_ms, sorted(versions)))
        results += [(region, result) for result in found if result.outcome is not Outcome.UNKNOWN]
    end = BEGIN + length_ms + 1_200_000
    every_ms = draw(st.sampled_from((3 * interval_ms // 4, interval_ms, 4 * interval_ms)))
    ticks = range(BEGIN + draw(st.integers(0, every_ms)), end, every_ms)
    events = [*draw(_decisions(name, length_ms)), *((at, Tick(at)) for at in ticks)]
    return History(results, events, policies, end + 43_200_000)


@st.composite
def _deletion(draw: st.DrawFn, name: str, at: int, gone_ms: int) -> list[tuple[int, LogEvent]]:
    """The monitor is deleted, and perhaps made anew: sooner or later than its results come, or never."""
    events: list[tuple[int, LogEvent]] = [(at, MonitorRevised(name, 20, at, "deleted"))]
    back = at + gone_ms + draw(st.sampled_from((-400_000, 0, 300_000)))
    if draw(st.booleans()):
        events.append((back, MonitorRevised(name, 21, back, draw(st.sampled_from(("active", "paused"))))))
    if draw(st.booleans()):
        events.append((back, MaintenanceRevised("w3", name, back, back, back + 200_000, 4)))
    return events


@st.composite
def _results(
    draw: st.DrawFn, name: str, interval_ms: int, length_ms: int, versions: list[int], begin: int = BEGIN
) -> list[CheckResult]:
    offset = draw(st.integers(0, interval_ms - 1))
    patterns = draw(st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=6))
    random = Random(draw(st.integers(0, 1_000)))
    slots = "".join(patterns)
    rounds = min(length_ms // interval_ms, len(slots) * 2)
    results = []
    for slot in range(rounds):
        kind = slots[slot % len(slots)]
        if kind == "-" or random.random() < 0.03:
            continue
        if random.random() < 0.05:
            kind = random.choice("ugd?")
        version = versions[min(slot * len(versions) // max(rounds, 1), len(versions) - 1)]
        if random.random() < 0.1:
            version = random.choice(versions)
        at = begin + offset + slot * interval_ms + random.choice((0, 0, 0, 1, 777))
        results.append(_result(name, at, version, OUTCOMES[kind], random))
        if random.random() < 0.02:
            results.append(_result(name, at, version, OUTCOMES[random.choice("ugd")], random))
    return results


def _result(name: str, at: int, version: int, outcome: Outcome, random: Random) -> CheckResult:
    failing = outcome is not Outcome.UP
    parts = random.choice(((), ("db",), ("db", "cache"))) if random.random() < 0.3 else ()
    return CheckResult(
        monitor=name,
        scheduled_at=at,
        started_at=at + random.randrange(5),
        monitor_version=version,
        outcome=outcome,
        reason=random.choice((Reason.TIMEOUT, Reason.HTTP_STATUS)) if failing else Reason.OK,
        total_us=random.choice((0, 900, 1_000, 1_700, 65_000, 9_000_000)),
        ttfb_us=random.randrange(1_000),
        overloaded=random.random() < 0.05,
        message=f"it failed at {at % 7}" if failing else "",
        components=tuple(Component(part, outcome if random.random() < 0.7 else Outcome.UP) for part in parts),
    )


@st.composite
def _decisions(draw: st.DrawFn, name: str, length_ms: int) -> list[tuple[int, LogEvent]]:
    """Pauses, deletions, maintenances; some told late, some told twice."""
    events: list[tuple[int, LogEvent]] = []
    moments = st.integers(0, length_ms // 1_000).map(lambda second: BEGIN + second * 1_000)
    for number, at in enumerate(sorted(draw(st.lists(moments, max_size=4)))):
        state = draw(st.sampled_from(("active", "paused", "active", "deleted")))
        event = MonitorRevised(name, number, at, state)
        told_at = at + draw(st.sampled_from((0, 0, 3_000, 400_000)))
        events += [(told_at, event)] * draw(st.sampled_from((1, 1, 2)))
    for version, at in enumerate(draw(st.lists(moments, max_size=3).map(sorted))):
        start = at + draw(st.sampled_from((-300_000, 0, 60_000)))
        until = start + draw(st.sampled_from((0, 90_000, 600_000)))
        window = draw(st.sampled_from(("w1", "w2")))
        events.append((at, MaintenanceRevised(window, name, at, start, until, version)))
    return events
