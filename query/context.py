"""What the routes of the query service stand on: one object for the life of the process."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.asyncclient import AsyncClient
from fastapi import Depends, Request

from infra.clickhouse import open_client
from infra.kafka import open_producer
from infra.logs import get_logger
from infra.settings import Settings
from infra.shared import Shared
from query.catalog import Catalog
from query.configuration_copy import ConfigurationCopy
from query.connections import Away, Connection
from query.facts import Facts
from query.limits import Limits
from query.refresh import Refresh

WRITES: Final[dict[str, Any]] = {"enable_idempotence": False, "request_timeout_ms": 5_000}
"""aiokafka's idempotent producer never gives a batch up: what was refused with 503 would be written later. These
writes are absolute, so that one that was written although it was refused, and is sent again, changes nothing."""

KAFKA_LIMIT_S: Final = 2.0
KAFKA_ASKED_EVERY_S: Final = 1.0
"""However often /readyz is: what polls it must not load the brokers."""

CANCEL_AGAIN_S: Final = 0.5
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, the catalogue, the facts, limits, and two connections: `clickhouse.get()` raises Away without one."""

    settings: Settings
    catalog: Catalog
    facts: Facts
    clickhouse: Connection[AsyncClient]
    producer: Connection[AIOKafkaProducer]
    kafka_trouble: Shared[str]
    limits: Limits

    @classmethod
    def of(cls, settings: Settings) -> "Context":
        """A context that is not connected yet."""
        producer = Connection("Kafka", partial(open_producer, settings, **WRITES))
        return cls(
            settings,
            Catalog(settings),
            Facts(time.time_ns() // 1_000_000),
            Connection("ClickHouse", partial(open_client, settings)),
            producer,
            Shared(partial(_kafka_trouble, producer), KAFKA_ASKED_EVERY_S),
            Limits(settings),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the catalogue's topics and hold the connections, whether or not the others answer now."""
        refresh = Refresh(self.settings, self.facts, self.clickhouse)
        copy = ConfigurationCopy(self.settings, self.catalog)
        copy.stand_in()
        reading = (self.catalog.run(), copy.keep(), refresh.read(), refresh.follow())
        tasks = [asyncio.create_task(work) for work in (*reading, self.clickhouse.hold(), self.producer.hold())]
        for task in tasks:
            task.add_done_callback(_end_where_it_failed)
        try:
            yield
        finally:
            await _end(tasks)

    async def missing(self) -> dict[str, str]:
        """What cannot be reached now, by name, and why; empty when the service can do all of its work."""
        troubles = {
            "configuration": self.catalog.trouble,
            "kafka": self.producer.trouble or await self.kafka_trouble.get(),
            "clickhouse": self.clickhouse.trouble or self.facts.trouble,
        }
        return {name: trouble for name, trouble in troubles.items() if trouble}


async def _kafka_trouble(producer: Connection[AIOKafkaProducer]) -> str:
    try:
        await asyncio.wait_for(producer.get().client.fetch_all_metadata(), KAFKA_LIMIT_S)
    except (Away, KafkaError, TimeoutError) as error:
        return f"Kafka does not answer: {error or 'it took too long'}"
    return ""


async def _end(tasks: "list[asyncio.Task[None]]") -> None:
    """Cancel them until they are done: clickhouse-connect swallows a cancellation that comes while it gives up."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


def _end_where_it_failed(task: "asyncio.Task[None]") -> None:
    """A service that no longer follows or reads would show old data as new: better it ends, and is started again."""
    if not task.cancelled() and task.exception() is not None:
        _log.critical("a part of the service failed; it ends", exc_info=task.exception())
        signal.raise_signal(signal.SIGTERM)


async def _context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


CurrentContext = Annotated[Context, Depends(_context_of)]
"""A route's parameter: `async def route(context: CurrentContext)`."""
