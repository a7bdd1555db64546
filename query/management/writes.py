"""A write is an event: on its compacted topic, acknowledged by Kafka and readable here before it is answered.

It is judged against all that was acknowledged before, whichever process wrote it. Of two that two processes judge
within the same milliseconds both are taken, and the later one stands: Kafka has no conditional write, and a rule by
which the first one stood could not be kept, since compaction leaves only the newest record of a document, which a
reader who comes later could not know to have lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from infra.kafka import partition_of
from infra.logs import get_logger
from query.catalog import Entry
from query.connections import Away
from query.context import Context
from query.keys import Caller
from query.problems import ProblemError, ProblemKind
from schemas.monitors import Document, DocumentT, Record
from schemas.topics import MONITORS, Topic

SEND_TIMEOUT_S: Final = 5.0
READ_BACK_TIMEOUT_S: Final = 5.0
RETRY_AFTER_S: Final = 5

_log = get_logger(__name__)
_writing: Final[WeakValueDictionary[tuple[str, str], asyncio.Lock]] = WeakValueDictionary()


@asynccontextmanager
async def writing(context: Context, topic: Topic, *names: str, reads: Topic | None = None) -> AsyncIterator[None]:
    """Hold a document while it is checked and written, so that each write is judged against the one before it.

    `names` are its id, and what else no other document of the topic may have at the same time; `reads` is the topic
    of other documents that it is judged by. Raises ProblemError: 503 while it cannot be known what stands there.
    """
    async with AsyncExitStack() as held:
        for name in sorted(set(names)):  # in one order everywhere, so that no two wait for each other
            await held.enter_async_context(_writing.setdefault((topic.name, name), asyncio.Lock()))
        await _catch_up(context, topic, *([reads] if reads else []))
        yield


async def write(
    context: Context, caller: Caller, topic: Topic, document_id: str, document: DocumentT
) -> Entry[DocumentT]:
    """Write a document's next version and return its entry. Raises ProblemError as `append` does."""
    at = time.time_ns() // 1_000_000
    record: Record[DocumentT] = Record(workspace=caller.workspace, by=caller.by, at=at, document=document)
    offset = await _write(context, topic, document_id, record.to_log())
    return Entry(document_id, caller.workspace, offset, at, caller.by, document)


async def delete(context: Context, caller: Caller, topic: Topic, document_id: str) -> None:
    """Write that a document is gone; who did it stays in the log. Raises ProblemError as `append` does."""
    at = time.time_ns() // 1_000_000
    record = Record[Document](workspace=caller.workspace, by=caller.by, at=at, document=None)
    await _write(context, topic, document_id, record.to_log())


async def _write(context: Context, topic: Topic, document_id: str, value: bytes) -> int:
    """Append a record and wait until the catalogue has read it, but not for ever: a catalogue that is late must
    not make a written thing look refused."""
    partition = partition_of(document_id, context.settings.partitions) if topic is MONITORS else 0
    offset = await append(context, topic, partition, document_id, value)
    try:
        await asyncio.wait_for(context.catalog.wait_for(topic, partition, offset), READ_BACK_TIMEOUT_S)
    except TimeoutError:
        _log.warning("the catalogue is late", topic=topic.name, partition=partition, offset=offset)
    return offset


async def _catch_up(context: Context, *topics: Topic) -> None:
    try:
        await asyncio.wait_for(context.catalog.catch_up(*topics), READ_BACK_TIMEOUT_S)
    except (Away, KafkaError, TimeoutError, OSError) as error:
        _log.warning("the log cannot be read before a write", error=repr(error))
        raise log_away() from None


async def append(context: Context, topic: Topic, partition: int, key: str, value: bytes) -> int:
    """Append to the log; returns the offset once Kafka has acknowledged it.

    Raises ProblemError: 503 when Kafka does not take it in time, 413 when it is more than a record may hold.
    """
    try:
        sending = context.producer.get().send(topic.name, value, key=key.encode(), partition=partition)
        acknowledged = await asyncio.wait_for(sending, SEND_TIMEOUT_S)
        offset: int = (await acknowledged).offset
    except MessageSizeTooLargeError:
        raise ProblemError(ProblemKind.TOO_LARGE, "this is more than a record of the log may hold") from None
    except (Away, KafkaError, TimeoutError, OSError) as error:
        _log.warning("the log did not take a write", topic=topic.name, error=repr(error))
        raise log_away() from None
    return offset


def log_away() -> ProblemError:
    """Kafka cannot take a write now."""
    return ProblemError(
        ProblemKind.LOG_AWAY,
        f"Kafka did not acknowledge the write; send the same request again in {RETRY_AFTER_S} s",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
