"""Keeps the facts fresh: reads ClickHouse again and again, and follows what the stream tells meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.kafka import RECONNECT_MS, connection_options
from infra.logs import get_logger
from infra.settings import Settings
from query.connections import RETRY_S, Away, Connection
from query.facts import Facts
from query.metrics import LEFT_OUT
from query.reads import Reads
from query.uptime import DAY_MS, DAYS, HOUR_MS, HOURS
from schemas.events import UNREADABLE, Incident, StatusChange, decode
from schemas.topics import INCIDENTS, STATUS_CHANGES

PRESENT_EVERY_S: Final = 5.0
LATENCY_EVERY_S: Final = 20.0
HISTORY_EVERY_S: Final = 300.0
AFTER_EVENT_S: Final = 0.3

ItemT = TypeVar("ItemT")
_log = get_logger(__name__)


class _Due:
    """Something that is to be done every so often, and again soon when it failed."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next_s = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._next_s

    def begins(self) -> None:
        """What is hurried from now on comes too late for this time, and makes it due once more."""
        self._next_s = time.monotonic() + self._every_s

    def hurry(self) -> None:
        self._next_s = 0.0


class Refresh:
    """Two loops: `read` asks ClickHouse (the present often, history seldom), `follow` listens to the stream."""

    def __init__(self, settings: Settings, facts: Facts, clickhouse: Connection[Any]) -> None:
        self.facts = facts
        self._settings = settings
        self._clickhouse = clickhouse
        self._wanted = asyncio.Event()
        self._latency = _Due(LATENCY_EVERY_S)
        self._history = _Due(HISTORY_EVERY_S)

    async def read(self) -> None:
        """Read until cancelled; while ClickHouse is away, try again every second."""
        await self._clickhouse.opened.wait()
        while True:
            pause_s = PRESENT_EVERY_S
            try:
                await self.read_once()
            except (ClickHouseError, Away, OSError) as error:
                told = str(error) or "it takes too long"
                self.facts.trouble = f"ClickHouse cannot be read: {told}"
                self._latency.hurry()
                self._history.hurry()
                _log.warning("cannot read; what is shown gets older", error=told)
                pause_s = RETRY_S
            await self._pause(pause_s)

    async def read_once(self) -> None:
        """Read what is due. Raises clickhouse_connect's errors, Away, TimeoutError."""
        now = int(time.time() * 1000)
        reads = Reads(self._clickhouse.get())
        await self._read_present(reads, now)
        if self._latency.is_due():
            self._latency.begins()
            since = _floor(now, HOUR_MS) - (HOURS - 1) * HOUR_MS
            self.facts.take_latencies(dict(await _collected(reads.latency(since))))
        if self._history.is_due():
            self._history.begins()
            await self._read_history(reads, now)
        self.facts.read_at = now
        self.facts.trouble = ""

    async def follow(self) -> None:
        """Take in status changes and incidents as they are told, until cancelled."""
        while True:
            consumer = AIOKafkaConsumer(
                STATUS_CHANGES.name,
                INCIDENTS.name,
                **connection_options(self._settings),
                group_id=None,
                auto_offset_reset="latest",
                fetch_max_wait_ms=500,
                metadata_max_age_ms=5_000,
                retry_backoff_ms=RECONNECT_MS,
            )
            try:
                await consumer.start()
                async for record in consumer:
                    self._take(record)
            except (KafkaError, OSError) as error:
                _log.warning("kafka cannot be reached; changes show at the next read", error=str(error))
                await asyncio.sleep(RETRY_S)
            finally:
                await consumer.stop()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until shortly after an event that tells too little by itself."""
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
            await asyncio.sleep(AFTER_EVENT_S)
        except TimeoutError:
            return
        finally:
            self._wanted.clear()

    async def _read_present(self, reads: Reads, now: int) -> None:
        async for monitor, current in reads.current():
            self.facts.take_current(monitor, current)
        self.facts.take_components(await _collected(reads.components()))
        async for monitor, bucket in reads.days(_floor(now, DAY_MS) - DAY_MS):
            self.facts.take_day(monitor, bucket)
        async for monitor, bucket in reads.hours(_floor(now, HOUR_MS) - HOUR_MS):
            self.facts.take_hour(monitor, bucket)
        async for incident in reads.incidents(now - HOUR_MS):
            self.facts.take_incident(incident)

    async def _read_history(self, reads: Reads, now: int) -> None:
        async for monitor, bucket in reads.days(_floor(now, DAY_MS) - (DAYS - 1) * DAY_MS):
            self.facts.take_day(monitor, bucket)
        async for monitor, bucket in reads.hours(_floor(now, HOUR_MS) - (HOURS - 1) * HOUR_MS):
            self.facts.take_hour(monitor, bucket)
        async for incident in reads.incidents(now - DAYS * DAY_MS):
            self.facts.take_incident(incident)

    def _take(self, record: Any) -> None:
        try:
            event = decode(record.value)
        except UNREADABLE as error:
            LEFT_OUT.labels(record.topic).inc()
            _log.error("event cannot be read", topic=record.topic, offset=record.offset, error=str(error))
            return
        if isinstance(event, Incident):
            self.facts.take_incident(event)
        elif isinstance(event, StatusChange):
            now = int(time.time() * 1000)
            if event.at < _floor(now, DAY_MS) - DAY_MS or event.decided_at < _floor(now, HOUR_MS) - HOUR_MS:
                self._history.hurry()  # a correction: those days and hours are not among the ones that are read often
            if not event.withdrawn:
                self.facts.take_change(event)
        self._wanted.set()


def _floor(at: int, step_ms: int) -> int:
    return at // step_ms * step_ms


async def _collected(items: AsyncIterator[ItemT]) -> list[ItemT]:
    return [item async for item in items]
