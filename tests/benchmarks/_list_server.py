"""What the benchmark `list` asks: the service over 5,000 monitors in memory, and the same list by a response_model."""

import asyncio
import os
import random
import sys
import time
from typing import Final

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from query.management.lines import summary_of
from query.management.models import MonitorList, MonitorSummary
from schemas.enums import Status
from tests.query.filled import Filled

MONITORS: Final = 5_000
ADMIN_KEY: Final = "pulse_admin_of_the_benchmark"
CHANGES_A_SECOND: Final = 50
READ_EVERY_S: Final = 5


def filled_service() -> Filled:
    """Monitors with 24 hours each, and a page of one of them."""
    now = time.time_ns() // 1_000_000
    filled = Filled(admin_key=SecretStr(ADMIN_KEY))
    for number in range(MONITORS):
        monitor = filled.monitor(f"service-{number:04}", name=f"Service number {number}")
        filled.status(monitor, Status.UP, now - random.randrange(3_600_000))
        filled.up_for_90_days(monitor, now)
    filled.page("acme", "service-0000")
    filled.facts.read_at, filled.facts.trouble = now, ""
    return filled


async def keep_changing(filled: Filled) -> None:
    """Statuses that change, and ClickHouse that is read, while the list is asked for."""
    entries = list(filled.catalog.monitors.entries)
    for version in range(2, 1_000_000):
        await asyncio.sleep(1)
        now = time.time_ns() // 1_000_000
        for monitor in random.sample(entries, CHANGES_A_SECOND):
            filled.status(monitor, random.choice([Status.UP, Status.DOWN]), now, version=version)
        if version % READ_EVERY_S == 0:
            filled.facts.read_at = now


def reference_app(filled: Filled) -> FastAPI:
    """The way a FastAPI tutorial would serve it."""
    app = FastAPI()

    @app.get("/v1/monitors", response_model=MonitorList)
    async def monitors() -> MonitorList:
        now = time.time_ns() // 1_000_000
        entries = sorted(filled.catalog.monitors.of_workspace("default"), key=lambda entry: entry.id)
        lines = [MonitorSummary(**summary_of(filled.facts, entry, now)) for entry in entries]
        return MonitorList(monitors=lines, next_cursor=None)

    @app.get("/status/acme")
    async def status() -> dict[str, str]:
        return {"status": "up"}

    return app


async def serve(which: str, port: int) -> None:
    """Serve one of the two until terminated."""
    filled = filled_service()
    app = filled.app if which == "service" else reference_app(filled)
    options = {"loop": "uvloop", "http": "httptools", "access_log": False, "log_level": "error", "lifespan": "off"}
    changing = asyncio.create_task(keep_changing(filled))
    await uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, **options)).serve()  # type: ignore[arg-type]
    changing.cancel()


if __name__ == "__main__":
    os.sched_setaffinity(0, {int(sys.argv[3])})
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
