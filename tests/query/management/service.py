"""The management API over a log in memory: what Kafka would acknowledge is at once what the catalogue reads."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
from aiokafka.errors import KafkaTimeoutError
from pydantic import SecretStr

from infra.kafka import LogRecord
from infra.settings import Settings
from query.app import app_of
from query.catalog import Catalog
from query.connections import Connection
from query.context import Context
from query.keys import new_key
from query.public import PublicFace
from schemas.monitors import Key, KeyScope, Record
from schemas.topics import KEYS, Topic

ADMIN_KEY = "pulse_admin_0123456789"


@dataclass
class Acknowledged:
    offset: int


class LateCatalog(Catalog):
    """A catalogue that takes in at once what this process writes, and what `late` holds when it catches up.

    `away`: it cannot be known what stands in the log.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.late: list[tuple[Topic, LogRecord]] = []
        self.away = False

    async def catch_up(self, *topics: Topic) -> None:
        if self.away:
            raise KafkaTimeoutError
        for topic, record in self.late:
            if topic in topics:
                self.read(topic.name, record)
        self.late = [each for each in self.late if each[0] not in topics]

    def read(self, topic: str, record: LogRecord) -> None:
        for table in (self.monitors, self.pages, self.maintenances, self.keys):
            if table.topic.name == topic:
                self.take(table, record)


class FakeLog:
    """A producer whose records reach the catalogue as soon as they are acknowledged.

    `away`: it takes none, or none of a partition. `slow`: it acknowledges nothing until that is set.
    """

    def __init__(self, catalog: LateCatalog) -> None:
        self.records: defaultdict[tuple[str, int], list[LogRecord]] = defaultdict(list)
        self.away = False
        self.away_partitions: set[int] = set()
        self.slow: asyncio.Event | None = None
        self.catalog = catalog

    async def send(self, topic: str, value: bytes, key: bytes, partition: int) -> "asyncio.Future[Acknowledged]":
        if self.away or partition in self.away_partitions:
            raise KafkaTimeoutError
        record = self._append(topic, value, key, partition)
        self.catalog.read(topic, record)
        return asyncio.ensure_future(self._acknowledge(record.offset))

    def of_another_process(self, topic: Topic, value: bytes, key: str, partition: int = 0) -> None:
        """A record that another process has just written."""
        self.catalog.late.append((topic, self._append(topic.name, value, key.encode(), partition)))

    def _append(self, topic: str, value: bytes, key: bytes, partition: int) -> LogRecord:
        log = self.records[topic, partition]
        log.append(LogRecord(partition, len(log), 0, key.decode(), value))
        return log[-1]

    async def _acknowledge(self, offset: int) -> Acknowledged:
        if self.slow:
            await self.slow.wait()
        return Acknowledged(offset)

    def all(self, topic: str) -> list[LogRecord]:
        """Every record of a topic."""
        return [record for (name, _), log in self.records.items() if name == topic for record in log]


@dataclass
class Service:
    """The service, its log, and a client that sends the admin key."""

    app: PublicFace
    context: Context
    log: FakeLog
    client: httpx.AsyncClient

    def as_key(self, key: str | None) -> httpx.AsyncClient:
        """A client that sends another key, or none."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx.AsyncClient(transport=self.client._transport, base_url="http://pulse.test", headers=headers)


def settings_of_test(**values: Any) -> Settings:
    return Settings(admin_key=SecretStr(ADMIN_KEY), kafka="127.0.0.1:1", **values)


@asynccontextmanager
async def running_service(**settings: Any) -> AsyncIterator[Service]:
    catalog = LateCatalog(settings_of_test(**settings))
    context = replace(Context.of(settings_of_test(**settings)), catalog=catalog)
    log = FakeLog(catalog)
    catalog.caught_up.set()

    @asynccontextmanager
    async def open_log() -> AsyncIterator[Any]:
        yield log

    context = replace(context, producer=Connection("Kafka", open_log))
    app = app_of(context)
    holding = [asyncio.create_task(context.producer.hold()), asyncio.create_task(context.clickhouse.hold())]
    while context.producer.trouble or (context.settings.clickhouse and context.clickhouse.trouble):
        await asyncio.sleep(0.01)
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://pulse.test",
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
        ) as client:
            yield Service(app, context, log, client)
    finally:
        for each in holding:
            each.cancel()
        await asyncio.gather(*holding, return_exceptions=True)


def with_service(scenario: Callable[[Service], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario against a fresh service."""

    async def run() -> None:
        async with running_service(**settings) as service:
            await scenario(service)

    asyncio.run(run())


async def key_of_another_workspace(service: Service) -> str:
    """An admin key of the workspace `other`."""
    text, kept = new_key("theirs", [KeyScope.ADMIN], None)
    record = Record[Key](workspace="other", by="test", at=0, document=kept)
    await service.log.send(KEYS.name, record.to_log(), kept.id.encode(), 0)
    return text
