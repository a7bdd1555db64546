"""The catalogue: monitors, pages, maintenances and keys as they are now, in memory, following their compacted topics.

There is no other database of configuration; a write is an event, and is readable here once its offset has
come by (`wait_for`). Everything runs on one event loop, so a reader never sees a half-applied record.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pydantic import ValidationError

from infra.kafka import LogRecord, TableReader
from infra.logs import get_logger
from infra.settings import Settings
from query.metrics import LEFT_OUT
from schemas.monitors import Document, Key, Maintenance, Monitor, Page, Record
from schemas.topics import KEYS, MAINTENANCES, MONITORS, PAGES, Topic

DocumentT = TypeVar("DocumentT", bound=Document)
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


class Table(Generic[DocumentT]):
    """One topic's living documents by id, and how far it was read."""

    def __init__(self, topic: Topic, record: type[Record[DocumentT]]) -> None:
        self.topic = topic
        self.entries: dict[str, Entry[DocumentT]] = {}
        self._record = record
        self._next_offsets: defaultdict[int, int] = defaultdict(int)
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._by_workspace: defaultdict[str, dict[str, Entry[DocumentT]]] = defaultdict(dict)
        self._ids: dict[str, list[str]] = {}

    def apply(self, record: LogRecord) -> str | None:
        """Take a record in; returns the id whose document changed. A record that was taken before changes nothing."""
        if record.offset < self._next_offsets[record.partition]:
            return None
        try:
            self._replace(record, None if record.value is None else self._record.from_log(record.value))
        except ValidationError as error:
            LEFT_OUT.labels(self.topic.name).inc()
            place = {"topic": self.topic.name, "partition": record.partition, "offset": record.offset}
            _log.error("record cannot be read; the version before it stays", **place, error=str(error))
        self._next_offsets[record.partition] = record.offset + 1
        self._wake(record.partition)
        return record.key

    def of_workspace(self, workspace: str) -> Iterable[Entry[DocumentT]]:
        """The workspace's entries, in the order in which they were first written."""
        return self._by_workspace[workspace].values() if workspace in self._by_workspace else ()

    def ids_of(self, workspace: str) -> Sequence[str]:
        """The ids of the workspace's entries in their order, sorted when it was asked for first."""
        if workspace not in self._by_workspace:
            return ()
        if workspace not in self._ids:
            self._ids[workspace] = sorted(self._by_workspace[workspace])
        return self._ids[workspace]

    async def wait_for(self, partition: int, offset: int) -> None:
        """Return once the record at `offset` was taken in."""
        if self._next_offsets[partition] <= offset:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((partition, offset, waiter))
            await waiter

    def _replace(self, record: LogRecord, parsed: Record[DocumentT] | None) -> None:
        previous = self.entries.get(record.key)
        if parsed is None or parsed.document is None:
            self.entries.pop(record.key, None)
        else:
            self.entries[record.key] = Entry(
                record.key, parsed.workspace, record.offset, parsed.at, parsed.by, parsed.document
            )
        current = self.entries.get(record.key)
        if previous is not None and (current is None or current.workspace != previous.workspace):
            del self._by_workspace[previous.workspace][record.key]
            self._ids.pop(previous.workspace, None)
        if current is not None:
            if record.key not in self._by_workspace[current.workspace]:
                self._ids.pop(current.workspace, None)
            self._by_workspace[current.workspace][record.key] = current

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

    async def run(self) -> None:
        """Follow the topics until cancelled; Kafka may be away, now or later."""
        async with asyncio.TaskGroup() as group:
            readers = [self._reader(table) for table in self._tables]
            for reader in readers:
                group.create_task(reader.run())
            for reader in readers:
                await reader.caught_up.wait()
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
        if changed is None:
            return
        if table is self.pages:
            self._claim_domains(changed)
        for listener in self._listeners:
            listener(table.topic, changed)

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
