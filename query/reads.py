"""What pages and badges need from ClickHouse: one set of queries for all pages together."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient

from query.uptime import Spans
from schemas.enums import Outcome, Reason, Status
from schemas.events import Evidence, Failure, Incident

ROWS_AT_ONCE: Final = 2_000
LIMITS: Final = {"max_execution_time": 20}

_failures: Final = msgspec.json.Decoder(tuple[Failure, ...])
_evidence: Final = msgspec.json.Decoder(Evidence)


@dataclass(frozen=True, slots=True)
class Current:
    """What a monitor is, from `since` on and at least until `known_until` (int ms); the highest version counts."""

    version: int
    status: Status
    since: int
    known_until: int
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class ComponentState:
    """What a component of a health document last was, and since when (int ms)."""

    name: str
    outcome: Outcome
    message: str
    at: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles of answered checks, in milliseconds."""

    checks: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """Milliseconds of each status from `begin` on, counted up to `known_until` (int ms)."""

    begin: int
    known_until: int
    spans_ms: Spans


class Reads:
    """The queries of `query/sql`. All raise clickhouse_connect's errors; long answers let others run between rows."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def current(self) -> AsyncIterator[tuple[str, Current]]:
        """The status of every monitor."""
        async for monitor, version, status, since, known_until, reason, message in self._rows("current_status"):
            yield monitor, Current(version, Status(status), since, known_until, Reason(reason), message)

    async def components(self) -> AsyncIterator[tuple[str, ComponentState]]:
        """The components of every monitor, in the order of their names."""
        async for monitor, name, outcome, message, at in self._rows("components"):
            yield monitor, ComponentState(name, Outcome(outcome), message, at)

    async def hours(self, since: int) -> AsyncIterator[tuple[str, Bucket]]:
        """The hours of every monitor that begin at `since` (int ms) or later."""
        async for monitor, begin_s, known_until, *spans in self._rows("uptime_hours", since=since // 1000):
            yield monitor, Bucket(begin_s * 1000, known_until, tuple(spans))

    async def days(self, since: int) -> AsyncIterator[tuple[str, Bucket]]:
        """The days of every monitor that begin at `since` (int ms) or later."""
        async for monitor, begin_s, known_until, *spans in self._rows("uptime_days", since=since // 1000):
            yield monitor, Bucket(begin_s * 1000, known_until, tuple(spans))

    async def latency(self, since: int) -> AsyncIterator[tuple[str, Latency]]:
        """The latency of every monitor over the hours from `since` (int ms) on."""
        async for monitor, checks, quantiles in self._rows("latency", since=since // 1000):
            yield monitor, Latency(checks, *quantiles)

    async def incidents(self, since: int) -> AsyncIterator[Incident]:
        """Incidents of every monitor that are open, or changed at `since` (int ms) or later; the newest first."""
        async for row in self._rows("incidents", since=since):
            yield _incident(row)

    async def _rows(self, name: str, **parameters: int) -> AsyncIterator[Any]:
        result = await self._client.query(_sql(name), parameters=parameters, settings=LIMITS)
        for number, row in enumerate(result.result_rows):
            yield row
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                await asyncio.sleep(0)


@cache
def _sql(name: str) -> str:
    return files("query").joinpath("sql", f"{name}.sql").read_text("utf-8")


def _incident(row: Any) -> Incident:
    *_, failures, evidence, entries = row
    return msgspec.convert(
        dict(zip(_INCIDENT_FIELDS, row, strict=False))
        | {
            "failures": _failures.decode(failures) if failures else (),
            "evidence": _evidence.decode(evidence) if evidence else None,
            "entries": list(_entries(entries)),
        },
        Incident,
    )


_INCIDENT_FIELDS: Final = (
    "monitor",
    "id",
    "version",
    "state",
    "severity",
    "opened_at",
    "decided_at",
    "resolved_at",
    "reason",
    "message",
    "regions",
    "components",
)


def _entries(rows: list[Any]) -> Iterator[dict[str, Any]]:
    for row in rows:
        kind, at, status, message, by = row.values() if isinstance(row, dict) else row
        yield {"kind": kind, "at": at, "status": status, "message": message, "by": by}
