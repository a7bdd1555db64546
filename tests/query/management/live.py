"""The service over a log in memory, listening on a port, for the `pulse` command to talk to."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.engines import free_ports
from tests.query.management.service import Service, running_service


@contextmanager
def listening_service() -> Iterator[tuple[int, Service]]:
    """The service and its port, in a thread with an event loop of its own."""
    (port,) = free_ports(1)
    started: threading.Event = threading.Event()
    running: list[tuple[uvicorn.Server, Service]] = []

    async def serve() -> None:
        async with running_service() as service:
            config = uvicorn.Config(service.app, port=port, lifespan="off", log_config=None)
            running.append((uvicorn.Server(config), service))
            started.set()
            await running[0][0].serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    server, service = running[0]
    try:
        yield port, service
    finally:
        server.should_exit = True
        thread.join()
