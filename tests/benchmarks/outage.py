"""Pages and badges at 1,000 requests a second while each engine is killed and comes back.

The value is the worse p99; the reference is the p99 while nothing is away. Beside it: how many requests failed, and how
long after an engine answers again a change that it tells is shown, and nothing is called old any more. An engine that
starts wants every core that there is; a service in production has its own, so here the engines take what is left over.
`waited` is the share of its time in which the service had work and no core: what it says is the machine's delay.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from infra.clickhouse import open_client
from infra.kafka import open_producer
from query.facts import STALE_AFTER_MS
from query.uptime import DAY_MS, DAYS, HOUR_MS
from schemas.enums import Reason, Status
from schemas.events import StatusChange, encode
from schemas.monitors import Group, Page, Record, monitor_id
from schemas.topics import PAGES, STATUS_CHANGES
from tests.benchmarks.report import report
from tests.engines import free_ports
from tests.faults.processes import Installation, wait_until
from tests.query.service import is_ready

PAGE_COUNT: Final = 50
MONITORS_OF_PAGE: Final = 4
RATE: Final = 1_000
CALM_S: Final = 10.0
AWAY_S: Final = STALE_AFTER_MS / 1000 + 10
LONGEST_S: Final = 600
ENGINES: Final = ("kafka", "clickhouse")
GIVE_WAY: Final = ("chrt", "--idle", "0")


def main() -> None:
    """One line for both engines."""
    started = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))
    monitors = PAGE_COUNT * MONITORS_OF_PAGE
    with tempfile.TemporaryDirectory() as folder, Modest(Path(folder), monitors) as installation:
        asyncio.run(_fill(installation))
        (port,) = free_ports(1)
        environment = {"PULSE_HTTP": f"127.0.0.1:{port}", "PULSE_DATA": folder}
        query = installation.start("query", [sys.executable, "-m", "infra.cli", "query"], environment)
        os.sched_setaffinity(query.pid, {cores[0]})
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
            run = Run(installation, client, port, cores[-1], query.pid)
            wait_until(lambda: is_ready(client), "the query service is ready")
            wait_until(lambda: _says(client, 0, Status.UP), "the pages are filled")
            for target in _targets():
                client.get(target).raise_for_status()
            with run.load() as calm:
                time.sleep(CALM_S)
            clickhouse, clickhouse_fresh_s = run.outage("clickhouse", installation.start_clickhouse, 1)
            kafka, kafka_fresh_s = run.outage("kafka", installation.start_kafka, 2)
    report(
        "outage",
        max(clickhouse["p99_ms"], kafka["p99_ms"]),
        f"ms, p99 at {RATE} requests/s while an engine is away and comes back",
        "nothing away",
        calm["p99_ms"],
        started,
        failed=sum(each["failed"] for each in (calm, clickhouse, kafka)),
        failures=clickhouse["failures"] + kafka["failures"],
        answered=sum(each["answered"] for each in (calm, clickhouse, kafka)),
        waited=calm["waited"],
        clickhouse=_told(clickhouse, clickhouse_fresh_s),
        kafka=_told(kafka, kafka_fresh_s),
    )


def _told(figures: dict[str, Any], fresh_s: float) -> dict[str, float]:
    return {"p99_ms": round(figures["p99_ms"], 2), "waited": figures["waited"], "fresh_s": round(fresh_s, 2)}


class Modest(Installation):
    """An installation whose engines give way to everybody else."""

    def start(self, name: str, command: list[str], more: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """A process of ours under a name."""
        return super().start(name, [*GIVE_WAY, *command] if name in ENGINES else command, more)


class Run:
    """An installation whose engines are killed under load."""

    def __init__(self, installation: Installation, client: httpx.Client, port: int, core: int, service: int) -> None:
        self._installation = installation
        self._client = client
        self._port = port
        self._core = core
        self._waits = Path(f"/proc/{service}/schedstat")

    def outage(self, name: str, start: Callable[[], None], number: int) -> tuple[dict[str, Any], float]:
        """Kill it, wait, start it, and let a monitor go down.

        The load's figures, and seconds from the engine's first answer until that is shown and nothing is called old.
        """
        with self.load() as figures:
            self._installation.kill(name)
            time.sleep(AWAY_S)
            if name == "clickhouse":
                assert int(self._client.get("/badges/page-0/status.svg").headers["age"]) >= STALE_AFTER_MS / 1000
                assert "These figures are old" in self._client.get("/p/page-0").text
            start()
            returned = time.monotonic()
            asyncio.run(self._go_down(number))
            wait_until(lambda: _says(self._client, number, Status.DOWN), "the change is shown")
            fresh_s = time.monotonic() - returned
        return figures, fresh_s

    @contextmanager
    def load(self) -> Iterator[dict[str, Any]]:
        """1,000 requests a second; the dict is filled at the end."""
        command = [sys.executable, "-m", "tests.benchmarks._load", *map(str, (self._port, self._core, LONGEST_S, RATE))]
        asked = orjson.dumps({"targets": _targets(), "headers": "Accept-Encoding: br\r\n"})
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(asked)
        process.stdin.close()
        process.stdin = None
        figures: dict[str, Any] = {}
        started, waited_s = time.monotonic(), self._waited_s()
        try:
            yield figures
            figures["waited"] = round((self._waited_s() - waited_s) / (time.monotonic() - started), 3)
            process.terminate()
            figures |= orjson.loads(process.communicate(timeout=30)[0])
        finally:
            process.kill()
            process.wait()

    def _waited_s(self) -> float:
        """How long the service's only busy thread has waited for a core so far."""
        return int(self._waits.read_text("ascii").split()[1]) / 1e9

    async def _go_down(self, number: int) -> None:
        """What the stream does when a monitor goes down: a row, then an event."""
        at = int(time.time() * 1000)
        await _write_status(self._installation, {number: Status.DOWN}, version=2)
        change = StatusChange(_monitor(number), at, 2, at, Status.UP, Status.DOWN, Reason.TIMEOUT, "")
        async with open_producer(self._installation.settings) as producer:
            await producer.send_and_wait(STATUS_CHANGES.name, encode(change))


