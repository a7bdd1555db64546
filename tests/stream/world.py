"""Kafka and ClickHouse in memory, for a worker that may be struck down at any of its steps."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from infra.kafka import partition_of
from infra.stored import INCIDENT_FIELDS
from schemas.enums import Outcome
from schemas.events import CheckBatch, CheckResult, LogEvent, Tick, encode
from stream.dead_letters import LogRecord
from stream.folds import Terms
from stream.outbox import Message
from stream.partition import Delivery
from stream.pasts import CHANGE_FIELDS, ORDER_FIELDS, RESULT_FIELDS, Pasts
from stream.sink import Insert
from stream.snapshots import Epoch, MonitorState, Position
from stream.worker import Worker

LOG: Final = "cluster/check-results"
IDENTITIES: Final = {
    "check_results": ("monitor", "region", "scheduled_at"),
    "status_changes": ("monitor", "at"),
    "current_status": ("monitor",),
    "incidents": ("monitor", "id"),
    "components": ("monitor", "region", "component"),
    "uptime_buckets": ("monitor", "step", "bucket"),
    "latency_hourly": ("monitor", "region", "bucket"),
    "corrections": ("monitor", "id"),
}
VERSIONS: Final = {"corrections": "stage"}
"""What decides which row of an identity counts, where that is not `version`."""
START_AT: Final = 1_750_000_000_000


class Struck(Exception):
    """The process is dead."""


class World:
    """What outlives a worker. `strike_after` steps from now the worker dies."""

    def __init__(self, log: dict[int, list[LogRecord]], monitors: Iterable[str] = ()) -> None:
        self.log = log
        self.monitors = set(monitors)
        self.rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table: {} for table in IDENTITIES}
        self.known_positions: dict[int, Position] = {}
        self.known_states: dict[tuple[int, str], MonitorState] = {}
        self.sent: list[Message] = []
        self.committed: dict[int, int] = dict.fromkeys(log, 0)
        self.cursor: dict[int, int] = {}
        self.number = 1
        """Of the epoch."""
        self.strike_after: int | None = None
        self.answers: asyncio.Event | None = None
        """Where there is one, the past is told when it is set."""
        self.asked = False
        self.forgotten_rewinds = 0
        """So often the log is asked to go back and does not."""

    def step(self) -> None:
        """One thing that reaches the outside; the last one may still happen, or not."""
        if self.strike_after is None:
            return
        self.strike_after -= 1
        if self.strike_after < 0:
            raise Struck

    def worker(self) -> Worker:
        """A process that starts: deliveries begin at what was committed."""
        self.cursor = dict(self.committed)
        return Worker(self, self, self, self, self, MemoryPasts(self))  # type: ignore[arg-type]

    def deliver(self, count: int) -> list[Delivery]:
        """The next records of every partition."""
        deliveries = []
        for partition, records in self.log.items():
            start = self.cursor[partition]
            deliveries += [Delivery(record, record) for record in records[start : start + count]]
            self.cursor[partition] = min(start + count, len(records))
        return deliveries

    @property
    def exhausted(self) -> bool:
        """Whether everything was delivered."""
        return all(self.cursor[partition] >= len(records) for partition, records in self.log.items())

    # the log

    async def epoch(self) -> Epoch:
        return Epoch(self.number, LOG, 1, 1, len(self.log))

    async def bounds(self, partition: int) -> tuple[int, int]:
        records = self.log[partition]
        return records[0].offset, records[-1].offset + 1

    async def rewind(self, partition: int, offset: int) -> None:
        if self.forgotten_rewinds:
            self.forgotten_rewinds -= 1
            return
        self.cursor[partition] = offset - self.log[partition][0].offset

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.step()
            record = delivery.record
            self.committed[record.partition] = max(self.committed[record.partition], record.offset + 1)

    # the snapshots

    async def position(self, log: str, partition: int) -> Position | None:
        return self.known_positions.get(partition)

    async def states(self, partition: int) -> AsyncIterator[list[tuple[str, bytes]]]:
        yield [(state.monitor, state.state) for state in self.known_states.values() if state.partition == partition]

    async def save_states(self, states: Iterable[MonitorState]) -> None:
        for state in states:
            self.step()
            known = self.known_states.get((state.partition, state.monitor))
            if known is None or known.version <= state.version:
                self.known_states[state.partition, state.monitor] = state

    async def save_positions(self, log: str, positions: Iterable[Position]) -> None:
        for position in positions:
            self.step()
            known = self.known_positions.get(position.partition)
            if known is None or known.version <= position.version:
                self.known_positions[position.partition] = position

    # the sink

    async def write(self, *inserts: Insert) -> None:
        for insert in inserts:
            self.step()
            for row in zip(*insert.columns, strict=True):
                self._replace(insert.table, dict(zip(insert.names, row, strict=True)))

    def _replace(self, table: str, row: dict[str, Any]) -> None:
        identity = tuple(row[name] for name in IDENTITIES[table])
        known, version = self.rows[table].get(identity), VERSIONS.get(table, "version")
        if known is None or known[version] <= row[version]:
            self.rows[table][identity] = row

    # the outbox

    async def send(self, messages: Sequence[Message]) -> list[int]:
        for message in messages:
            self.step()
            self.sent.append(message)
        return [0] * len(messages)

    # the terms

    def get(self, monitor: str, version: int) -> Terms | None:
        return Terms() if monitor in self.monitors else None

    async def find(self, wanted: set[tuple[str, int]]) -> set[tuple[str, int]]:
        return {(monitor, version) for monitor, version in wanted if monitor not in self.monitors}

    def knows(self, monitor: str) -> bool:
        return monitor in self.monitors


class MemoryPasts(Pasts):
    """The queries of `stream/sql/past_*.sql` over the rows of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._sink = world  # type: ignore[assignment]

    async def _rows(self, name: str, parse: Callable[[Sequence[Any]], Any], **parameters: Any) -> list[Any]:
        self._world.step()
        self._world.asked = True
        if self._world.answers is not None:
            await self._world.answers.wait()
        return [parse(row) for row in getattr(self, name)(**parameters)]

    def _of(self, table: str, monitor: str, order: str) -> list[dict[str, Any]]:
        rows = (row for row in self._world.rows[table].values() if row["monitor"] == monitor)
        return sorted(rows, key=lambda row: row[order])

    def correction(self, monitor: str, id: str) -> list[Any]:  # noqa: A002 - the query's parameter
        return [(r["version"], r["before"]) for r in self._of("corrections", monitor, "at") if r["id"] == id]

    def past_orders(self, monitor: str, version: int, id: str) -> list[Any]:  # noqa: A002 - the query's parameter
        carried_out = (row for row in self._of("corrections", monitor, "version") if row["id"] != id)
        return [tuple(row[name] for name in ORDER_FIELDS) for row in carried_out if row["version"] < version]

    def past_revisions(self, monitor: str, revised: int) -> list[Any]:
        return []

    def past_maintenances(self, monitor: str, maintained: int) -> list[Any]:
        return []

    def past_incidents(self, monitor: str, since: int) -> list[Any]:
        found = []
        for row in self._of("incidents", monitor, "opened_at"):
            taken_away = row["state"] != "annulled" or any(entry[4] for entry in row["entries"])
            if taken_away and (row["state"] == "open" or (row["resolved_at"] or row["opened_at"]) >= since):
                values = row | {"resolved_at": row["resolved_at"] or 0}
                found.append((*(values[name] for name in INCIDENT_FIELDS), *(row[name] for name in _LAST_FIELDS)))
        return found

    def past_changes(self, monitor: str, since: int) -> list[Any]:
        standing = [row for row in self._of("status_changes", monitor, "at") if not row["withdrawn"]]
        lasted = max((row["at"] for row in standing if row["at"] <= since), default=0)
        return [tuple(row[name] for name in CHANGE_FIELDS) for row in standing if row["at"] >= lasted]

    def past_spans(self, monitor: str, since: int, until: int) -> list[Any]:
        names = ("up_ms", "degraded_ms", "down_ms", "unknown_ms", "maintenance_ms", "paused_ms")
        hours = [
            row
            for row in self._of("uptime_buckets", monitor, "bucket")
            if row["step"] == "hour" and since - since % 3_600_000 <= row["bucket"] * 1000 < until
        ]
        return [tuple(sum(row[name] for row in hours) for name in names)]

    def past_results(self, monitor: str, since: int, until: int, too_late: int, spans: list[Any]) -> list[Any]:
        return [
            (
                row["region"],
                row["scheduled_at"],
                row["started_delay_ms"],
                *(row[n] for n in RESULT_FIELDS),
                row["detail"],
            )
            for row in self._of("check_results", monitor, "scheduled_at")
            if since <= row["scheduled_at"] < until
            and (not row["late"] or (row["version"] > too_late and any(a <= row["scheduled_at"] < b for a, b in spans)))
        ]


