"""What the benchmark `query` asks: the service over a filled memory, a response_model with one document, and bytes.

The bytes are always the same ones, whatever is asked: nothing that runs in Python answers faster on this machine.
"""

import asyncio
import os
import sys
import time
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI

from query.compose import compose
from query.protocol import PublicProtocol
from query.reads import Latency
from query.status_document import StatusDocument
from query.turns import at_once
from schemas.enums import Status
from tests.query.filled import Filled

MONITORS = 2
FLOOR_BODY = bytes(1_700)
FLOOR_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(FLOOR_BODY), FLOOR_BODY)
"""About as long as a document in Brotli with its headers."""


def filled_service(pages: int, monitors: int = MONITORS) -> Filled:
    """Pages of so many monitors with 90 days each."""
    now = time.time_ns() // 1_000_000
    filled = Filled()
    for page in range(pages):
        slugs = slugs_of(page, monitors)
        for slug in slugs:
            monitor = filled.monitor(slug)
            filled.status(monitor, Status.UP, now)
            filled.up_for_90_days(monitor, now)
        filled.page(f"page-{page}", *slugs)
    filled.facts.take_latencies(dict.fromkeys(filled.catalog.monitors.entries, Latency(86_400, 1.5, 4.25, 9.5)))
    filled.facts.read_at, filled.facts.trouble = now, ""
    return filled


def slugs_of(page: int, monitors: int = MONITORS) -> list[str]:
    """The monitors of a page."""
    return [f"service-{page}-{number}" for number in range(monitors)]


def badges_of(page: int) -> list[str]:
    """Ten badges of a page: its own, and those of its monitors."""
    badges = ["status.svg", "uptime.svg"]
    for slug in slugs_of(page):
        badges += [f"{slug}/{name}" for name in ("status.svg", "latency.svg", "uptime.svg?window=7d", "uptime.svg")]
    return [f"/badges/page-{page}/{badge}" for badge in badges]


def reference_app(filled: Filled) -> FastAPI:
    """The way a FastAPI tutorial would serve it."""
    app = FastAPI()
    page = filled.catalog.page("page-0")
    assert page is not None
    document = at_once(compose(page, filled.catalog, filled.facts, "http://pulse.test", filled.facts.read_at))

    @app.get("/status/page-0", response_model=StatusDocument)
    async def status() -> StatusDocument:
        return document

    return app


class Floor(asyncio.Protocol):
    """Answers whatever comes, unread."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(FLOOR_ANSWER)


async def serve_floor(port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """Serve one of them on one core: `service PORT CORE PAGES`, `reference PORT CORE 1` or `floor PORT CORE 0`."""
    which, port, core, pages = sys.argv[1], *map(int, sys.argv[2:])
    os.sched_setaffinity(0, {core})
    if which == "floor":
        uvloop.run(serve_floor(port))
    filled = filled_service(pages)
    app, http = (filled.app, PublicProtocol) if which == "service" else (reference_app(filled), "httptools")
    options = {"loop": "uvloop", "http": http, "access_log": False, "log_level": "error", "lifespan": "off"}
    uvicorn.run(app, host="127.0.0.1", port=port, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
