"""The lines of the list of monitors as bytes: each is made once, and given until what it says has changed.

A change of status or of the document shows at once. Uptime moves on all the time: a line of some seconds ago is given,
and made again behind the answer. What takes long is done in slices, so that other requests go on meanwhile.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson

from query.catalog import Catalog, Entry
from query.facts import Facts
from query.management.states import state_of
from query.times import iso
from schemas.monitors import Monitor
from schemas.topics import MONITORS, Topic

MADE_AGAIN_AFTER_MS: Final = 10_000
GIVEN_FOR_MS: Final = 30_000
MAKING: Final = 20
"""What a line or a document takes to make, in lines that are only looked up."""
ENOUGH: Final = 2_500
"""Of such lines, until others have their turn: one or two milliseconds."""


class Line(NamedTuple):
    """A line without its closing brace, so that the document can follow."""

    made_at: int
    text: bytes


class Lines:
    """The lines that were asked for, of all workspaces; those of deleted monitors are dropped."""

    def __init__(self, catalog: Catalog, facts: Facts) -> None:
        self._catalog = catalog
        self._facts = facts
        self._made: dict[str, Line] = {}
        self._renewing: asyncio.Task[None] | None = None
        catalog.on_change(self._on_configuration)
        facts.on_change(self._forget)

    async def listed(self, entries: Sequence[Entry[Monitor]], *, documents: bool) -> bytes:
        """The entries' lines, with commas between them; with the documents as they were written, if wanted."""
        now = time.time_ns() // 1_000_000
        texts: list[bytes] = []
        overdue: list[Entry[Monitor]] = []
        turn = Turn()
        for entry in entries:
            line = self._made.get(entry.id)
            if line is None or line.made_at < now - GIVEN_FOR_MS:
                line = self._make(entry)
                await turn.used(MAKING)
            elif line.made_at < now - MADE_AGAIN_AFTER_MS:
                overdue.append(entry)
            texts.append(line.text + (_document(entry) if documents else b"}"))
            await turn.used(MAKING if documents else 1)
        if overdue and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(overdue))
        return b",".join(texts)

    async def _renew(self, entries: Sequence[Entry[Monitor]]) -> None:
        turn = Turn()
        try:
            for entry in entries:
                self._make(entry)
                await turn.used(MAKING)
        finally:
            self._renewing = None

    def _make(self, entry: Entry[Monitor]) -> Line:
        """A line as of now, kept unless its monitor has changed since the entries were listed."""
        now = time.time_ns() // 1_000_000
        line = Line(now, orjson.dumps(summary_of(self._facts, entry, now))[:-1])
        if self._catalog.monitor(entry.id) is entry:
            self._made[entry.id] = line
        return line

    def _on_configuration(self, topic: Topic, changed: str) -> None:
        if topic is MONITORS:
            self._forget(changed)

    def _forget(self, monitor: str) -> None:
        self._made.pop(monitor, None)


class Turn:
    """How much was done since others had their turn."""

    def __init__(self) -> None:
        self._done = 0

    async def used(self, work: int) -> None:
        """Count some work, in lines that are looked up; let the others go on when it was enough."""
        self._done += work
        if self._done >= ENOUGH:
            self._done = 0
            await asyncio.sleep(0)


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


def _document(entry: Entry[Monitor]) -> bytes:
    document = entry.document.model_dump_json(exclude_unset=True).encode()
    return b',"version":%d,"monitor":%b}' % (entry.version, document)
