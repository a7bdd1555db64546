"""A copy of the configuration on disk: what pages and badges stand on after a restart, until the log can be read.

It is only ever shown whole, and only instead of the log that it was read from; what the log says replaces it.
"""

import asyncio
import os
import time
import zlib
from pathlib import Path
from typing import Final

import msgspec
from pydantic import ValidationError

from infra.logs import get_logger
from infra.settings import Settings
from query.catalog import Catalog, CopiedRecord
from query.times import iso
from schemas.topics import Topic

AFTER_CHANGE_S: Final = 2.0
RECORDS_AT_ONCE: Final = 200
CHECKSUM_BYTES: Final = 4
_log = get_logger(__name__)


class NotWhole(ValueError):
    """The file is not what was written."""


class Copy(msgspec.Struct, frozen=True):
    """Records by topic, the brokers that they are from, and when the log said so (int ms)."""

    kafka: str
    at: int
    records: dict[str, list[CopiedRecord]]


class ConfigurationCopy:
    """The catalogue's copy, in the data folder. `stand_in` shows it, `keep` writes it anew after each change."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._path = settings.data / "query" / "configuration"
        self._kafka = settings.kafka or ""
        self._catalog = catalog
        self._changed = asyncio.Event()
        catalog.on_change(self._on_change)

    def stand_in(self) -> None:
        """Show the copy, where there is one of this installation, until the log was read."""
        try:
            copy = read_copy(self._path)
            if copy is None or copy.kafka != self._kafka:
                return
            self._catalog.stand_in(copy.records)
        except (OSError, NotWhole, ValidationError) as error:
            _log.warning("the copy of the configuration is of no use", path=str(self._path), error=str(error))
        else:
            self._catalog.trouble = f"the configuration is a copy of {iso(copy.at)}: its topics were not read yet"

    async def keep(self) -> None:
        """Write the copy once the log was read, and soon after each change, until cancelled."""
        await self._catalog.caught_up.wait()
        while True:
            self._changed.clear()
            try:
                copy = await self._copied()
                await asyncio.to_thread(write_copy, self._path, copy)
            except OSError as error:
                _log.warning("the configuration cannot be copied", path=str(self._path), error=str(error))
            await self._changed.wait()
            await asyncio.sleep(AFTER_CHANGE_S)

    async def _copied(self) -> Copy:
        records: dict[str, list[CopiedRecord]] = {}
        for table in self._catalog.copied_tables:
            records[table.topic.name] = []
            for number, record in enumerate(table.records()):
                records[table.topic.name].append(record)
                if number % RECORDS_AT_ONCE == RECORDS_AT_ONCE - 1:
                    await asyncio.sleep(0)
        return Copy(self._kafka, time.time_ns() // 1_000_000, records)

    def _on_change(self, topic: Topic, changed: str) -> None:
        self._changed.set()


def write_copy(path: Path, copy: Copy) -> None:
    """Replace the file: whoever reads it sees the one before or this one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = msgspec.msgpack.encode(copy)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(zlib.crc32(data).to_bytes(CHECKSUM_BYTES) + data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read_copy(path: Path) -> Copy | None:
    """What was written; None where nothing was. Raises NotWhole, OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    checksum, data = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if zlib.crc32(data).to_bytes(CHECKSUM_BYTES) != checksum:
        raise NotWhole("its checksum differs")
    try:
        return msgspec.msgpack.decode(data, type=Copy)
    except msgspec.MsgspecError as error:
        raise NotWhole(str(error)) from None
