"""The lines of the list of monitors as bytes: each is made once, and given until what it says has changed.

A change of status or of the document shows at once. Uptime moves on all the time: a line of the period before is
given, and made again behind the answer. What takes long is done in slices, so that other requests go on meanwhile.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from query.catalog import Catalog, Entry
from query.facts import Facts
from query.management.states import state_of
from query.times import iso
from query.turns import Turn
from schemas.monitors import Monitor
from schemas.topics import MONITORS, Topic

PERIOD_S: Final = 10
SLICE: Final = 50
"""Lines that are made before others have their turn: a millisecond or two."""


class Lines:
    """The lines of two periods, this one's and the one's before; those that nobody asks for go with their period."""

    def __init__(self, catalog: Catalog, facts: Facts, clock: Callable[[], float] = time.time) -> None:
        self._catalog = catalog
        self._facts = facts
        self._clock = clock
        self._period = 0
        self._new: dict[str, bytes] = {}
        self._old: dict[str, bytes] = {}
        self._renewing: asyncio.Task[None] | None = None
        catalog.on_change(self._on_configuration)
        facts.on_change(self._forget)

    async def listed(self, entries: Sequence[Entry[Monitor]], *, documents: bool) -> bytes:
        """The entries' lines, with commas between them; with the documents as they were written, if wanted."""
        self._turn_period()
        lines = [self._new.get(entry.id) for entry in entries]
        told = [line for line in lines if line is not None]
        if len(told) < len(entries):
            told = await self._completed(entries, lines)
        if documents:
            told = await _with_documents(entries, told)
        return b",".join(told)

    async def _completed(self, entries: Sequence[Entry[Monitor]], lines: Sequence[bytes | None]) -> list[bytes]:
        """All lines: those of the period before are given, and made again behind the answer; the others are made."""
        turn = Turn(SLICE)
        told: list[bytes] = []
        overdue: list[Entry[Monitor]] = []
        for entry, new in zip(entries, lines, strict=True):
            line = new or self._old.get(entry.id)
            if line is None:
                line = self._make(entry)
                await turn.used()
            elif new is None:
                overdue.append(entry)
            told.append(line)
        if overdue and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(overdue))
        return told

    async def _renew(self, entries: Sequence[Entry[Monitor]]) -> None:
        turn = Turn(SLICE)
        try:
            for entry in entries:
                self._make(entry)
                await turn.used()
        finally:
            self._renewing = None

    def _turn_period(self) -> None:
        period = int(self._clock() / PERIOD_S)
        if period != self._period:
            self._old = self._new if period == self._period + 1 else {}
            self._new = {}
            self._period = period

    def _make(self, entry: Entry[Monitor]) -> bytes:
        """A line as of now, kept unless its monitor has changed since the entries were listed."""
        line = orjson.dumps(summary_of(self._facts, entry, int(self._clock() * 1000)))
        if self._catalog.monitor(entry.id) is entry:
            self._new[entry.id] = line
        return line

    def _on_configuration(self, topic: Topic, changed: str) -> None:
        if topic is MONITORS:
            self._forget(changed)

    def _forget(self, monitor: str) -> None:
        self._new.pop(monitor, None)
        self._old.pop(monitor, None)


async def _with_documents(entries: Sequence[Entry[Monitor]], lines: Sequence[bytes]) -> list[bytes]:
    turn = Turn(SLICE)
    told: list[bytes] = []
    for entry, line in zip(entries, lines, strict=True):
        document = entry.document.model_dump_json(exclude_unset=True).encode()
        told.append(b'%b,"version":%d,"monitor":%b}' % (line[:-1], entry.version, document))
        await turn.used()
    return told


def summary_of(facts: Facts, entry: Entry[Monitor], now: int) -> dict[str, Any]:
    """How a monitor does at `now`, int ms, in a line."""
    state = state_of(facts, entry, now)
    return {
        "slug": entry.document.slug,
        "title": entry.document.title,
        "url": entry.document.url,
        "status": state.status,
        "since": None if state.since is None else iso(state.since),
        "uptime_24h": state.uptime_24h,
        "coverage_24h": state.coverage_24h,
    }
