"""The offsets of the log: where its partitions begin and end."""

from aiokafka import TopicPartition

from infra.kafka import open_consumer
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS


async def log_bounds(settings: Settings) -> dict[int, tuple[int, int]]:
    """By partition: the first offset of the log, and the one that comes next. Raises KafkaError."""
    async with open_consumer(settings) as consumer:
        partitions = [TopicPartition(CHECK_RESULTS.name, p) for p in range(settings.partitions)]
        first = await consumer.beginning_offsets(partitions)
        after = await consumer.end_offsets(partitions)
        return {tp.partition: (first[tp], after[tp]) for tp in partitions}