def _says(client: httpx.Client, number: int, status: Status) -> bool:
    """Whether a monitor's page says so, and does not call itself old."""
    page, place = divmod(number, MONITORS_OF_PAGE)
    answer = client.get(f"/status/page-{page}")
    if answer.status_code != 200 or "age" in answer.headers:
        return False
    document = answer.json()
    return bool(document["groups"][0]["monitors"][place]["status"] == status and document["stale_since"] is None)


def _targets() -> list[str]:
    targets = []
    for page in range(PAGE_COUNT):
        targets += [f"/p/page-{page}", f"/status/page-{page}"]
        targets += [f"/badges/page-{page}/{kind}.svg" for kind in ("status", "uptime")]
        for number in range(page * MONITORS_OF_PAGE, (page + 1) * MONITORS_OF_PAGE):
            targets += [f"/badges/page-{page}/made-up-{number}/{kind}.svg" for kind in ("status", "uptime", "latency")]
    return targets


def _monitor(number: int) -> str:
    return monitor_id("default", f"made-up-{number}")


async def _fill(installation: Installation) -> None:
    """Pages over all monitors, which are up and were for 90 days."""
    at = int(time.time() * 1000)
    async with open_producer(installation.settings) as producer:
        for page in range(PAGE_COUNT):
            first = page * MONITORS_OF_PAGE
            slugs = [f"made-up-{number}" for number in range(first, first + MONITORS_OF_PAGE)]
            document = Page(slug=f"page-{page}", groups=[Group(name="All", monitors=slugs)])
            record = Record[Page](workspace="default", by="test", at=at, document=document)
            await producer.send_and_wait(PAGES.name, record.to_log(), document.slug.encode())
    numbers = range(PAGE_COUNT * MONITORS_OF_PAGE)
    await _write_status(installation, dict.fromkeys(numbers, Status.UP), version=1)
    names = ["monitor", "step", "bucket", "version", "known_until", "up_ms"]
    midnight = at // DAY_MS * DAY_MS
    days = [midnight - age * DAY_MS for age in range(1, DAYS)]
    rows = [(_monitor(number), "day", day // 1000, 1, day + DAY_MS, DAY_MS) for number in numbers for day in days]
    async with open_client(installation.settings) as client:
        await client.insert("uptime_buckets", rows, names)


async def _write_status(installation: Installation, statuses: dict[int, Status], version: int) -> None:
    """Statuses that stay confirmed for an hour: no stream is needed to say so again and again."""
    at = int(time.time() * 1000)
    names = ["monitor", "version", "status", "since", "known_until", "reason", "message"]
    rows = [
        (_monitor(number), version, status.value, at, at + HOUR_MS, Reason.OK.value, "")
        for number, status in statuses.items()
    ]
    async with open_client(installation.settings) as client:
        await client.insert("current_status", rows, names)


if __name__ == "__main__":
    main()
