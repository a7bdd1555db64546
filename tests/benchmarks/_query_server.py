"""What the benchmark `query` asks: the service over a filled memory, and the same document by a response_model."""

import os
import sys
import time

import uvicorn
from fastapi import FastAPI

from query.compose import compose
from query.protocol import PublicProtocol
from query.status_document import StatusDocument
from schemas.enums import Status
from tests.query.filled import Filled

MONITORS = 5


def filled_service() -> Filled:
    """A page of five monitors with 90 days each."""
    now = time.time_ns() // 1_000_000
    filled = Filled()
    slugs = [f"service-{number}" for number in range(MONITORS)]
    for slug in slugs:
        monitor = filled.monitor(slug)
        filled.status(monitor, Status.UP, now)
        filled.up_for_90_days(monitor, now)
    filled.page("acme", *slugs)
    filled.facts.read_at, filled.facts.trouble = now, ""
    return filled


def reference_app(filled: Filled) -> FastAPI:
    """The way a FastAPI tutorial would serve it."""
    app = FastAPI()
    page = filled.catalog.page("acme")
    assert page is not None
    document = compose(page, filled.catalog, filled.facts, "http://pulse.test", filled.facts.read_at)

    @app.get("/status/acme", response_model=StatusDocument)
    async def status() -> StatusDocument:
        return document

    return app


def main() -> None:
    """Serve one of the two on one core: `service PORT CORE` or `reference PORT CORE`."""
    which, port, core = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, {core})
    filled = filled_service()
    app, http = (filled.app, PublicProtocol) if which == "service" else (reference_app(filled), "httptools")
    options = {"loop": "uvloop", "http": http, "access_log": False, "log_level": "error", "lifespan": "off"}
    uvicorn.run(app, host="127.0.0.1", port=port, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
