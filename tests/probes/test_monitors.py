"""From records of `monitors` to the schedule of one region."""

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRebalanceListener, TopicPartition

from infra.settings import Settings
from probes.compiled import CompiledMonitor, Compiler
from probes.fetch import Fetcher
from probes.monitors import MonitorFeed, MonitorTable
from probes.schedule import Schedule
from probes.secrets import Secrets
from schemas.monitors import Monitor, Record


async def _check(monitor: CompiledMonitor, scheduled_at: int) -> None:
    return None


class Probe:
    """A table over a schedule that stands still."""

    def __init__(self, region: str = "eu") -> None:
        self.schedule: Schedule[CompiledMonitor] = Schedule(region, _check, lambda monitor, at: None)
        self.compiler = Compiler(Fetcher(), Secrets(None, {}))
        self.table = MonitorTable(region, self.compiler, self.schedule)

    @property
    def versions(self) -> dict[str, int]:
        return {job.monitor: job.version for job in self.schedule.jobs()}


def record(slug: str = "api", **fields: Any) -> bytes:
    document = Monitor.model_validate({"slug": slug, "url": "https://example.com/"} | fields)
    return Record[Monitor](workspace="default", by="me", at=1, document=document).to_log()


def test_the_newest_record_counts_and_its_offset_is_the_version() -> None:
    probe = Probe()

    probe.table.apply(0, 3, "default/api", record())
    probe.table.apply(0, 9, "default/api", record(interval="5s"))

    assert probe.versions == {"default/api": 9}
    assert probe.schedule.jobs()[0].interval_ms == 5_000


def test_paused_deleted_and_vanished_monitors_are_not_checked() -> None:
    probe = Probe()
    for offset, slug in enumerate(("a", "b", "c", "d")):
        probe.table.apply(0, offset, f"default/{slug}", record(slug))

    probe.table.apply(0, 10, "default/a", record("a", paused=True))
    probe.table.apply(0, 11, "default/b", Record[Monitor](workspace="default", by="me", at=2, document=None).to_log())
    probe.table.apply(0, 12, "default/c", None)

    assert probe.versions == {"default/d": 3}


def test_a_monitor_of_other_regions_is_left_to_them() -> None:
    probe = Probe("eu")

    probe.table.apply(0, 1, "default/a", record("a", regions=["us"]))
    probe.table.apply(0, 2, "default/b", record("b", regions=["us", "eu"]))

    assert probe.versions == {"default/b": 2}


def test_a_partition_that_goes_takes_its_monitors_and_no_others() -> None:
    probe = Probe()
    probe.table.apply(0, 1, "default/a", record("a"))
    probe.table.apply(1, 1, "default/b", record("b"))

    probe.table.keep({1, 7})

    assert probe.versions == {"default/b": 1}


def test_a_record_that_nobody_can_read_is_counted_and_stops_nothing() -> None:
    probe = Probe()
    probe.table.apply(0, 1, "default/a", record("a"))

    probe.table.apply(0, 2, "default/a", b"\xff{")
    probe.table.apply(0, 3, "default/x", b'{"workspace": "default", "by": "", "at": 1, "document": {"slug": "x"}}')
    probe.table.apply(0, 4, "default/b", record("b"))

    assert probe.table.undecodable == 2
    assert probe.versions == {"default/a": 1, "default/b": 4}


def test_fields_of_a_newer_version_are_ignored() -> None:
    probe = Probe()

    probe.table.apply(0, 1, "default/a", record("a").replace(b'"slug"', b'"from_the_future":1,"slug"'))

    assert probe.versions == {"default/a": 1}


class Log:
    """A consumer of one partition; it gives `polls` one after another, of a log that ends at `end`."""

    partition = TopicPartition("monitors", 0)

    def __init__(self, polls: Iterable[list[tuple[int, str, bytes]]], end: int) -> None:
        self.read = asyncio.Event()
        self._polls = iter(polls)
        self._end = end
        self._listener: ConsumerRebalanceListener

    def subscribe(self, topics: list[str], listener: ConsumerRebalanceListener) -> None:
        self._listener = listener

    async def start(self) -> None:
        await self._listener.on_partitions_assigned({self.partition})

    async def stop(self) -> None:
        return None

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        return None

    def assignment(self) -> set[TopicPartition]:
        return {self.partition}

    def highwater(self, partition: TopicPartition) -> int:
        return self._end

    async def getmany(self, **_: Any) -> dict[TopicPartition, list[Any]]:
        records = next(self._polls, None)
        if records is None:
            self.read.set()
            await asyncio.Event().wait()
        read = [SimpleNamespace(offset=offset, key=key.encode(), value=value) for offset, key, value in records or ()]
        return {self.partition: read} if read else {}


def versions_that_counted(
    monkeypatch: pytest.MonkeyPatch, polls: Iterable[list[tuple[int, str, bytes]]], end: int
) -> list[tuple[str, int]]:
    """Each version that a feed of this log gives to its table."""
    counted = []

    class Table(MonitorTable):
        def apply(self, partition: int, offset: int, monitor_id: str, value: bytes | None) -> None:
            counted.append((monitor_id, offset))

    async def main() -> None:
        log = Log(polls, end)
        monkeypatch.setattr("probes.monitors.AIOKafkaConsumer", lambda **_: log)
        probe = Probe()
        settings = Settings(kafka="127.0.0.1:9")
        feed = asyncio.create_task(MonitorFeed(settings, Table("eu", probe.compiler, probe.schedule)).run())
        await log.read.wait()
        feed.cancel()
        await asyncio.wait([feed])

    asyncio.run(main())
    return counted


def test_what_was_replaced_or_deleted_since_is_not_checked_when_the_log_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [(0, "default/a", record("a")), (1, "default/b", record("b"))]
    since = [(2, "default/a", record("a", interval="5s"))]

    assert versions_that_counted(monkeypatch, [before, since], end=3) == [("default/a", 2), ("default/b", 1)]


def test_a_change_counts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    polls = [[(0, "default/a", record("a"))]]

    assert versions_that_counted(monkeypatch, polls, end=1) == [("default/a", 0)]


def test_a_log_whose_end_was_compacted_away_counts_when_nothing_more_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    polls = [[(0, "default/a", record("a"))], []]

    assert versions_that_counted(monkeypatch, polls, end=9) == [("default/a", 0)]
