"""The monitors of this probe: its share of the compacted topic `monitors`, followed as it changes.

Probes of a region are one consumer group without commits. A partition that comes is read from its beginning to its
end before anything of it counts, so that no version that was replaced or deleted since is checked once more; one that
stays goes on where it was. While the group settles, the probe keeps probing what it had.
"""

import asyncio
import gc
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from pydantic import ValidationError

from infra.kafka import connection_options
from infra.logs import get_logger
from infra.settings import Settings
from probes.compiled import CompiledMonitor, Compiler
from probes.schedule import Schedule
from schemas.monitors import Monitor, Record
from schemas.topics import MONITORS

SESSION_TIMEOUT_MS: Final = 6_000
COMPILED_AT_ONCE: Final = 10
SILENCE_MS: Final = 500
"""A new record is answered at once; as long as this, a rebalance may have to wait for the answer that there is none."""
_log = get_logger(__name__)


class MonitorTable:
    """Turns records of `monitors` into jobs of the schedule, partition by partition."""

    def __init__(self, region: str, compiler: Compiler, schedule: Schedule[CompiledMonitor]) -> None:
        self.undecodable = 0
        """Records that could not be read; their monitors go on as they were before."""
        self._region = region
        self._compiler = compiler
        self._schedule = schedule
        self._of_partition: dict[int, set[str]] = {}

    def apply(self, partition: int, offset: int, monitor_id: str, value: bytes | None) -> None:
        """Take a record; its offset is the monitor's version."""
        try:
            monitor = Record[Monitor].from_log(value).document if value is not None else None
            wanted = monitor is not None and not monitor.paused and self._is_ours(monitor)
            job = (
                self._compiler.compile(monitor_id, monitor, version=offset, partition=partition)
                if monitor is not None and wanted
                else None
            )
        except (ValidationError, ValueError) as error:
            self.undecodable += 1
            _log.error("unreadable monitor", monitor=monitor_id, partition=partition, offset=offset, error=str(error))
            return
        known = self._of_partition.setdefault(partition, set())
        if job is None:
            known.discard(monitor_id)
            self._schedule.remove(monitor_id)
        else:
            known.add(monitor_id)
            self._schedule.put(job)

    def keep(self, partitions: set[int]) -> None:
        """Other probes have all other partitions now."""
        for partition in self._of_partition.keys() - partitions:
            for monitor_id in self._of_partition.pop(partition):
                self._schedule.remove(monitor_id)

    def _is_ours(self, monitor: Monitor) -> bool:
        return not monitor.regions or self._region in monitor.regions


class _Positions(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Keeps where each partition was read to, over a rebalance."""

    def __init__(self, consumer: AIOKafkaConsumer, keep: Callable[[set[int]], None]) -> None:
        self._consumer = consumer
        self._keep = keep
        self._next: dict[TopicPartition, int] = {}

    def take(self, partition: TopicPartition, offset: int) -> bool:
        """Whether a record is still ours to handle; then it counts as handled."""
        if not self.has(partition):
            return False
        self._next[partition] = offset + 1
        return True

    def has(self, partition: TopicPartition) -> bool:
        """Whether it is ours."""
        return partition in self._next

    def at_end(self, partition: TopicPartition) -> bool:
        """Whether there is nothing left to read of it."""
        if partition not in self._consumer.assignment():
            return True
        return self._next.get(partition, 0) >= (self._consumer.highwater(partition) or 0)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing: until the group has settled, this probe keeps probing."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self._keep({partition.partition for partition in assigned})
        known = assigned & self._next.keys()
        for partition in known:
            self._consumer.seek(partition, self._next[partition])
        self._next = {partition: self._next.get(partition, 0) for partition in assigned}
        if assigned - known:
            await self._consumer.seek_to_beginning(*(assigned - known))


class MonitorFeed:
    """Reads this probe's share of `monitors` into the table."""

    def __init__(self, settings: Settings, table: MonitorTable) -> None:
        self._settings = settings
        self._table = table

    async def run(self) -> None:
        """Follow until cancelled, then leave the group. Raises KafkaError when Kafka cannot be reached."""
        consumer = AIOKafkaConsumer(**self._options())
        listener = _Positions(consumer, self._table.keep)
        consumer.subscribe([MONITORS.name], listener=listener)
        try:
            await consumer.start()
            await self._follow(consumer, listener)
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer, listener: _Positions) -> None:
        settled = True
        newest: dict[TopicPartition, dict[bytes, ConsumerRecord]] = defaultdict(dict)
        while True:
            batches = await consumer.getmany(timeout_ms=SILENCE_MS, max_records=500)
            for partition, records in batches.items():
                ours = (record for record in records if listener.take(partition, record.offset))
                newest[partition] |= {record.key or b"": record for record in ours}
            for partition in [each for each in newest if not batches or listener.at_end(each)]:
                await self._apply(partition, newest.pop(partition), listener)
            if not batches and not settled:
                gc.freeze()  # collecting the garbage of 20,000 monitors, of which there is none, holds checks up 0.3 s
            settled = not batches

    async def _apply(
        self, partition: TopicPartition, records: dict[bytes, ConsumerRecord], listener: _Positions
    ) -> None:
        for count, (key, record) in enumerate(records.items()):
            if not listener.has(partition):
                return  # another probe has it since
            self._table.apply(partition.partition, record.offset, key.decode("utf-8", "replace"), record.value)
            if count % COMPILED_AT_ONCE == 0:
                await asyncio.sleep(0)  # checks go on meanwhile

    def _options(self) -> dict[str, Any]:
        return connection_options(self._settings) | {
            "group_id": f"pulse-probes-{self._settings.region}",
            "client_id": self._settings.probe,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "partition_assignment_strategy": [RangePartitionAssignor],
            "session_timeout_ms": SESSION_TIMEOUT_MS,
            "heartbeat_interval_ms": 1_000,
            "rebalance_timeout_ms": 10_000,
            "fetch_max_wait_ms": SILENCE_MS,
            "metadata_max_age_ms": 5_000,
        }
