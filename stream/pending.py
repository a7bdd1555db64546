"""Facts on their way to ClickHouse: what is urgent goes at once, the rest when it is worth an insert.

Of an identity only the highest version is kept: a replay after a rebalance may bring lower ones again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Final, Protocol, TypeVar

from schemas.events import Incident, StatusChange
from stream import facts_out, metrics, rows
from stream.folds import ComponentStatus, Correction, CurrentStatus, Facts, LatencyHour, UptimeBucket
from stream.outbox import Message
from stream.sink import Insert

RESULTS_WITHIN_S: Final = 10.0
RESULTS_AT_ONCE: Final = 20_000
TOTALS_WITHIN_S: Final = 10.0
MAX_RESULTS: Final = 60_000
TOTALS_AT_ONCE: Final = 100_000
"""After the stream or the probes stood still a tick tells the hours of all monitors."""
MAX_TOTALS: Final = 200_000


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


V = TypeVar("V", bound=_Versioned)
K = TypeVar("K")


@dataclass(slots=True)
class Batch:
    """What one round makes durable: `urgent`, then `messages`, then `others`, then what says that it is done."""

    urgent: list[Insert] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    others: list[Insert] = field(default_factory=list)
    last: list[Insert] = field(default_factory=list)
    sent_at: list[int] = field(default_factory=list)

    def observe_visible(self) -> None:
        """The statuses can be read now."""
        now_ms = time() * 1000
        for sent_at in self.sent_at:
            metrics.VISIBLE_SECONDS.observe(max(0.0, now_ms - sent_at) / 1000)


class _Decisions:
    """Status changes and incidents, and the statuses that came with them."""

    def __init__(self) -> None:
        self.changes: dict[tuple[str, int], StatusChange] = {}
        self.incidents: dict[tuple[str, str], Incident] = {}
        self.current: dict[str, CurrentStatus] = {}
        self.corrections: list[Correction] = []
        self.messages: list[Message] = []
        self.sent_at: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.changes or self.incidents or self.corrections or self.messages)


class _Totals:
    """What grows with every result; the newest is enough."""

    def __init__(self) -> None:
        self.current: dict[str, CurrentStatus] = {}
        self.uptime: dict[tuple[str, str, int], UptimeBucket] = {}
        self.latency: dict[tuple[str, str, int], LatencyHour] = {}
        self.components: dict[tuple[str, str, str], ComponentStatus] = {}

    def __len__(self) -> int:
        return len(self.current) + len(self.uptime) + len(self.latency) + len(self.components)


class Pending:
    """Grows by `add`; `take` hands over what is due."""

    def __init__(self) -> None:
        self._decisions = _Decisions()
        self._totals = _Totals()
        self._results = rows.Results()
        self._results_due_at = self._totals_due_at = float("inf")

    @property
    def urgent(self) -> bool:
        """Whether something waits that must not wait."""
        return bool(self._decisions) or len(self._results) >= RESULTS_AT_ONCE or len(self._totals) >= TOTALS_AT_ONCE

    @property
    def full(self) -> bool:
        """Whether folding has to wait for writing."""
        return len(self._results) >= MAX_RESULTS or len(self._totals) >= MAX_TOTALS

    def wait_s(self, longest_s: float) -> float:
        """How long nothing becomes due, at most `longest_s`."""
        due_at = min(self._results_due_at, self._totals_due_at)
        return min(max(0.0, due_at - monotonic()), longest_s)

    def add(self, facts: Facts, sent_at: int | None) -> None:
        """`sent_at`: when the probe sent the batch that made them, milliseconds."""
        now = monotonic()
        if facts.results or facts.late:
            self._add_results(facts, now)
        self._decisions.corrections += facts.corrections
        if facts.changes or facts.incidents:
            self._add_decisions(facts, sent_at)
        else:
            _keep_newest(self._totals.current, facts.current, lambda fact: fact.monitor)
        if facts.current or facts.uptime or facts.latency or facts.components:
            self._add_totals(facts, now)

    def add_messages(self, messages: Iterable[Message]) -> None:
        """To be sent before what they are about is acknowledged."""
        self._decisions.messages.extend(messages)

    def take(self, everything: bool = False) -> Batch:
        """What is due, or all there is."""
        now = monotonic()
        batch = Batch()
        decisions, self._decisions = self._decisions, _Decisions()
        batch.urgent = [
            rows.of_changes(decisions.changes.values()),
            rows.of_incidents(decisions.incidents.values()),
            rows.of_current(decisions.current.values()),
        ]
        batch.messages = decisions.messages + facts_out.messages_of(
            decisions.changes.values(), decisions.incidents.values()
        )
        batch.sent_at = decisions.sent_at
        batch.last = [rows.of_correction(c.order, c.version, c.before, c.after) for c in decisions.corrections]
        if everything or now >= self._results_due_at or len(self._results) >= RESULTS_AT_ONCE:
            results, self._results = self._results, rows.Results()
            self._results_due_at = float("inf")
            batch.others.append(results.insert())
        if everything or batch.last or now >= self._totals_due_at or len(self._totals) >= TOTALS_AT_ONCE:
            batch.others += self._take_totals()
        return batch

    def _take_totals(self) -> list[Insert]:
        totals, self._totals = self._totals, _Totals()
        self._totals_due_at = float("inf")
        return [
            rows.of_current(totals.current.values()),
            rows.of_uptime(totals.uptime.values()),
            rows.of_latency(totals.latency.values()),
            rows.of_components(totals.components.values()),
        ]

    def _add_results(self, facts: Facts, now: float) -> None:
        if not len(self._results):
            self._results_due_at = now + RESULTS_WITHIN_S
        self._results.add(facts.results, facts.region, facts.version, late=False)
        self._results.add(facts.late, facts.region, facts.late_version, late=True)
        metrics.LATE.inc(len(facts.late))

    def _add_decisions(self, facts: Facts, sent_at: int | None) -> None:
        decisions = self._decisions
        _keep_newest(decisions.changes, facts.changes, lambda fact: (fact.monitor, fact.at))
        _keep_newest(decisions.incidents, facts.incidents, lambda fact: (fact.monitor, fact.id))
        _keep_newest(decisions.current, facts.current, lambda fact: fact.monitor)
        metrics.STATUS_CHANGES.inc(len(facts.changes))
        if sent_at is not None:
            decisions.sent_at.append(sent_at)

    def _add_totals(self, facts: Facts, now: float) -> None:
        totals = self._totals
        _keep_newest(totals.uptime, facts.uptime, lambda fact: (fact.monitor, fact.step, fact.bucket))
        _keep_newest(totals.latency, facts.latency, lambda fact: (fact.monitor, fact.region, fact.bucket))
        _keep_newest(totals.components, facts.components, lambda fact: (fact.monitor, fact.region, fact.component))
        if totals and self._totals_due_at == float("inf"):
            self._totals_due_at = now + TOTALS_WITHIN_S


def _keep_newest(kept: dict[K, V], facts: list[V], identity: Callable[[V], K]) -> None:
    for fact in facts:
        key = identity(fact)
        known = kept.get(key)
        if known is None or known.version <= fact.version:
            kept[key] = fact
