"""The offsets of the log: where its partitions begin and end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition

from infra.kafka import connection_options
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS


@asynccontextmanager
async def open_consumer(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of nothing, to ask for offsets. Raises KafkaError when the brokers cannot be reached."""
    consumer = AIOKafkaConsumer(**connection_options(settings), group_id=None)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def log_bounds(settings: Settings) -> dict[int, tuple[int, int]]:
    """By partition: the first offset of the log, and the one that comes next. Raises KafkaError."""
    async with open_consumer(settings) as consumer:
        partitions = [TopicPartition(CHECK_RESULTS.name, p) for p in range(settings.partitions)]
        first = await consumer.beginning_offsets(partitions)
        after = await consumer.end_offsets(partitions)
        return {tp.partition: (first[tp], after[tp]) for tp in partitions}
