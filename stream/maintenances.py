"""What `maintenances` says: the newest record of each, and which monitors any of its records has named."""

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter

from pydantic import ValidationError

from infra.kafka import LogRecord, TableReader
from infra.logs import get_logger
from infra.settings import Settings
from schemas.monitors import Maintenance, Record, monitor_id
from schemas.topics import MAINTENANCES
from stream import metrics

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """A record of `maintenances`: from `starts_at` to `ends_at` its monitors are in maintenance.

    `monitors` are those that it names, `left_out` those that an earlier record named; `document` is JSON.
    """

    id: str
    version: int
    at: int
    by: str
    starts_at: int
    ends_at: int
    monitors: frozenset[str]
    left_out: frozenset[str]
    document: str


class Maintenances:
    """Follows the topic; `changed` is set at every record."""

    def __init__(self, settings: Settings, changed: asyncio.Event) -> None:
        self._changed = changed
        self._plans: list[Plan] = []
        self._named: dict[str, frozenset[str]] = {}
        self._reader = TableReader(settings, MAINTENANCES, self._take)

    async def run(self) -> None:
        """Follow `maintenances` until cancelled."""
        await self._reader.run()

    async def caught_up(self) -> None:
        """Returns when all that stood in `maintenances` at the start was read."""
        await self._reader.caught_up.wait()

    def after(self, version: int) -> list[Plan]:
        """The records above a version, in order."""
        return self._plans[bisect_right(self._plans, version, key=attrgetter("version")) :]

    def _take(self, record: LogRecord) -> None:
        self._changed.set()
        try:
            plan = _plan(record, self._named.get(record.key, frozenset()))
        except ValidationError as error:
            metrics.DEAD_LETTERS.labels("unreadable_maintenance").inc()
            _log.error("a maintenance cannot be read", maintenance=record.key, error=str(error)[:500])
            return
        self._named[plan.id] = plan.monitors | plan.left_out
        self._plans.append(plan)


def _plan(record: LogRecord, named: frozenset[str]) -> Plan:
    kept = Record[Maintenance].from_log(record.value) if record.value is not None else None
    document = kept.document if kept is not None else None
    if kept is None or document is None:
        at, by = (kept.at, kept.by) if kept is not None else (record.timestamp, "")
        return Plan(record.key, record.offset, at, by, at, at, frozenset(), named, "")
    monitors = frozenset(monitor_id(kept.workspace, slug) for slug in document.monitors)
    return Plan(
        record.key,
        record.offset,
        kept.at,
        kept.by,
        document.starts_at,
        document.holds_until,
        monitors,
        named - monitors,
        document.model_dump_json(by_alias=True, exclude_unset=True),
    )
