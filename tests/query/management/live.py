"""The service over a log in memory, listening on a port, for the `pulse` command to talk to."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from pydantic import SecretStr

from query.protocol import PublicProtocol
from tests.engines import free_ports
from tests.query.management.service import Service, running_service


@contextmanager
def listening_service(clickhouse: SecretStr | None = None) -> Iterator[tuple[int, Service]]:
    """The service and its port, in a thread with an event loop of its own; with a real ClickHouse, if one is given."""
    (port,) = free_ports(1)
    started: threading.Event = threading.Event()
    running: list[tuple[uvicorn.Server, Service]] = []

    async def serve() -> None:
        async with running_service(clickhouse=clickhouse) as service:
            config = uvicorn.Config(service.app, port=port, http=PublicProtocol, lifespan="off", log_config=None)
            running.append((uvicorn.Server(config), service))
            started.set()
            await running[0][0].serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    server, service = running[0]
    while not server.started:
        time.sleep(0.01)
    try:
        yield port, service
    finally:
        server.should_exit = True
        thread.join()
