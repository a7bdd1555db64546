"""Kafka: connection options, topics, the partitioner, and a reader for compacted topics."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import murmur2

from infra.logs import get_logger
from infra.settings import Settings
from schemas.topics import TOPICS, Topic

RETRY_FROM_S: Final = 0.1
RETRY_UP_TO_S: Final = 5.0
SILENCE_MS: Final = 1_000
"""How long a table's reader waits at a time: a new record is answered at once, only silence takes so long."""
RECONNECT_MS: Final = 1_000
"""How long a reader without brokers waits before it looks for them again."""
SHOWN_WITHIN_S: Final = 15.0
TOPIC_CONFIG: Final = 1
"""The source of a setting that was made for its topic, in Kafka's protocol."""
_log = get_logger(__name__)


class KafkaNotConfigured(RuntimeError):
    """There is no PULSE_KAFKA and no `pulse up` to take it from."""

    def __init__(self) -> None:
        super().__init__("No Kafka: set PULSE_KAFKA=host:9092, or start everything with `pulse up`.")


class PartitionsDiffer(RuntimeError):
    """A topic has another partition count than the installation's setting says."""

    def __init__(self, topic: str, found: int, expected: int) -> None:
        super().__init__(
            f"The topic {topic} has {found} partitions, but PULSE_PARTITIONS asks for {expected}. The count is fixed "
            f"when an installation begins, since it decides where a monitor's events are: set PULSE_PARTITIONS={found}."
        )


class TopicNotCreated(RuntimeError):
    """The brokers refuse to create a topic."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"Kafka does not create the topic {topic}: {reason}")


class TopicNotConfigured(RuntimeError):
    """The brokers refuse to change how a topic is kept."""

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(f"Kafka does not change the settings of the topic {topic}: {reason}")


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
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


def partition_count(topic: Topic, settings: Settings) -> int:
    """How many partitions the topic has in this installation."""
    return topic.partitions or settings.partitions


async def provision_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing; returns their names. One that exists gets the settings that it lacks.

    Raises PartitionsDiffer, TopicNotCreated, TopicNotConfigured, aiokafka's KafkaError.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        existing = await _partition_counts(admin)
        _check_counts(existing, settings)
        missing = [topic for topic in TOPICS if topic.name not in existing]
        if missing:
            await _create(admin, [new_topic(topic, settings) for topic in missing])
            await _until_shown(admin, missing)
        await _configure(admin, [topic for topic in TOPICS if topic not in missing])
        return [topic.name for topic in missing]
    finally:
        await admin.close()


def _check_counts(existing: dict[str, int], settings: Settings) -> None:
    """The least count is what they began with: Kafka takes none back, and what was added to some is not used."""
    counts = {each.name: existing[each.name] for each in TOPICS if each.partitions is None and each.name in existing}
    if counts and min(counts.values()) != settings.partitions:
        least = min(counts, key=counts.__getitem__)
        raise PartitionsDiffer(least, counts[least], settings.partitions)


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}


async def _create(admin: AIOKafkaAdminClient, topics: list[NewTopic]) -> None:
    answer = await admin.create_topics(topics)
    for name, code, message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another process provisions too
            raise TopicNotCreated(name, message or error.__name__)


async def _until_shown(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    """A broker hears of new topics a moment after they were made."""
    gives_up_at = time.monotonic() + SHOWN_WITHIN_S
    while unseen := {topic.name for topic in topics} - (await _partition_counts(admin)).keys():
        if time.monotonic() > gives_up_at:
            raise TopicNotCreated(min(unseen), f"it does not show within {SHOWN_WITHIN_S:.0f} s")
        await asyncio.sleep(RETRY_FROM_S)


async def _configure(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    """What an operator has set stays: Kafka is told all of a topic's settings, or it would forget the others."""
    if not topics:
        return
    wanted = {topic.name: topic.config for topic in topics}
    answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted])
    changed = []
    for code, message, _, name, entries in (found for answer in answers for found in answer.resources):
        if code:
            raise TopicNotConfigured(name, message or for_code(code).__name__)
        held = {entry[0]: entry[1] for entry in entries if entry[3] == TOPIC_CONFIG}
        if wanted[name].keys() - held.keys():
            changed.append(ConfigResource(ConfigResourceType.TOPIC, name, wanted[name] | held))
    if not changed:
        return
    for answer in await admin.alter_configs(changed):
        for code, message, _, name in answer.resources:
            if code:
                raise TopicNotConfigured(name, message or for_code(code).__name__)


