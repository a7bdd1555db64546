"""A process that sends made-up results, as probes would, until it is killed.

At its start it sends the last slots again, as a probe with a spool does. Each slot that Kafka has acknowledged is a
line in the file of `--acknowledged`.
"""

import argparse
import asyncio
import json
import random
import time
from pathlib import Path
from typing import Final

from infra.kafka import open_producer
from infra.settings import get_settings
from schemas.events import encode
from schemas.topics import CHECK_RESULTS
from tests.faults.history import INTERVAL_MS, batches_of

AGAIN_SLOTS: Final = 5


async def produce(versions: dict[str, int], acknowledged: Path) -> None:
    """A slot at a time, in any order of its batches, until cancelled."""
    settings = get_settings()
    async with open_producer(settings) as producer:
        slot = int(time.time() * 1000) // INTERVAL_MS - AGAIN_SLOTS
        while True:
            await asyncio.sleep(max(0.0, (slot + 1) * INTERVAL_MS / 1000 - time.time()))
            batches = [*batches_of(versions, slot, settings.partitions, int(time.time() * 1000))]
            random.shuffle(batches)
            sent = [
                await producer.send(CHECK_RESULTS.name, encode(batch), partition=partition)
                for partition, batch in batches
            ]
            await asyncio.gather(*sent)
            with acknowledged.open("a", encoding="ascii") as file:
                file.write(f"{slot}\n")
            slot += 1


def main() -> None:
    """Until SIGKILL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", type=Path, required=True, help="JSON: monitor to version")
    parser.add_argument("--acknowledged", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(produce(json.loads(arguments.versions.read_text("utf-8")), arguments.acknowledged))


if __name__ == "__main__":
    main()
