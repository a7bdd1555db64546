"""The catalogue: monitors, pages, maintenances and keys as they are now, in memory, following their compacted topics.

There is no other database of configuration; a write is an event, and is readable here once its offset has
come by (`wait_for`). Everything runs on one event loop, so a reader never sees a half-applied record.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

from aiokafka import AIOKafkaConsumer
from pydantic import ValidationError

from infra.kafka import LogRecord, TableReader, ends_of, open_consumer
from infra.logs import get_logger
from infra.settings import Settings
from query.connections import Connection
from query.metrics import LEFT_OUT
from schemas.monitors import Document, Key, Maintenance, Monitor, Page, Record
from schemas.topics import KEYS, MAINTENANCES, MONITORS, PAGES, Topic

DocumentT = TypeVar("DocumentT", bound=Document)
CopiedRecord = tuple[str, int, bytes]
"""A record as a copy keeps it: id, version, and its value in the log."""
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Entry(Generic[DocumentT]):
    """A document of the catalogue, and the record that it came in.

    `id` is the record's key: `workspace/slug` of a monitor and of a maintenance, slug of a page, id of a key.
    `version` is the record's offset in its partition; `at` is int ms since the epoch.
    """

    id: str
    workspace: str
    version: int
    at: int
    by: str
    document: DocumentT


class Shelf(Generic[DocumentT]):
    """Living documents by id, and by workspace; of deleted ones the ids."""

    def __init__(self) -> None:
        self.deleted: set[str] = set()
        self.entries: dict[str, Entry[DocumentT]] = {}
        self.by_workspace: defaultdict[str, dict[str, Entry[DocumentT]]] = defaultdict(dict)
        self._ids: dict[str, list[str]] = {}

    def put(self, name: str, current: Entry[DocumentT] | None) -> None:
        """Put an entry in the place of the one before; None takes it away."""
        previous = self.entries.pop(name, None) if current is None else self.entries.get(name)
        if previous is not None and (current is None or current.workspace != previous.workspace):
            del self.by_workspace[previous.workspace][name]
            self._ids.pop(previous.workspace, None)
        if current is None:
            self.deleted.add(name)
        else:
            self.deleted.discard(name)
            if name not in self.by_workspace[current.workspace]:
                self._ids.pop(current.workspace, None)
            self.entries[name] = current
            self.by_workspace[current.workspace][name] = current

    def ids_of(self, workspace: str) -> Sequence[str]:
        """The ids of a workspace in their order, sorted when it was asked for first."""
        if workspace not in self.by_workspace:
            return ()
        if workspace not in self._ids:
            self._ids[workspace] = sorted(self.by_workspace[workspace])
        return self._ids[workspace]


class Table(Generic[DocumentT]):
    """One topic's living documents by id, and how far it was read."""

    def __init__(self, topic: Topic, record: type[Record[DocumentT]]) -> None:
        self.topic = topic
        self._record = record
        self._next_offsets: defaultdict[int, int] = defaultdict(int)
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._read: Shelf[DocumentT] = Shelf()
        self._shown = self._read

    @property
    def entries(self) -> dict[str, Entry[DocumentT]]:
        """The living documents."""
        return self._shown.entries

    @property
    def deleted(self) -> set[str]:
        """The ids of documents that there were."""
        return self._shown.deleted

    @property
    def is_stood_in_for(self) -> bool:
        """Whether a copy is shown, and not yet what was read."""
        return self._shown is not self._read

    def apply(self, record: LogRecord) -> str | None:
        """Take a record in; returns the id whose document changed. A record that was taken before changes nothing."""
        if record.offset < self._next_offsets[record.partition]:
            return None
        try:
            self._read.put(record.key, self.parse(record.key, record.offset, record.value))
        except ValidationError as error:
            LEFT_OUT.labels(self.topic.name).inc()
            place = {"topic": self.topic.name, "partition": record.partition, "offset": record.offset}
            _log.error("record cannot be read; the version before it stays", **place, error=str(error))
        self._next_offsets[record.partition] = record.offset + 1
        self._wake(record.partition)
        return record.key

    def parse(self, name: str, version: int, value: bytes | None) -> Entry[DocumentT] | None:
        """A record's entry; None where it says that there is none. Raises pydantic.ValidationError."""
        told = None if value is None else self._record.from_log(value)
        if told is None or told.document is None:
            return None
        return Entry(name, told.workspace, version, told.at, told.by, told.document)

    def records(self) -> Iterator[CopiedRecord]:
        """What is shown, as a copy keeps it."""
        for entry in list(self.entries.values()):
            told = self._record(workspace=entry.workspace, by=entry.by, at=entry.at, document=entry.document)
            yield entry.id, entry.version, told.to_log()

    def shelf_of(self, records: Iterable[CopiedRecord]) -> Shelf[DocumentT]:
        """The documents of a copy. Raises pydantic.ValidationError."""
        shelf: Shelf[DocumentT] = Shelf()
        for name, version, value in records:
            shelf.put(name, self.parse(name, version, value))
        return shelf

    def stand_in(self, shelf: Shelf[DocumentT]) -> None:
        """Show these documents until `settle`."""
        self._shown = shelf

    def settle(self) -> list[str]:
        """Show what was read, from now on; returns the ids of which the copy told something else."""
        if not self.is_stood_in_for:
            return []
        copied, self._shown = self.entries, self._read
        return [name for name in copied | self.entries if copied.get(name) != self.entries.get(name)]

    def of_workspace(self, workspace: str) -> Iterable[Entry[DocumentT]]:
        """The workspace's entries, in the order in which they were first written."""
        by_workspace = self._shown.by_workspace
        return by_workspace[workspace].values() if workspace in by_workspace else ()

    def ids_of(self, workspace: str) -> Sequence[str]:
        """The ids of the workspace's entries in their order."""
        return self._shown.ids_of(workspace)

    async def wait_for(self, partition: int, offset: int) -> None:
        """Return once the record at `offset` was taken in."""
        if self._next_offsets[partition] <= offset:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((partition, offset, waiter))
            await waiter

    def _wake(self, partition: int) -> None:
        reached = self._next_offsets[partition]
        for waiting_partition, offset, waiter in self._waiting:
            if waiting_partition == partition and offset < reached and not waiter.done():
                waiter.set_result(None)
        self._waiting = [waiting for waiting in self._waiting if not waiting[2].done()]


