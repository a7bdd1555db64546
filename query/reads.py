"""What pages and badges need from ClickHouse: one set of queries for all pages together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeVar

import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.logs import get_logger
from infra.stored import incident_of
from query.metrics import LEFT_OUT
from query.uptime import Spans
from schemas.enums import Outcome, Reason, Status
from schemas.events import Incident

ROWS_AT_ONCE: Final = 2_000
MAX_EXECUTION_S: Final = 20
READ_LIMIT_S: Final = 40
"""For the whole answer: a ClickHouse that accepts and then says nothing is away too."""

ItemT = TypeVar("ItemT")
_log = get_logger(__name__)


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
    """The queries of `query/sql`. All raise clickhouse_connect's errors, TimeoutError; others run between the rows."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    def current(self) -> AsyncIterator[tuple[str, Current]]:
        """The status of every monitor."""
        return self._read("current_status", _current)

    def components(self) -> AsyncIterator[tuple[str, ComponentState]]:
        """The components of every monitor, in the order of their names."""
        return self._read("components", _component)

    def hours(self, since: int) -> AsyncIterator[tuple[str, Bucket]]:
        """The hours of every monitor that begin at `since` (int ms) or later."""
        return self._read("uptime_hours", _bucket, since=since // 1000)

    def days(self, since: int) -> AsyncIterator[tuple[str, Bucket]]:
        """The days of every monitor that begin at `since` (int ms) or later."""
        return self._read("uptime_days", _bucket, since=since // 1000)

    def latency(self, since: int) -> AsyncIterator[tuple[str, Latency]]:
        """The latency of every monitor over the hours from `since` (int ms) on."""
        return self._read("latency", _latency, since=since // 1000)

    def incidents(self, since: int) -> AsyncIterator[Incident]:
        """Incidents of every monitor that are open, or changed at `since` (int ms) or later; the newest first."""
        return self._read("incidents", incident_of, since=since)

    async def _read(self, name: str, parse: Callable[[Any], ItemT], **parameters: int) -> AsyncIterator[ItemT]:
        limits = {"max_execution_time": MAX_EXECUTION_S}
        asking = self._client.query(_sql(name), parameters=parameters, settings=limits)
        result = await asyncio.wait_for(asking, READ_LIMIT_S)
        for number, row in enumerate(result.result_rows):
            try:
                item = parse(row)
            except (ValueError, msgspec.MsgspecError) as error:  # a newer writer's word, for example
                LEFT_OUT.labels(name).inc()
                _log.error("row cannot be read; it is left out", query=name, of=row[0], error=str(error))
            else:
                yield item
            if number % ROWS_AT_ONCE == ROWS_AT_ONCE - 1:
                await asyncio.sleep(0)


@cache
def _sql(name: str) -> str:
    return files("query").joinpath("sql", f"{name}.sql").read_text("utf-8")


def _current(row: Any) -> tuple[str, Current]:
    monitor, version, status, since, known_until, reason, message = row
    return monitor, Current(version, Status(status), since, known_until, Reason(reason), message)


def _component(row: Any) -> tuple[str, ComponentState]:
    monitor, name, outcome, message, at = row
    return monitor, ComponentState(name, Outcome(outcome), message, at)


def _bucket(row: Any) -> tuple[str, Bucket]:
    monitor, begin_s, known_until, *spans_ms = row
    return monitor, Bucket(begin_s * 1000, known_until, tuple(spans_ms))


def _latency(row: Any) -> tuple[str, Latency]:
    monitor, checks, quantiles = row
    return monitor, Latency(checks, *quantiles)
