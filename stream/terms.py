"""The terms of every monitor's every version: followed in the topic `monitors`, the older ones kept in ClickHouse.

A result is folded under the version that it names, however late that version reaches this worker. A version that
is in neither place is lost, and the fold uses its default terms; a result whose monitor is in neither place goes to
the dead letters. Both are counted.
"""

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Final

from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.kafka import LogRecord, TableReader, log_ends, partition_of
from infra.logs import get_logger
from infra.settings import Settings
from schemas.topics import MONITORS
from stream import metrics
from stream.folds import Terms
from stream.monitor_records import UNREADABLE_MONITOR, Revision, read_revision, terms_of
from stream.patience import until_it_works
from stream.queries import query

PATIENCE_S: Final = 1.0
POLL_S: Final = 0.02
MAX_LOST: Final = 100_000
_log = get_logger(__name__)

Naming = tuple[str, int]
"""A monitor and its version."""


class MonitorTerms:
    """What the fold asks for, and what the partitions' owners have to pass on."""

    def __init__(self, settings: Settings, client: AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._terms: dict[Naming, Terms] = {}
        self._monitors: set[str] = set()
        self._lost: set[Naming] = set()
        """Those that were looked for in vain, so that whoever names them cannot slow the stream down."""
        self._read_up_to: defaultdict[int, int] = defaultdict(lambda: -1)
        self._revisions: defaultdict[int, list[Revision]] = defaultdict(list)
        self.changed = asyncio.Event()
        """Set at every record; whoever waits for it clears it."""
        self._reader = TableReader(settings, MONITORS, self._take)

    def get(self, monitor: str, version: int) -> Terms | None:
        """The terms, where `find` has seen them."""
        return self._terms.get((monitor, version))

    async def run(self) -> None:
        """Follow `monitors` until cancelled."""
        await self._reader.run()

    async def caught_up(self) -> None:
        """Returns when all that stood in `monitors` at the start was read."""
        await self._reader.caught_up.wait()

    async def find(self, wanted: Iterable[Naming]) -> set[Naming]:
        """Make `get` know them; returns those that are lost."""
        await self.caught_up()
        unseen = set(wanted) - self._terms.keys()
        if asked := unseen - self._lost:
            await self._wait_for(asked)
            await self._recall(asked - self._terms.keys())
            self._remember_lost(asked - self._terms.keys())
        return unseen - self._terms.keys()

    def knows(self, monitor: str) -> bool:
        """Whether the monitor has ever been; a deletion is a record too, and the newest record is never compacted."""
        return monitor in self._monitors

    def revisions(self, partition: int, after: int) -> list[Revision]:
        """The revisions of a partition above `after`, in order. Those up to it, told and stored, are forgotten."""
        revisions = self._revisions[partition]
        del revisions[: bisect_right(revisions, after, key=attrgetter("version"))]
        return revisions

    def _take(self, record: LogRecord) -> None:
        self._read_up_to[record.partition] = record.offset
        self._monitors.add(record.key)
        self.changed.set()
        try:
            revision = read_revision(record)
        except UNREADABLE_MONITOR as error:
            # The topic still holds the bytes; results that name this version are folded under default terms.
            metrics.DEAD_LETTERS.labels("unreadable_monitor").inc()
            _log.error("a monitor cannot be read", monitor=record.key, version=record.offset, error=str(error)[:500])
            return
        self._revisions[record.partition].append(revision)
        if revision.terms is not None:
            self._terms[revision.monitor, revision.version] = revision.terms

    async def _wait_for(self, wanted: set[Naming]) -> None:
        """Wait until the reader has passed these versions, unless the topic does not reach so far."""
        versions: dict[int, int] = {}
        for monitor, version in wanted:
            partition = partition_of(monitor, self._settings.partitions)
            versions[partition] = max(version, versions.get(partition, -1))
        if await self._passed(versions, PATIENCE_S):
            return
        ends = await until_it_works("ask where monitors ends", lambda: log_ends(self._settings, MONITORS))
        await self._passed({p: min(version, ends[p] - 1) for p, version in versions.items()}, None)

    async def _passed(self, versions: dict[int, int], patience_s: float | None) -> bool:
        try:
            async with asyncio.timeout(patience_s):
                while any(self._read_up_to[p] < version for p, version in versions.items()):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            return False
        return True

    def _remember_lost(self, lost: set[Naming]) -> None:
        if len(self._lost) > MAX_LOST:
            self._lost.clear()
        self._lost |= lost

    async def _recall(self, wanted: set[Naming]) -> None:
        if not wanted:
            return

        async def attempt() -> Sequence[Sequence[Any]]:
            result = await self._client.query(query("monitor_versions"), parameters={"wanted": sorted(wanted)})
            return result.result_rows

        for monitor, version, document in await until_it_works("read monitor versions", attempt):
            if document:
                try:
                    self._terms[monitor, version] = terms_of(document)
                except UNREADABLE_MONITOR as error:  # written under rules that have grown stricter since: it is lost
                    _log.error("a monitor cannot be read", monitor=monitor, version=version, error=str(error)[:500])
