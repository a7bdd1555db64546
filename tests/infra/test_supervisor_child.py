"""A child is kept running until it is told to stop."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from infra.supervisor import child as children
from infra.supervisor.child import Child, Service, State
from infra.supervisor.leash import Leash

SLEEPS = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
FAILS = """
import sys
print('{"event": "cannot go on", "error": "the disk\\\\nis full", "level": "error"}', file=sys.stderr)
sys.exit(3)
"""


class Kept:
    """A child that runs a Python program; what it reports is in `lines`."""

    def __init__(self, folder: Path, program: str, **service: Any) -> None:
        self.lines: list[str] = []
        self.pids: list[int | None] = []
        self._program = program
        self._service = service
        self._log = folder / "child.log"

    async def __aenter__(self) -> "Kept":
        self._leash = Leash(grace_s=0.5)
        command = [sys.executable, "-c", self._program]
        service = Service(name="it", command=command, log=self._log, **self._service)
        self.child = Child(service, self._leash, self.lines.append, lambda: self.pids.append(self.child.pid))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.child.stop(5)
        self._leash.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for it, but not for ever."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.01)

    def said(self, words: str) -> Callable[[], bool]:
        """Whether a line of the report has these words."""
        return lambda: any(words in line for line in self.lines)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_a_stop_is_by_sigterm_and_no_restart_follows(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(tmp_path, SLEEPS) as kept:
            await kept.child.start()
            assert kept.child.state is State.RUNNING

            await kept.child.stop(10)

            assert (kept.child.state, kept.child.pid, kept.child.restarts) == (State.STOPPED, None, 0)

    run(work())


def test_one_that_a_service_manager_stops_with_all_others_is_not_restarted(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(tmp_path, SLEEPS) as kept:
            await kept.child.start()
            kept.child.let_end()
            process = psutil.Process(kept.child.pid)

            process.terminate()
            await kept.until(lambda: kept.child.pid is None)
            await kept.child.stop(10)

            assert (kept.child.state, kept.child.restarts, len(kept.pids)) == (State.STOPPED, 0, 1)
            assert not kept.said("restarting")()

    run(work())


def test_a_child_that_ends_is_restarted_and_says_why(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(tmp_path, FAILS) as kept:
            await kept.child.start()
            await kept.until(lambda: kept.child.restarts >= 2)

        assert "it ended with exit code 3, restarting: cannot go on: is full" in kept.lines

    run(work())


def test_a_killed_child_is_restarted_with_a_new_pid(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(tmp_path, SLEEPS) as kept:
            await kept.child.start()
            assert kept.child.pid is not None
            psutil.Process(kept.child.pid).kill()

            await kept.until(lambda: len(kept.pids) == 2)

            assert kept.said("ended with signal 9")()
            assert len(set(kept.pids)) == 2

    run(work())


def test_restarts_back_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        if seconds >= children.BACKOFF_FROM_S:
            waits.append(seconds)
        await sleep(0.01)

    monkeypatch.setattr(children.asyncio, "sleep", noted)

    async def work() -> None:
        async with Kept(tmp_path, "pass") as kept:
            await kept.child.start()
            await kept.until(lambda: len(waits) >= 8)

    run(work())

    assert waits[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    async def work() -> None:
        async with Kept(tmp_path, DEAF) as kept:
            await kept.child.start()
            await kept.until(lambda: kept.child.last_line() == "deaf")

            await kept.child.stop(0.3)

            assert kept.child.pid is None
            assert kept.said("is killed")()

    run(work())


def test_a_stop_while_it_waits_to_restart_ends_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "BACKOFF_FROM_S", 600)

    async def work() -> None:
        async with Kept(tmp_path, "pass") as kept:
            await kept.child.start()
            await kept.until(kept.said("restarting"))

            await asyncio.wait_for(kept.child.stop(10), 5)

            assert kept.child.state is State.STOPPED

    run(work())


def test_it_runs_only_when_it_is_ready(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def ready(_: Callable[[], int | None]) -> None:
        await gate.wait()

    async def work() -> None:
        async with Kept(tmp_path, SLEEPS, ready=ready) as kept:
            starting = asyncio.create_task(kept.child.start())
            await kept.until(lambda: kept.child.pid is not None)
            assert kept.child.state is State.STARTING

            gate.set()
            await starting

            assert kept.child.state is State.RUNNING

    run(work())


def test_ready_hears_that_it_has_ended(tmp_path: Path) -> None:
    heard: list[int] = []

    async def ready(exit_code: Callable[[], int | None]) -> None:
        while (code := exit_code()) is None:
            await asyncio.sleep(0.001)
        heard.append(code)

    async def work() -> None:
        async with Kept(tmp_path, "import sys; sys.exit(7)", ready=ready) as kept:
            await kept.child.start()

    run(work())

    assert heard == [7]


def test_a_log_is_bounded_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_LIMIT_BYTES", 10_000)
    talks = "import time\nfor n in range(10**9):\n    print(n, 'x' * 100, flush=True)\n    time.sleep(0.0001)"
    log = tmp_path / "child.log"

    async def grown(kept: Kept) -> None:
        await kept.until(lambda: log.stat().st_size > children.LOG_LIMIT_BYTES)

    async def work() -> None:
        async with Kept(tmp_path, talks) as kept:
            await kept.child.start()
            await grown(kept)
            kept.child.bound_log()
            assert (tmp_path / "child.log.1").stat().st_size > children.LOG_LIMIT_BYTES
            await grown(kept)  # it goes on where the file now ends, without a hole

        assert b"\0" not in log.read_bytes()

    run(work())


def test_the_last_line_is_no_frame_of_a_stack_trace(tmp_path: Path) -> None:
    trace = "print('java.lang.Error: no room'); print('\\tat kafka.Kafka.main(Kafka.scala)'); print()"

    async def work() -> None:
        async with Kept(tmp_path, trace) as kept:
            await kept.child.start()
            await kept.until(kept.said("restarting: java.lang.Error: no room"))

    run(work())
