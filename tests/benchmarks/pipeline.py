"""CPU seconds a 1,000 checks, of all processes together: probe, Kafka, stream worker, ClickHouse. The target is apart.

At 1,000 checks a second, and (as `slow`) at 100 a second. The reference is the usual Faust agent that takes a message
a result, at 1,000 results a second, with Kafka and ClickHouse, and even without a probe.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from infra.clickhouse import open_client
from infra.kafka import open_producer
from tests.benchmarks._checks import target
from tests.benchmarks._flow import flow
from tests.benchmarks.ingest import SINGLE_TOPIC, create_single_topic
from tests.benchmarks.report import report
from tests.faults.history import write_monitors
from tests.faults.processes import Installation

MONITORS: Final = 1_000
WARM_S: Final = 20.0
SECONDS: Final = 30.0
FAST_MS: Final = 1_000
SLOW_MS: Final = 10_000


def main() -> None:
    """One run of each; a rate is what ClickHouse has stored meanwhile."""
    started = time.monotonic()
    reference = _reference()
    fast, parts = _measure(FAST_MS)
    slow, _ = _measure(SLOW_MS)
    report(
        "pipeline",
        fast,
        "CPU s / 1,000 checks",
        "Faust, a message a result, without the probe",
        reference,
        started,
        slow=round(slow, 3),
        parts={name: round(seconds, 4) for name, seconds in parts.items()},
    )


def _measure(interval_ms: int) -> tuple[float, dict[str, float]]:
    with target() as url, tempfile.TemporaryDirectory() as folder, Installation(Path(folder), 0) as installation:
        installation.start_worker(0)
        installation.start_probe()
        asyncio.run(_add_monitors(installation, url, interval_ms))
        return asyncio.run(_spend(installation))


def _reference() -> float:
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), MONITORS) as installation:
        settings = installation.settings
        asyncio.run(create_single_topic(settings))
        installation.start("agent", [sys.executable, "-m", "tests.benchmarks._single_agent"])

        async def run() -> float:
            flowing = asyncio.create_task(
                flow(settings, installation.versions, SINGLE_TOPIC, WARM_S + SECONDS, alone=True)
            )
            spent, _ = await _spend(installation)
            await flowing
            return spent

        return asyncio.run(run())


async def _add_monitors(installation: Installation, url: str, interval_ms: int) -> None:
    async with open_producer(installation.settings) as producer:
        await write_monitors(producer, installation.settings, MONITORS, url, interval_ms)


async def _spend(installation: Installation) -> tuple[float, dict[str, float]]:
    """CPU seconds a 1,000 stored results, all together and by process."""
    await asyncio.sleep(WARM_S)
    before, stored = installation.cpu_seconds(), await _stored(installation)
    await asyncio.sleep(SECONDS)
    after, thousands = installation.cpu_seconds(), (await _stored(installation) - stored) / 1_000
    parts = {name: (after[name] - before[name]) / thousands for name in before}
    return sum(parts.values()), parts


async def _stored(installation: Installation) -> int:
    async with open_client(installation.settings) as client:
        return int((await client.query("SELECT count() FROM check_results")).result_rows[0][0])


if __name__ == "__main__":
    main()
