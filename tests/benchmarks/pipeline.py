"""CPU seconds a 1,000 checks, of all processes together: probe, Kafka, stream worker, ClickHouse. The target is apart.

At 1,000 checks a second, and (as `slow`) at 100 a second, each with its parts. `idle` is what the two engines take
while nobody asks anything of them, in CPU milliseconds a second: at 10 ms a second it is 0.1 of every 1,000 checks at
100 a second. `bare` is a loop over bare sockets that only asks and parses the answers' HTTP, at the same rates: the
fewer checks a second, the more of a machine's caches has gone to others between two of them. The reference is the usual
Faust agent that takes a message a result, at 1,000 results a second, with Kafka and ClickHouse, and without a probe.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from infra.clickhouse import open_client
from infra.kafka import open_producer
from tests.benchmarks._checks import bare_sockets, target
from tests.benchmarks._flow import flow
from tests.benchmarks.ingest import SINGLE_TOPIC, create_single_topic
from tests.benchmarks.report import report
from tests.faults.history import write_monitors
from tests.faults.processes import Installation

MONITORS: Final = 1_000
WARM_S: Final = 20.0
SECONDS: Final = 30.0
STORED_WITHIN_S: Final = 13.0
FAST_MS: Final = 1_000
SLOW_MS: Final = 10_000
CHECKS: Final = """
SELECT count() FROM check_results
WHERE scheduled_at >= fromUnixTimestamp64Milli({began_at:Int64})
  AND scheduled_at < fromUnixTimestamp64Milli({ended_at:Int64})
"""


def main() -> None:
    """One run of each."""
    started = time.monotonic()
    reference = _reference()
    fast = _measure(FAST_MS)
    slow = _measure(SLOW_MS)
    report(
        "pipeline",
        sum(fast.values()),
        "CPU s / 1,000 checks",
        "Faust, a message a result, without the probe",
        sum(reference.values()),
        started,
        parts=_rounded(fast, 4),
        slow=round(sum(slow.values()), 3),
        slow_parts=_rounded(slow, 3),
        bare=_rounded(_bare(), 3),
        idle_ms_per_second=_rounded(_idle(), 1),
    )


def _rounded(parts: dict[str, float], digits: int) -> dict[str, float]:
    return {name: round(value, digits) for name, value in parts.items()}


def _measure(interval_ms: int) -> dict[str, float]:
    with target() as url, tempfile.TemporaryDirectory() as folder, Installation(Path(folder), 0) as installation:
        installation.start_worker(0)
        installation.start_probe()
        asyncio.run(_add_monitors(installation, url, interval_ms))
        return asyncio.run(_spend(installation))


def _bare() -> dict[str, float]:
    """CPU seconds a 1,000 checks."""
    with target() as url:
        rates = {"fast": MONITORS * 1_000 // FAST_MS, "slow": MONITORS * 1_000 // SLOW_MS}
        return {name: bare_sockets(url, rate, SECONDS).cpu_us / 1_000 for name, rate in rates.items()}


def _idle() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), 0) as installation:
        time.sleep(WARM_S)
        before = installation.cpu_seconds()
        time.sleep(SECONDS)
        after = installation.cpu_seconds()
        return {name: (after[name] - before[name]) / SECONDS * 1_000 for name in before}


def _reference() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), MONITORS) as installation:
        settings = installation.settings
        asyncio.run(create_single_topic(settings))
        installation.start("agent", [sys.executable, "-m", "tests.benchmarks._single_agent"])

        async def run() -> dict[str, float]:
            flowing = asyncio.create_task(
                flow(settings, installation.versions, SINGLE_TOPIC, WARM_S + SECONDS, alone=True)
            )
            spent = await _spend(installation)
            await flowing
            return spent

        return asyncio.run(run())


async def _add_monitors(installation: Installation, url: str, interval_ms: int) -> None:
    async with open_producer(installation.settings) as producer:
        await write_monitors(producer, installation.settings, MONITORS, url, interval_ms)


async def _spend(installation: Installation) -> dict[str, float]:
    """CPU seconds a 1,000 checks, by process."""
    await asyncio.sleep(WARM_S)
    began_at, before = time.time(), installation.cpu_seconds()
    await asyncio.sleep(SECONDS)
    ended_at, after = time.time(), installation.cpu_seconds()
    await asyncio.sleep(STORED_WITHIN_S)
    thousands = await _checks(installation, began_at, ended_at) / 1_000
    return {name: (after[name] - before[name]) / thousands for name in before}


async def _checks(installation: Installation, began_at: float, ended_at: float) -> int:
    """How many there were in that time, of which each has a result."""
    async with open_client(installation.settings) as client:
        parameters = {"began_at": int(began_at * 1_000), "ended_at": int(ended_at * 1_000)}
        return int((await client.query(CHECKS, parameters=parameters)).result_rows[0][0])


if __name__ == "__main__":
    main()
