"""`/v1/system`: how the installation itself does: what could not be read, and what cannot be reached."""

from typing import Annotated, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from fastapi import APIRouter
from pydantic import BaseModel, Field

from infra.kafka import connection_options
from infra.settings import Settings
from query.context import CurrentContext
from query.keys import HistoryReader
from query.management.writes import log_away
from query.problems import ProblemKind, problems
from query.times import Iso, iso
from schemas.topics import DEAD_LETTERS

router: Final = APIRouter(prefix="/system", tags=["system"])
REQUEST_TIMEOUT_MS: Final = 5_000


class System(BaseModel):
    """What an operator looks at first."""

    dead_letters: Annotated[int, Field(description="Records that nobody could read, kept in the topic dead-letters.")]
    read_at: Annotated[Iso | None, Field(description="When ClickHouse was last read; null: never.")]
    troubles: Annotated[list[str], Field(description="What cannot be reached now, in words.")]


@router.get(
    "",
    operation_id="read_system",
    responses=problems(ProblemKind.NO_KEY, ProblemKind.FORBIDDEN, ProblemKind.LOG_AWAY),
)
async def read_system(context: CurrentContext, caller: HistoryReader) -> System:
    """How the installation does."""
    troubles = (context.catalog.trouble, context.facts.trouble, context.clickhouse.trouble, context.producer.trouble)
    return System(
        dead_letters=await count_dead_letters(context.settings),
        read_at=iso(context.facts.read_at) if context.facts.read_at else None,
        troubles=[trouble for trouble in troubles if trouble],
    )


async def count_dead_letters(settings: Settings) -> int:
    """How many the topic holds. Raises ProblemError while Kafka is away."""
    partition = TopicPartition(DEAD_LETTERS.name, 0)
    consumer = AIOKafkaConsumer(**connection_options(settings), group_id=None, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await consumer.start()
        first = await consumer.beginning_offsets([partition])
        last = await consumer.end_offsets([partition])
    except (KafkaError, OSError):
        raise log_away() from None
    finally:
        await consumer.stop()
    return int(last[partition] - first[partition])
