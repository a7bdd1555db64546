"""From `sent_at` until the status can be read in ClickHouse, at 1,000 results a second: p50 and p99 in milliseconds.

The reference is the usual Faust agent, a message a result, that inserts what it has every 100 ms.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.clickhouse import open_client
from infra.settings import Settings
from schemas.topics import CHECK_RESULTS
from tests.benchmarks._flow import flow
from tests.benchmarks.ingest import SINGLE_TOPIC, create_single_topic
from tests.benchmarks.report import percentile, report
from tests.faults.processes import WORKER, Installation

MONITORS: Final = 1_000
WARM_S: Final = 20.0
SECONDS: Final = 20.0
POLL_S: Final = 0.05
NEWEST: Final = """
SELECT monitor, toUnixTimestamp64Milli(decided_at) FROM status_changes
WHERE decided_at > fromUnixTimestamp64Milli({since:Int64})
"""
LOOK_BACK_MS: Final = 20_000


def main() -> None:
    """One run of each, over the same engines."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, Installation(Path(folder), MONITORS) as installation:
        asyncio.run(create_single_topic(installation.settings))
        agent = [sys.executable, "-m", "tests.benchmarks._single_agent"]
        reference = _measure(installation, agent, SINGLE_TOPIC, alone=True)
        ours = _measure(installation, [sys.executable, "-c", WORKER], CHECK_RESULTS.name, alone=False)
    report(
        "latency",
        percentile(ours, 0.5),
        "ms",
        "Faust, a message a result",
        percentile(reference, 0.5),
        started,
        p99=percentile(ours, 0.99),
        reference_p99=percentile(reference, 0.99),
        samples=len(ours),
    )


def _measure(installation: Installation, command: list[str], topic: str, *, alone: bool) -> list[float]:
    """Milliseconds of every status change that was seen."""
    settings = installation.settings
    process = subprocess.Popen(command, env=os.environ | installation.environment())
    try:
        return asyncio.run(_watch(settings, installation.versions, topic, alone))
    finally:
        process.terminate()
        process.wait()


async def _watch(settings: Settings, versions: dict[str, int], topic: str, alone: bool) -> list[float]:
    seen: dict[tuple[str, int], float] = {}
    async with open_client(settings) as client:
        await client.command("TRUNCATE TABLE status_changes")
        flowing = asyncio.create_task(flow(settings, versions, topic, WARM_S + SECONDS, alone))
        measured_from = (time.time() + WARM_S) * 1000
        while not flowing.done():
            await _look(client, seen)
            await asyncio.sleep(POLL_S)
        for _ in range(50):
            await _look(client, seen)
            await asyncio.sleep(POLL_S)
    sent_at = flowing.result()
    measured = [
        seen_at - sent_at[decided_at]
        for (_, decided_at), seen_at in seen.items()
        if decided_at in sent_at and sent_at[decided_at] >= measured_from
    ]
    return measured or [LOOK_BACK_MS]  # too late to be seen at all


async def _look(client: AsyncClient, seen: dict[tuple[str, int], float]) -> None:
    since = int(time.time() * 1000) - LOOK_BACK_MS
    rows = (await client.query(NEWEST, parameters={"since": since})).result_rows
    now = time.time() * 1000
    for monitor, decided_at in rows:
        seen.setdefault((monitor, decided_at), now)


if __name__ == "__main__":
    main()