AnyTable = Table[Monitor] | Table[Page] | Table[Maintenance] | Table[Key]


class Catalog:
    """Monitors, pages, maintenances and keys; `run` follows their topics until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self.monitors: Final = Table(MONITORS, Record[Monitor])
        self.pages: Final = Table(PAGES, Record[Page])
        self.maintenances: Final = Table(MAINTENANCES, Record[Maintenance])
        self.keys: Final = Table(KEYS, Record[Key])
        self.caught_up: Final = asyncio.Event()
        """Set once everything that stood in the topics at the start is here."""
        self.trouble: str = "the topics of the configuration were not read to their end yet"
        """Why it is not caught up, in words."""
        self._settings = settings
        self._asking: Connection[AIOKafkaConsumer] = Connection("Kafka", partial(open_consumer, settings))
        self._listeners: list[Callable[[Topic, str], None]] = []
        self._page_by_domain: dict[str, str] = {}
        self._domains_of_page: dict[str, list[str]] = {}
        """As its document names them, whether or not they became its own."""

    def monitor(self, monitor: str) -> Entry[Monitor] | None:
        """The monitor `workspace/slug`."""
        return self.monitors.entries.get(monitor)

    def page(self, slug: str) -> Entry[Page] | None:
        """The page of this slug."""
        return self.pages.entries.get(slug)

    def page_of_domain(self, host: str) -> Entry[Page] | None:
        """The page that is served at `/` of this custom domain (lower case, no port)."""
        slug = self._page_by_domain.get(host)
        return None if slug is None else self.page(slug)

    def maintenance(self, maintenance: str) -> Entry[Maintenance] | None:
        """The maintenance `workspace/slug`."""
        return self.maintenances.entries.get(maintenance)

    def key(self, key: str) -> Entry[Key] | None:
        """The API key of this id."""
        return self.keys.entries.get(key)

    def on_change(self, listener: Callable[[Topic, str], None]) -> None:
        """Call `listener(topic, id)` after each record that was taken in."""
        self._listeners.append(listener)

    async def wait_for(self, topic: Topic, partition: int, offset: int) -> None:
        """Return once the record at `offset` of `partition` can be read here. Waits for ever: bound it."""
        await next(table for table in self._tables if table.topic is topic).wait_for(partition, offset)

    async def catch_up(self, *topics: Topic) -> None:
        """Return once all that these topics hold by now can be read here, whoever wrote it. Waits for ever: bound it.

        Raises Away, KafkaError, OSError.
        """
        for topic in topics:
            ends = await ends_of(self._asking.get(), topic, self._settings)
            for partition, end in ends.items():
                await self.wait_for(topic, partition, end - 1)

    async def run(self) -> None:
        """Follow the topics until cancelled; Kafka may be away, now or later."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._asking.hold())
            readers = [self._reader(table) for table in self._tables]
            for reader in readers:
                group.create_task(reader.run())
            for reader in readers:
                await reader.caught_up.wait()
            await self._asking.opened.wait()
            self.settle()
            self.trouble = ""
            self.caught_up.set()

    @property
    def _tables(self) -> tuple[AnyTable, ...]:
        return self.monitors, self.pages, self.maintenances, self.keys

    def _reader(self, table: AnyTable) -> TableReader:
        return TableReader(self._settings, table.topic, lambda record: self.take(table, record))

    def take(self, table: AnyTable, record: LogRecord) -> None:
        """Take a record of a table's topic in, and tell the listeners."""
        changed = table.apply(record)
        if changed is not None and not table.is_stood_in_for:
            self._tell(table.topic, changed)

    def stand_in(self, copied: Mapping[str, Iterable[CopiedRecord]]) -> None:
        """Show a copy, records by topic, until the topics were read to their end. Raises pydantic.ValidationError."""
        shelves = [table.shelf_of(copied.get(table.topic.name, ())) for table in self.copied_tables]
        for table, shelf in zip(self.copied_tables, shelves, strict=True):
            table.stand_in(shelf)
            for name in table.entries:
                self._tell(table.topic, name)

    @property
    def copied_tables(self) -> "list[Table[Any]]":
        """What a copy may stand in for. Not keys: a revoked one must not open anything again."""
        return [table for table in self._tables if table.topic is not KEYS]

    def settle(self) -> None:
        """Show what was read instead of the copy that stood in for it."""
        for table in self._tables:
            for changed in table.settle():
                self._tell(table.topic, changed)

    def _tell(self, topic: Topic, changed: str) -> None:
        if topic is PAGES:
            self._claim_domains(changed)
        for listener in self._listeners:
            listener(topic, changed)

    def _claim_domains(self, slug: str) -> None:
        """A domain belongs to the page that named it first, for as long as that page names it."""
        page = self.page(slug)
        named = page.document.domains if page else []
        released = {domain for domain in self._domains_of_page.get(slug, ()) if domain not in named}
        for domain in [each for each in released if self._page_by_domain[each] == slug]:
            del self._page_by_domain[domain]
        self._domains_of_page[slug] = named
        for domain in named:
            self._page_by_domain.setdefault(domain, slug)
        if released:
            for other, domains in self._domains_of_page.items():
                for domain in released.intersection(domains):
                    self._page_by_domain.setdefault(domain, other)
        if not named:
            del self._domains_of_page[slug]
