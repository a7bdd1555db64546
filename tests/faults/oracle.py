"""What the log says: folded once from its beginning, without a crash, and compared with what ClickHouse holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from clickhouse_connect.driver.asyncclient import AsyncClient
from pydantic import SecretStr

from infra.clickhouse import address_of, migrate, open_client
from infra.kafka import connection_options
from infra.settings import Settings
from schemas.events import CheckBatch, CheckResult
from schemas.monitors import Monitor, Record
from schemas.topics import CHECK_RESULTS, MONITORS, Topic
from stream.dead_letters import LogRecord, read_event
from stream.epochs import identify_log
from stream.folds import RULES, SHAPE, Terms
from stream.outbox import Message
from stream.partition import Delivery
from stream.pasts import Pasts
from stream.sink import Sink
from stream.snapshots import Epoch, Position, Snapshots
from stream.worker import Worker

FIRST_EPOCH: Final = 1
AT_ONCE: Final = 200
COMPARED: Final = {
    "check_results": "monitor, region, scheduled_at",
    "status_changes": "monitor, at",
    "current_status": "monitor",
    "incidents": "monitor, id",
    "components": "monitor, region, component",
    "uptime_hourly": "monitor, bucket",
    "uptime_daily": "monitor, bucket",
    "latency_hourly": "monitor, bucket, region",
    "corrections": "monitor, id",
}
"""Tables and their identities."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows that only one side has."""

    table: str
    missing: int
    surplus: int
    example: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found; `identities` counts the distinct results of the log."""

    differences: list[Difference]
    identities: set[tuple[str, str, int]]
    stored: int
    rows: dict[str, int]


async def read_log(settings: Settings, topic: Topic) -> dict[int, list[Any]]:
    """Every record that stands in the topic now, by partition."""
    consumer = AIOKafkaConsumer(**connection_options(settings), group_id=None, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic.name, number) for number in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: dict[int, list[Any]] = {number: [] for number in range(settings.partitions)}
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for tp, found in (await consumer.getmany(timeout_ms=500)).items():
                records[tp.partition] += found
        return records
    finally:
        await consumer.stop()


async def compare(settings: Settings) -> Verdict:
    """Fold the log up to the positions that ClickHouse holds, into a database beside it, and compare every table."""
    database = address_of(settings).database
    url = str(settings.clickhouse.get_secret_value()) if settings.clickhouse else ""
    beside = settings.model_copy(update={"clickhouse": SecretStr(url.removesuffix(database) + f"{database}_expected")})
    await migrate(beside)
    identities = await _fold_log(settings, beside)
    async with open_client(settings) as client:
        differences = [d for table in COMPARED if (d := await _difference(client, database, table))]
        rows = {table: await _count(client, f"SELECT count() FROM {table} FINAL") for table in COMPARED}
        stored = await _count(client, "SELECT uniqExact(monitor, region, scheduled_at) FROM check_results")
    return Verdict(differences, identities, stored, rows)


async def _fold_log(settings: Settings, beside: Settings) -> set[tuple[str, str, int]]:
    """A worker that nobody disturbs folds the log into the database beside."""
    database = address_of(settings).database
    log = await read_log(settings, CHECK_RESULTS)
    identities: set[tuple[str, str, int]] = set()
    async with open_client(beside) as client:
        await client.command(f"INSERT INTO monitor_versions SELECT * FROM {database}.monitor_versions")
        sink = await Sink.open(beside, client)
        calm, terms = _CalmLog(log), _AllTerms(await _all_terms(settings))
        snapshots, pasts = Snapshots(beside, client, sink), Pasts(beside, client, sink)
        worker = Worker(calm, snapshots, sink, _NoOutbox(), terms, pasts)  # type: ignore[arg-type]
        for position in await _positions(settings):
            records = [
                LogRecord(position.partition, record.offset, record.timestamp, record.value)
                for record in log[position.partition][: position.offset + 1]
            ]
            for first in range(0, len(records), AT_ONCE):
                await worker.take(Delivery(record, None) for record in records[first : first + AT_ONCE])
                await worker.write(everything=True)
            for record in records:
                event, _ = read_event(record)
                if isinstance(event, CheckBatch):
                    identities.update(_identity(event.region, result) for result in event.results)
    return identities


class _CalmLog:
    """The log as it stands, in the first epoch."""

    def __init__(self, log: dict[int, list[Any]]) -> None:
        self._log = log

    async def epoch(self) -> Epoch:
        return Epoch(FIRST_EPOCH, "the log itself", RULES, SHAPE, len(self._log))

    async def bounds(self, partition: int) -> tuple[int, int]:
        return 0, len(self._log[partition])

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        pass


class _NoOutbox:
    """Nobody is told."""

    async def send(self, messages: Sequence[Message]) -> list[int]:
        return []


class _AllTerms:
    """Every version that there was."""

    def __init__(self, terms: dict[tuple[str, int], Terms]) -> None:
        self._terms = terms

    def get(self, monitor: str, version: int) -> Terms | None:
        return self._terms.get((monitor, version))

    async def find(self, wanted: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        return set(wanted) - self._terms.keys()

    def knows(self, monitor: str) -> bool:
        return any(name == monitor for name, _ in self._terms)


def _identity(region: str, result: CheckResult) -> tuple[str, str, int]:
    return result.monitor, region, result.scheduled_at


async def _all_terms(settings: Settings) -> dict[tuple[str, int], Terms]:
    terms = {}
    for records in (await read_log(settings, MONITORS)).values():
        for record in records:
            document = Record[Monitor].from_log(record.value).document
            if document is not None:
                terms[record.key.decode(), record.offset] = Terms.of(document)
    return terms


async def _positions(settings: Settings) -> list[Position]:
    async with open_client(settings) as client:
        snapshots = Snapshots(settings, client, await Sink.open(settings, client))
        return await snapshots.positions(await identify_log(settings))


async def _difference(client: AsyncClient, database: str, table: str) -> Difference | None:
    ours, theirs = f"SELECT * FROM {database}.{table} FINAL", f"SELECT * FROM {database}_expected.{table} FINAL"
    missing = [*(await client.query(f"{theirs} EXCEPT {ours}")).named_results()]
    surplus = [*(await client.query(f"{ours} EXCEPT {theirs}")).named_results()]
    if not missing and not surplus:
        return None
    return Difference(table, len(missing), len(surplus), _example(table, missing, surplus))


def _example(table: str, missing: list[dict[str, Any]], surplus: list[dict[str, Any]]) -> str:
    """The columns of one identity that differ, what should be there first; or a row that only one side has."""
    names = COMPARED[table].split(", ")
    ours = {tuple(row[name] for name in names): row for row in surplus}
    for row in missing:
        other = ours.get(tuple(row[name] for name in names))
        if other is not None:
            return str({name: (value, other[name]) for name, value in row.items() if other[name] != value})
    return f"missing {missing[:1]}, surplus {surplus[:1]}"


async def _count(client: AsyncClient, query: str) -> int:
    return int((await client.query(query)).result_rows[0][0])
