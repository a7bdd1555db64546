"""Topics, the partitioner, and the reader of compacted topics, on a real broker."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra import kafka as clients
from infra.kafka import (
    LogRecord,
    PartitionsDiffer,
    TableReader,
    connection_options,
    new_topic,
    open_producer,
    partition_of,
    provision_topics,
)
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS, MONITORS, PAGES, TOPICS
from tests.engines import forget_topics, free_ports, running_kafka

LIMIT_S = 60
LOG_APPEND_TIME = 1


def run(work: Coroutine[Any, Any, object]) -> None:
    """Run it, but not for ever."""
    asyncio.run(asyncio.wait_for(work, LIMIT_S))


async def produce(settings: Settings, keys: range) -> None:
    """Write a record of each key to `monitors`, where the partitioner has it."""
    async with open_producer(settings) as producer:
        for number in keys:
            key = f"default/m{number}"
            partition = partition_of(key, settings.partitions)
            await producer.send(MONITORS.name, f"v{number}".encode(), key.encode(), partition=partition)
        await producer.flush()


class Reading:
    """A reader that runs as long as the context, and what it has handed over."""

    def __init__(self, settings: Settings) -> None:
        self.records: list[LogRecord] = []
        self.reader = TableReader(settings, MONITORS, self.records.append)

    async def __aenter__(self) -> "Reading":
        self._task = asyncio.create_task(self.reader.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def until(self, count: int) -> None:
        """Wait for that many records."""
        while len(self.records) < count:
            assert not self._task.done(), self._task.result()
            await asyncio.sleep(0.01)

    def assert_each_once_in_order(self, count: int) -> None:
        """Every offset of every partition was handed over once, in order."""
        offsets: dict[int, list[int]] = {}
        for record in self.records:
            offsets.setdefault(record.partition, []).append(record.offset)
        assert all(each == list(range(len(each))) for each in offsets.values())
        assert {record.key for record in self.records} == {f"default/m{n}" for n in range(count)}
        assert len(self.records) == count


@pytest.mark.parametrize(
    ("key", "murmur2"),
    [("21", -973932308), ("foobar", -790332482), ("a-little-bit-long-string", -985981536), ("abc", 479470107)],
)
def test_partitions_are_those_of_kafkas_own_partitioner(key: str, murmur2: int) -> None:
    """The hashes are the ones of Kafka's UtilsTest."""
    assert partition_of(key, 32) == (murmur2 & 0x7FFFFFFF) % 32


@pytest.mark.parametrize(("replicas", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "3")])
def test_what_is_acknowledged_outlives_a_broker_where_the_others_can_go_on(replicas: int, in_sync: str) -> None:
    topic = new_topic(CHECK_RESULTS, Settings(kafka_replication=replicas))

    assert topic.replication_factor == replicas
    assert topic.topic_configs["min.insync.replicas"] == in_sync


@pytest.mark.engines
def test_topics_are_created_once(kafka: str) -> None:
    settings = Settings(kafka=kafka)
    run(_forget_and_provision(settings))


async def _forget_and_provision(settings: Settings) -> None:
    await forget_topics(settings)

    first, second = await asyncio.gather(provision_topics(settings), provision_topics(settings))
    assert set(first) | set(second) == {topic.name for topic in TOPICS}

    assert await provision_topics(settings) == []


