"""A child process that is kept running: started, watched, restarted with backoff, stopped."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from infra.logs import last_line
from infra.supervisor.leash import Leash

BACKOFF_FROM_S: Final = 0.2
BACKOFF_UP_TO_S: Final = 10.0
STEADY_AFTER_S: Final = 30.0
"""A child that lived so long is restarted at once, whatever was before."""
LOG_LIMIT_BYTES: Final = 10 << 20


class State(StrEnum):
    """Where a child is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


ExitCode = Callable[[], int | None]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Service:
    """What to run. `ready` returns when it serves (it may ask for the exit code meanwhile); `ended` hears exit codes.

    `log` takes its output; a program with a log file of its own speaks in `own_log`. `where` is for people.
    """

    name: str
    command: list[str]
    log: Path
    own_log: Path | None = None
    where: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    ready: Callable[[ExitCode], Awaitable[None]] | None = None
    ended: Callable[[int | None], None] = lambda _: None


class Child:
    """One service's process, and its successors."""

    def __init__(self, service: Service, leash: Leash, report: Report, changed: Callable[[], None]) -> None:
        """`report` takes a line for people; `changed` is called when the pid has changed."""
        self.service = service
        self.state = State.WAITING
        self.restarts = 0
        self._leash = leash
        self._report = report
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, while there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it, keep it running, and return when it is ready. Raises what the service's `ready` raises."""
        started_at = time.monotonic()
        self.state = State.STARTING
        process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep(process))
        if self.service.ready is not None:
            await self.service.ready(self._exit_code)
        if self.state is State.STARTING:
            self.state = State.RUNNING
            where = f" at {self.service.where}" if self.service.where else ""
            self._report(f"{self.service.name} runs{where} (pid {self.pid}, {time.monotonic() - started_at:.1f} s)")

    def let_end(self) -> None:
        """Whoever has told us to stop may have told it, too: should it end from now on, no restart follows."""
        if self._keeper is not None:
            self.state = State.STOPPING

    async def stop(self, within_s: float) -> None:
        """SIGTERM, and SIGKILL for what has not ended in time. No restart follows."""
        if self._keeper is None:
            return
        self.state = State.STOPPING
        process = self._process
        if process is None or process.returncode is not None:
            self._keeper.cancel()  # it was about to restart
        else:
            with suppress(ProcessLookupError):  # it has just ended by itself
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), max(within_s, 0.1))
            except TimeoutError:
                self._report(f"{self.service.name} did not stop within {within_s:.0f} s and is killed")
                with suppress(ProcessLookupError):
                    process.kill()
        await asyncio.wait([self._keeper])
        self.state = State.STOPPED

    def last_line(self) -> str:
        """What it has said last."""
        own = last_line(self.service.own_log) if self.service.own_log else ""
        return own or last_line(self.service.log)

    def bound_log(self) -> None:
        """Keep the newest 10-20 MB of its log. The child appends, so the file may shrink under it."""
        log = self.service.log
        if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
            try:
                log.with_suffix(f"{log.suffix}.1").write_bytes(log.read_bytes())
            except OSError as error:
                self._report(f"the older part of {log} could not be kept: {error}")
            os.truncate(log, 0)

    def _exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    async def _spawn(self) -> asyncio.subprocess.Process:
        with self.service.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.service.command,
                env=self.service.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops all in order
            )
        self._leash.hold(process.pid)
        self._process = process
        self._changed()
        return process

    async def _keep(self, process: asyncio.subprocess.Process) -> None:
        wait_s = BACKOFF_FROM_S
        while True:
            started_at = time.monotonic()
            code = await process.wait()
            self._leash.release(process.pid)
            self.service.ended(code)
            if self.state is State.STOPPING:
                return
            if time.monotonic() - started_at > STEADY_AFTER_S:
                wait_s = BACKOFF_FROM_S
            self.state = State.RESTARTING
            self._report(f"{self.service.name} ended with {_describe(code)}, restarting: {self.last_line()}")
            process, wait_s = await self._respawn(wait_s)
            self.restarts += 1
            self.state = State.RUNNING

    async def _respawn(self, wait_s: float) -> tuple[asyncio.subprocess.Process, float]:
        """The new process, and how long to wait before the next one."""
        while True:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, BACKOFF_UP_TO_S)
            try:
                return await self._spawn(), wait_s
            except OSError as error:
                self._report(f"{self.service.name} cannot be started, trying again: {error}")


def _describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