def new_topic(topic: Topic, settings: Settings) -> NewTopic:
    """Half of its replicas at least have what is acknowledged: by default Kafka is content with the leader alone."""
    replicas = settings.kafka_replication
    return NewTopic(
        topic.name,
        num_partitions=partition_count(topic, settings),
        replication_factor=replicas,
        topic_configs=topic.config | {"min.insync.replicas": str((replicas + 1) // 2)},
    )


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of a compacted topic: its offset is its version; `value` is None for a tombstone."""

    partition: int
    offset: int
    timestamp: int
    key: str
    value: bytes | None


@asynccontextmanager
async def open_consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of nothing, to ask for offsets: one that reads answers nothing else while it waits for a record.

    Raises KafkaError when the brokers cannot be reached.
    """
    consumer = AIOKafkaConsumer(**connection_options(settings), group_id=None)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def ends_of(consumer: AIOKafkaConsumer, topic: Topic, settings: Settings) -> dict[int, int]:
    """By partition of the topic: the offset that comes next. Raises KafkaError when the brokers cannot be reached."""
    partitions = [TopicPartition(topic.name, n) for n in range(partition_count(topic, settings))]
    return {at.partition: end for at, end in (await consumer.end_offsets(partitions)).items()}


async def log_ends(settings: Settings, topic: Topic) -> dict[int, int]:
    """The same, asked once."""
    async with open_consumer(settings) as consumer:
        return await ends_of(consumer, topic, settings)


class TableReader:
    """Follows a compacted topic from its beginning: `run` hands each record, in the order of its partition.

    `caught_up` is set once every record that stood there at the start was handed over. `trouble` says why it cannot
    begin to read, or is None.
    """

    def __init__(self, settings: Settings, topic: Topic, on_record: Callable[[LogRecord], None]) -> None:
        self._settings = settings
        self._topic = topic
        self._on_record = on_record
        self._next_offsets: dict[TopicPartition, int] = {}
        self.caught_up = asyncio.Event()
        self.trouble: str | None = None

    async def run(self) -> None:
        """Read until cancelled. Brokers away, now or later: it tries again, and goes on where it was.

        Raises PartitionsDiffer: of a part of the topic nothing right can be made.
        """
        wait_s = RETRY_FROM_S
        while True:
            try:
                await self._read()
            except (KafkaError, OSError) as error:
                self.trouble = f"cannot read the topic {self._topic.name}: {error}"
                _log.warning("cannot read a topic, trying again", topic=self._topic.name, error=str(error))
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, RETRY_UP_TO_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **connection_options(self._settings),
            group_id=None,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=SILENCE_MS,
            metadata_max_age_ms=5_000,
            retry_backoff_ms=RECONNECT_MS,
        )
        try:
            await consumer.start()
            await self._follow(consumer)
        finally:
            await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        # Assigned by hand: a subscription would begin anew whenever a starting broker does not know the topic yet.
        partitions = [TopicPartition(self._topic.name, n) for n in range(partition_count(self._topic, self._settings))]
        consumer.assign(partitions)
        for partition, offset in self._next_offsets.items():
            consumer.seek(partition, offset)
        await consumer.end_offsets(partitions[:1])  # from now on the consumer knows the topic
        found = [TopicPartition(self._topic.name, n) for n in consumer.partitions_for_topic(self._topic.name)]
        ends: dict[TopicPartition, int] = await consumer.end_offsets(found)
        added = ends.keys() - set(partitions)
        # What somebody has added to a topic is empty, as nobody uses it.
        if len(found) < len(partitions) or any(ends.pop(each) for each in added):
            raise PartitionsDiffer(self._topic.name, len(found), len(partitions))
        self.trouble = None
        while True:
            if not self.caught_up.is_set() and await _reached(consumer, ends):
                self.caught_up.set()
            for partition, records in (await consumer.getmany(timeout_ms=SILENCE_MS, max_records=2_000)).items():
                for record in records:
                    self._on_record(_log_record(partition.partition, record))
                    self._next_offsets[partition] = record.offset + 1


def _log_record(partition: int, record: Any) -> LogRecord:
    key = (record.key or b"").decode("utf-8", "replace")
    return LogRecord(partition, record.offset, record.timestamp, key, record.value)


async def _reached(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    for partition, end in ends.items():
        if await consumer.position(partition) < end:
            return False
    return True