@pytest.mark.engines
def test_a_topic_of_before_gets_the_setting_that_it_lacks_and_keeps_what_an_operator_set(
    engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = replace(CHECK_RESULTS, broker_time=False, retention_ms=1_234_567)

    async def work() -> None:
        await forget_topics(engine_settings)
        with monkeypatch.context() as before:
            before.setattr(clients, "TOPICS", (older,))
            await provision_topics(engine_settings)

        async with open_producer(engine_settings) as producer:
            while await _time_type(producer) != LOG_APPEND_TIME:
                await provision_topics(engine_settings)  # the broker hears of a new topic a moment later
        assert (await _config_of(engine_settings, CHECK_RESULTS.name))["retention.ms"] == "1234567"

    run(work())


async def _time_type(producer: AIOKafkaProducer) -> int:
    kept = await producer.send_and_wait(CHECK_RESULTS.name, b"", partition=0, timestamp_ms=1)
    return int(kept.timestamp_type)


async def _config_of(settings: Settings, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


@pytest.mark.engines
def test_another_partition_count_is_refused(engine_settings: Settings) -> None:
    with pytest.raises(PartitionsDiffer, match="PULSE_PARTITIONS=8"):
        run(provision_topics(engine_settings.model_copy(update={"partitions": 16})))


@pytest.mark.engines
@pytest.mark.parametrize("count", [4, 16])
def test_a_reader_reads_no_part_of_a_topic(engine_settings: Settings, count: int) -> None:
    async def work() -> None:
        async with open_producer(engine_settings) as producer:
            await producer.send_and_wait(MONITORS.name, b"x", key=b"default/api", partition=7)
        other = engine_settings.model_copy(update={"partitions": count})
        with pytest.raises(PartitionsDiffer, match="PULSE_PARTITIONS=8"):
            await TableReader(other, MONITORS, lambda _: None).run()

    run(work())


@pytest.mark.engines
def test_partitions_that_somebody_added_to_a_topic_change_nothing(engine_settings: Settings) -> None:
    async def work() -> None:
        admin = AIOKafkaAdminClient(**connection_options(engine_settings))
        await admin.start()
        try:
            await admin.create_partitions({CHECK_RESULTS.name: NewPartitions(16)})
            while len((await admin.describe_topics([CHECK_RESULTS.name]))[0]["partitions"]) < 16:
                await asyncio.sleep(0.05)
        finally:
            await admin.close()

        assert await provision_topics(engine_settings) == []

    run(work())


@pytest.mark.engines
def test_a_refused_topic_says_why(engine_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "TOPICS", (replace(PAGES, name="not a name"),))

    with pytest.raises(clients.TopicNotCreated, match=r"not a name.*invalid"):
        run(provision_topics(engine_settings))


@pytest.mark.engines
def test_the_reader_catches_up_and_follows(engine_settings: Settings) -> None:
    async def work() -> None:
        await produce(engine_settings, range(500))
        async with Reading(engine_settings) as reading:
            await reading.reader.caught_up.wait()
            assert len(reading.records) == 500

            await produce(engine_settings, range(500, 510))
            await reading.until(510)
        reading.assert_each_once_in_order(510)

    run(work())


@pytest.mark.engines
def test_an_empty_topic_is_caught_up_with(engine_settings: Settings) -> None:
    async def work() -> None:
        async with Reading(engine_settings) as reading:
            await reading.reader.caught_up.wait()
        assert reading.records == []

    run(work())


@pytest.mark.engines
def test_a_missing_topic_is_waited_for(kafka: str) -> None:
    settings = Settings(kafka=kafka)

    async def work() -> None:
        await forget_topics(settings)
        async with Reading(settings) as reading:
            await asyncio.sleep(1)
            assert not reading.reader.caught_up.is_set()

            await provision_topics(settings)
            await produce(settings, range(10))
            await reading.until(10)
            await reading.reader.caught_up.wait()

    run(work())


@pytest.mark.engines
def test_the_reader_keeps_its_place_while_the_broker_is_away(tmp_path: Path) -> None:
    port, controller_port = free_ports(2)
    ports = port, controller_port
    folder = tmp_path / "kafka"
    settings = Settings(kafka=f"127.0.0.1:{port}")

    async def work() -> None:
        async with Reading(settings) as reading:
            while reading.reader.trouble is None:
                await asyncio.sleep(0.01)
            with ExitStack() as broker:
                await asyncio.to_thread(broker.enter_context, running_kafka(folder, ports))
                await provision_topics(settings)
                await produce(settings, range(100))
                await reading.until(100)
            with ExitStack() as broker:
                await asyncio.to_thread(broker.enter_context, running_kafka(folder, ports))
                await produce(settings, range(100, 200))
                await reading.until(200)
                await asyncio.sleep(0.5)  # a reader that began anew would hand over more
        assert reading.reader.trouble is None
        reading.assert_each_once_in_order(200)

    run(work())
