"""Kafka: connection options, topics, the partitioner, and a reader for compacted topics."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import murmur2

from infra.settings import Settings
from schemas.topics import TOPICS, Topic


class KafkaNotConfigured(RuntimeError):
    """There is no PULSE_KAFKA and no `pulse up` to take it from."""

    def __init__(self) -> None:
        super().__init__("No Kafka: set PULSE_KAFKA=host:9092, or start everything with `pulse up`.")


def connection_options(settings: Settings) -> dict[str, Any]:
    """What every aiokafka client is opened with. Raises KafkaNotConfigured."""
    if not settings.kafka:
        raise KafkaNotConfigured
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka,
        "security_protocol": settings.kafka_security,
    }
    if settings.kafka_security.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ca_file)
    if settings.kafka_security.startswith("SASL"):
        password = settings.kafka_password.get_secret_value() if settings.kafka_password else None
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": password,
        }
    return options


def partition_of(monitor: str, count: int) -> int:
    """The partition of a monitor id: murmur2 as Kafka's own default partitioner has it."""
    return int((murmur2(monitor.encode()) & 0x7FFFFFFF) % count)


@asynccontextmanager
async def open_producer(settings: Settings, **overrides: Any) -> AsyncIterator[AIOKafkaProducer]:
    """An idempotent producer: what it acknowledges is on every in-sync replica, once."""
    producer = AIOKafkaProducer(
        **connection_options(settings),
        **{
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": "lz4",
            "request_timeout_ms": 120_000,
            "max_request_size": 4 << 20,
        }
        | overrides,
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def provision_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; returns their names. Counts and retention of others stay as they are."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        existing = set(await admin.list_topics())
        missing = [topic for topic in TOPICS if topic.name not in existing]
        await admin.create_topics([_new_topic(topic, settings) for topic in missing])
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def _new_topic(topic: Topic, settings: Settings) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=topic.partitions or settings.partitions,
        replication_factor=settings.kafka_replication,
        topic_configs=topic.config,
    )


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of a compacted topic: its offset is its version; `value` is None for a tombstone."""

    partition: int
    offset: int
    timestamp: int
    key: str
    value: bytes | None


class TableReader:
    """Follows a compacted topic from its beginning: `run` hands each record, in the order of its partition.

    `caught_up` is set once every record that stood there at the start was handed over.
    """

    def __init__(self, settings: Settings, topic: Topic, on_record: Callable[[LogRecord], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._on_record = on_record
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Read until cancelled. Raises aiokafka.errors.KafkaError when the brokers cannot be reached at the start."""
        consumer = AIOKafkaConsumer(
            self._topic.name,
            **connection_options(self._settings),
            group_id=None,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            metadata_max_age_ms=5_000,
        )
        await consumer.start()
        try:
            await self._follow(consumer)
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
        while True:
            batches = await consumer.getmany(timeout_ms=200, max_records=2_000)
            for partition, records in batches.items():
                for record in records:
                    self._on_record(_log_record(partition.partition, record))
            if not self.caught_up.is_set() and await _reached(consumer, ends):
                self.caught_up.set()


def _log_record(partition: int, record: Any) -> LogRecord:
    key = (record.key or b"").decode("utf-8", "replace")
    return LogRecord(partition, record.offset, record.timestamp, key, record.value)


async def _reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
