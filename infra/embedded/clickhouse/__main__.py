"""Serves one data folder at one port of this machine until SIGTERM, which lets running queries end."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from infra.embedded.clickhouse.data_folder import DataFolder
from infra.locks import FolderInUse
from infra.logs import configure_logs

HOST: Final = "127.0.0.1"
WRONG_USE: Final = 2
DRAIN_S: Final = 5
"""How long running queries may go on after SIGTERM before they are killed."""
CLOSE_S: Final = 3
"""How long clients then have to take their answers."""


def main() -> int:
    """The process: 0 after SIGTERM, 2 where folder or port are taken, 3 where the engine cannot start."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    parser = argparse.ArgumentParser(prog="python -m infra.embedded.clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="where the data live; made if missing")
    parser.add_argument("--port", type=int, required=True, help="the port of the HTTP interface, at 127.0.0.1")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    arguments = parser.parse_args()

    configure_logs("clickhouse", arguments.log_level)
    try:
        folder = DataFolder.open(arguments.data)
        listener = socket.create_server((HOST, arguments.port), backlog=1024)
    except FolderInUse as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"Cannot serve {arguments.data} at {HOST}:{arguments.port}: {error.strerror or error}.")
    _serve(folder, listener)
    return 0


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)  # noqa: T201 - for the person who started it
    return WRONG_USE


class PatientServer(uvicorn.Server):
    """Lets running queries end on SIGTERM, and kills those that take too long."""

    def __init__(self, config: uvicorn.Config, kill_running: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._kill_running = kill_running
        self._told = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come."""
        super().handle_exit(sig, frame)
        asyncio.get_running_loop().call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        """Until a signal comes; uvicorn itself would wake ten times a second to look for one."""
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, drain, close."""
        late = asyncio.create_task(self._kill_late())
        await super().shutdown(sockets)
        late.cancel()

    async def _kill_late(self) -> None:
        await asyncio.sleep(DRAIN_S)
        await self._kill_running()


def _serve(folder: DataFolder, listener: socket.socket) -> None:
    # Only now: the engine takes half a second to load, and a refusal should not wait for it.
    from infra.embedded.clickhouse.app import Gateway

    # uvicorn raises the signal again after its shutdown: let that do nothing, so that the process exits with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    gateway = Gateway(folder)
    config = uvicorn.Config(
        gateway,
        http="httptools",
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=DRAIN_S + CLOSE_S,
    )
    PatientServer(config, gateway.kill_running).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