_LAST_FIELDS: Final = ("failures", "evidence", "entries")


def log_of(events: Iterable[tuple[int, LogEvent | bytes]], partitions: int) -> dict[int, list[LogRecord]]:
    """Events by partition, as Kafka keeps them."""
    log: dict[int, list[LogRecord]] = {number: [] for number in range(partitions)}
    for partition, event in events:
        value = event if isinstance(event, bytes) else encode(event)
        log[partition].append(LogRecord(partition, len(log[partition]), _logged_at(event), value))
    return log


def _logged_at(event: LogEvent | bytes) -> int:
    """As a broker whose clock agrees with the senders'."""
    if isinstance(event, CheckBatch):
        return event.sent_at
    return START_AT if isinstance(event, bytes) else event.at


def result(monitor: str, at: int, outcome: Outcome = Outcome.UP, version: int = 0) -> CheckResult:
    """A result that was taken in time."""
    return CheckResult(monitor, at, at, version, outcome, total_us=1_000)


def history(
    monitors: Sequence[str], slots: int, outcomes: Sequence[Outcome], partitions: int
) -> Iterator[tuple[int, LogEvent]]:
    """Every monitor checked once a minute; the outcomes in turn, each monitor at another place of them."""
    for slot in range(slots):
        at = START_AT + slot * 60_000
        found: dict[int, list[CheckResult]] = {}
        for index, monitor in enumerate(monitors):
            outcome = outcomes[(slot + 3 * index) % len(outcomes)]
            found.setdefault(partition_of(monitor, partitions), []).append(result(monitor, at, outcome))
        for partition in range(partitions):
            if partition in found:
                yield partition, CheckBatch("probe", "local", at + 50, tuple(found[partition]))
            yield partition, Tick(at + 1_000)
