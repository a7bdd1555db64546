"""Keeps every version of pages and keys in ClickHouse, with who wrote it: their topics keep only the newest.

Every worker does, since the same row again changes nothing. Monitors and maintenances, of which the log is told too,
go another way (`revisions`).
"""

import asyncio
from functools import partial
from typing import Final

from infra.kafka import LogRecord, TableReader
from infra.settings import Settings
from schemas.events import UNREADABLE
from schemas.topics import KEYS, PAGES, Topic
from stream.monitor_records import kept_of
from stream.sink import Insert, Sink

_NAMES: Final = ("topic", "id", "version", "at", "by", "document")
_Row = tuple[str, str, int, int, str, str]


class Audit:
    """Follows `pages` and `keys`."""

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self._sink = sink
        self._rows: list[_Row] = []
        self._came = asyncio.Event()
        self._readers = [TableReader(settings, topic, partial(self._take, topic)) for topic in (PAGES, KEYS)]

    async def run(self) -> None:
        """Follow and write until cancelled."""
        await asyncio.gather(*(reader.run() for reader in self._readers), self._write())

    def _take(self, topic: Topic, record: LogRecord) -> None:
        self._rows.append(_row(topic, record))
        self._came.set()

    async def _write(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            rows, self._rows = self._rows, []
            await self._sink.write(Insert.of_rows("configuration_versions", _NAMES, rows))


def _row(topic: Topic, record: LogRecord) -> _Row:
    """What cannot be read is kept as it is."""
    try:
        at, by, document = kept_of(record)
    except UNREADABLE:
        at, by, document = record.timestamp, "", (record.value or b"").decode("utf-8", "replace")
    return topic.name, record.key, record.offset, at, by, document
