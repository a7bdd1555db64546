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
from query.problems import ProblemKind, problems
from query.times import Iso, iso
from schemas.topics import DEAD_LETTERS

router: Final = APIRouter(prefix="/system", tags=["system"])
REQUEST_TIMEOUT_MS: Final = 5_000


class System(BaseModel):
    """What an operator looks at first."""

    dead_letters: Annotated[
        int | None,
        Field(description="Records that nobody could read, kept in the topic dead-letters; null while Kafka is away."),
    ]
    read_at: Annotated[Iso | None, Field(description="When ClickHouse was last read; null: never.")]
    troubles: Annotated[list[str], Field(description="What cannot be reached now, in words.")]


@router.get(
    "",
    operation_id="read_system",
    responses=problems(ProblemKind.NO_KEY, ProblemKind.FORBIDDEN, ProblemKind.LOG_AWAY),
)
async def read_system(context: CurrentContext, caller: HistoryReader) -> System:
    """How the installation does."""
    missing = await context.missing()
    return System(
        dead_letters=None if "kafka" in missing else await count_dead_letters(context.settings),
        read_at=iso(context.facts.read_at) if context.facts.read_at else None,
        troubles=list(missing.values()),
    )


async def count_dead_letters(settings: Settings) -> int | None:
    """How many the topic holds; None where Kafka does not say it."""
    partition = TopicPartition(DEAD_LETTERS.name, 0)
    consumer = AIOKafkaConsumer(**connection_options(settings), group_id=None, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await consumer.start()
        first = await consumer.beginning_offsets([partition])
        last = await consumer.end_offsets([partition])
    except (KafkaError, OSError):
        return None
    finally:
        await consumer.stop()
    return int(last[partition] - first[partition])
