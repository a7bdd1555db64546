"""Sends to Kafka until it is acknowledged: ticks, revisions, facts, dead letters."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from infra.kafka import open_producer
from infra.logs import get_logger
from infra.settings import Settings
from stream import metrics

PAUSE_S: Final = 1.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A record to send. Without a partition the key decides, by murmur2."""

    topic: str
    key: str | None
    value: bytes
    partition: int | None = None


class Outbox:
    """An idempotent producer that is made anew when it has failed for good."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._producer: AIOKafkaProducer | None = None
        self._opening = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> AsyncIterator["Outbox"]:
        """Raises aiokafka.errors.KafkaError when the brokers cannot be reached."""
        outbox = cls(settings)
        await outbox._ready()
        try:
            yield outbox
        finally:
            await outbox._stack.aclose()

    async def send(self, messages: Sequence[Message]) -> list[int]:
        """Returns the records' offsets once all are acknowledged; a record may be sent twice, never not at all."""
        while messages:
            try:
                return await self._send(await self._ready(), messages)
            except KafkaError as error:
                metrics.SEND_RETRIES.inc()
                _log.warning("Kafka did not take what was sent, will be tried again", error=repr(error))
                self._producer = None
                await asyncio.sleep(PAUSE_S)
        return []

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> list[int]:
        sent = [
            await producer.send(m.topic, m.value, key=m.key and m.key.encode(), partition=m.partition) for m in messages
        ]
        records: list[Any] = await asyncio.gather(*sent, return_exceptions=True)
        for record in records:
            if isinstance(record, BaseException):
                raise record
        return [record.offset for record in records]

    async def _ready(self) -> AIOKafkaProducer:
        async with self._opening:
            if self._producer is None:
                await self._stack.aclose()
                self._producer = await self._stack.enter_async_context(open_producer(self._settings))
            return self._producer
