"""`pulse probe`: monitors shared, handed over without a gap, an orderly end; what it asks and tells of itself."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from infra.kafka import open_producer, partition_of, provision_topics
from infra.settings import Settings
from probes.service import ProbeService, open_files
from schemas.events import CheckBatch, CheckResult, decode_log
from schemas.monitors import Monitor, Record
from schemas.topics import CHECK_RESULTS, MONITORS
from tests.engines import forget_topics

MONITOR_COUNT = 40
PATIENCE_S = 60.0


class Probe:
    """A `pulse probe` in a process of its own."""

    def __init__(self, settings: Settings, name: str, folder: Path) -> None:
        self.output = folder / f"{name}.log"
        environment = {
            "PULSE_KAFKA": settings.kafka or "",
            "PULSE_PROBE": name,
            "PULSE_DATA": str(folder),
            "PULSE_PROBE_ALLOW": "127.0.0.0/8",
        }
        with self.output.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", "probe"], env=os.environ | environment, stdout=file, stderr=file
            )

    def stop(self) -> float:
        """SIGTERM; how long the end took, in seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=PATIENCE_S) == 0, self.output.read_text()
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        self.process.kill()
        self.process.wait()


class Results:
    """What stands in `check-results`."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = AIOKafkaConsumer(
            CHECK_RESULTS.name, bootstrap_servers=settings.kafka, auto_offset_reset="earliest"
        )
        self.by_probe: dict[str, list[CheckResult]] = defaultdict(list)
        self.partitions: dict[str, set[int]] = defaultdict(set)

    async def __aenter__(self) -> "Results":
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def read_until(self, condition: Callable[[], bool]) -> None:
        """Read on until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, {probe: len(seen) for probe, seen in self.by_probe.items()}
            for partition, records in (await self._consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    self._take(partition.partition, decode_log(record.value))

    def _take(self, partition: int, batch: Any) -> None:
        assert isinstance(batch, CheckBatch)
        assert batch.region == "local"
        self.by_probe[batch.probe] += batch.results
        for result in batch.results:
            self.partitions[result.monitor].add(partition)

    def newest(self, probe: str, seconds: float = 1.5) -> set[str]:
        """The monitors that a probe checked just now."""
        since = (time.time() - seconds) * 1_000
        return {result.monitor for result in self.by_probe[probe] if result.scheduled_at > since}

    def slots(self) -> dict[str, list[int]]:
        """The slots of each monitor that somebody checked."""
        slots: dict[str, set[int]] = defaultdict(set)
        for results in self.by_probe.values():
            for result in results:
                slots[result.monitor].add(result.scheduled_at)
        return {monitor: sorted(found) for monitor, found in slots.items()}


async def answering(work: Callable[[int], Awaitable[None]]) -> None:
    """A target on loopback while `work(port)` goes on."""
    body = json.dumps({"status": "ok", "database": "ok"}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        await work(server.sockets[0].getsockname()[1])


async def write_monitors(settings: Settings, port: int) -> None:
    async with open_producer(settings) as producer:
        for number in range(MONITOR_COUNT):
            monitor = Monitor.model_validate(
                {"slug": f"m{number}", "url": f"http://127.0.0.1:{port}/{number}", "interval": "1s"}
                | {"assertions": [{"jsonpath": "$.database", "equals": "ok"}]}
            )
            record = Record[Monitor](workspace="default", by="test", at=1, document=monitor)
            name = f"default/m{number}"
            partition = partition_of(name, settings.partitions)
            await producer.send_and_wait(MONITORS.name, record.to_log(), key=name.encode(), partition=partition)


@pytest.fixture
def settings(kafka: str) -> Settings:
    empty = Settings(kafka=kafka)

    async def prepare() -> None:
        await forget_topics(empty)
        await provision_topics(empty)

    asyncio.run(prepare())
    return empty


@pytest.mark.engines
def test_probes_share_monitors_and_hand_them_over_without_a_gap(settings: Settings, tmp_path: Path) -> None:
    ends: list[float] = []

    async def work(port: int) -> None:
        await write_monitors(settings, port)
        first = Probe(settings, "first", tmp_path)
        second: Probe | None = None
        try:
            async with Results(settings) as results:
                await results.read_until(lambda: len(results.newest("first")) == MONITOR_COUNT)
                second = Probe(settings, "second", tmp_path)
                await results.read_until(
                    lambda: (
                        0 < len(results.newest("second")) < MONITOR_COUNT
                        and not results.newest("first", 3) & results.newest("second")
                    )
                )
                assert results.newest("first", 3) | results.newest("second", 3) == set(results.slots())
                ends.append(await asyncio.to_thread(second.stop))
                await results.read_until(lambda: len(results.newest("first")) == MONITOR_COUNT)
                ends.append(await asyncio.to_thread(first.stop))
                await results.read_until(lambda: not results.newest("first", 0.5))
            check(results)
        finally:
            first.kill()
            if second is not None:
                second.kill()

    def check(results: Results) -> None:
        assert all(r.outcome == "up" or r.reason == "probe_offline" for rs in results.by_probe.values() for r in rs)
        assert results.partitions == {m: {partition_of(m, settings.partitions)} for m in results.slots()}
        gaps = [gap for slots in results.slots().values() for gap in (b - a for a, b in pairwise(slots))]
        assert all(gap % 1_000 == 0 for gap in gaps), "slots stay where they are, whoever checks"
        assert max(gaps) <= 3_000, "a hand-over takes no longer than the group needs to settle"

    asyncio.run(answering(work))
    assert max(ends) < 10


def test_a_probe_that_takes_its_network_for_lost_says_so_at_healthz(tmp_path: Path) -> None:
    service = ProbeService(Settings(kafka="127.0.0.1:1", data=tmp_path))
    assert service.problem() is None

    service.network.offline = True

    assert service.problem() == service.network.verdict


@pytest.mark.parametrize(("granted", "found"), [(1 << 62, 1 << 62), (20_000, 10_240), (1_000, 256)])
def test_a_probe_asks_for_as_many_open_files_as_the_system_grants(
    monkeypatch: pytest.MonkeyPatch, granted: int, found: int
) -> None:
    def grant(_: int, limits: tuple[int, int]) -> None:
        if limits[0] > granted:
            raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1 << 62))
    monkeypatch.setattr(resource, "setrlimit", grant)

    assert open_files() == found
