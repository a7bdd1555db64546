"""How exactly slots start: 1,000 monitors at 10 s of which a tenth hang for 8 s, and 20,000 monitors at 60 s.

The reference is what one writes first: a loop a monitor that checks and then sleeps for the interval.
"""

import asyncio
import gc
import multiprocessing
import os
import random
import resource
import time
from collections import defaultdict
from ipaddress import ip_network
from itertools import pairwise
from time import perf_counter
from typing import Any

import uvloop

from probes.check import check
from probes.compiled import CompiledMonitor, Compiler
from probes.fetch import Fetcher
from probes.lag import LagMeter
from probes.schedule import Schedule, wall_clock_ms
from probes.secrets import Secrets
from schemas.monitors import Monitor
from tests.benchmarks.report import percentile, report
from tests.engines import free_ports

ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n{"status":"ok","database":"ok"}   '
)
HANG_S = 8.0
MANY_S = 20.0
FEW_S = 26.0
FLOOR_S = 4.0


class Target(asyncio.Protocol):
    """Answers at once, or after 8 s where the path says so."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if b"/hang" in data[:40]:
            asyncio.get_running_loop().call_later(HANG_S, self._answer)
        else:
            self._answer()

    def _answer(self) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(ANSWER)
        self._transport.close()


def serve(port: int) -> None:
    """The target, on the last core."""
    _pin(-1)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Target, "127.0.0.1", port, backlog=4_096)
        await server.serve_forever()

    uvloop.run(run())


def _pin(core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core]})


def monitors(count: int, interval: str, port: int, hanging: float) -> list[CompiledMonitor]:
    """Compiled monitors; `hanging` of them, spread evenly, ask for the path that hangs."""
    compiler = Compiler(Fetcher(allow=[ip_network("127.0.0.0/8")]), Secrets(None))
    every = round(1 / hanging) if hanging else count + 1
    return [
        compiler.compile(
            f"default/m{i}", _monitor(i, interval, port, "hang" if i % every == 0 else "health"), version=i, partition=0
        )
        for i in range(count)
    ]


def _monitor(i: int, interval: str, port: int, path: str) -> Monitor:
    return Monitor.model_validate(
        {"slug": f"m{i}", "url": f"http://127.0.0.1:{port}/{path}?{i}", "interval": interval, "timeout": "9s"}
        | {"assertions": [{"jsonpath": "$.database", "equals": "ok"}, {"latency": "2s"}]}
    )


class Starts:
    """When checks of each monitor started, in milliseconds since the epoch, and how late after their slot."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = defaultdict(list)
        self.late_ms: list[float] = []

    def gap_errors_ms(self, interval_ms: int) -> list[float]:
        """How far each gap between checks is from the interval."""
        return [abs(b - a - interval_ms) for each in self.at.values() for a, b in pairwise(each)]


async def scheduled(jobs: list[CompiledMonitor], seconds: float) -> tuple[Starts, int]:
    """Run the schedule for a while; the starts, and how many slots were missed."""
    starts, lag = Starts(), LagMeter()

    async def run(job: CompiledMonitor, scheduled_at: int) -> None:
        now = wall_clock_ms()
        starts.at[job.monitor].append(now)
        starts.late_ms.append(now - scheduled_at)
        await check(job, scheduled_at, lag)

    schedule: Schedule[CompiledMonitor] = Schedule("bench", run, lambda job, at: None)
    for job in jobs:
        schedule.put(job)
    schedule.start()
    await asyncio.sleep(seconds)
    await schedule.stop(0.1)
    return starts, schedule.counters.missed


async def bare_timer(seconds: float) -> list[float]:
    """How late this machine wakes a process that does nothing else, in milliseconds."""
    late_ms: list[float] = []
    end = perf_counter() + seconds
    while (due := perf_counter() + 0.005) < end:
        await asyncio.sleep(0.005)
        late_ms.append((perf_counter() - due) * 1_000)
    return late_ms


async def naive(jobs: list[CompiledMonitor], seconds: float) -> Starts:
    """A loop a monitor, spread over the interval by chance, as most schedulers are written."""
    starts, lag = Starts(), LagMeter()

    async def loop(job: CompiledMonitor) -> None:
        await asyncio.sleep(random.random() * job.interval_ms / 1_000)
        while True:
            starts.at[job.monitor].append(wall_clock_ms())
            await check(job, int(wall_clock_ms()), lag)
            await asyncio.sleep(job.interval_ms / 1_000)

    tasks = [asyncio.create_task(loop(job)) for job in jobs]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    return starts


def measure(port: int, results: Any) -> None:
    """All rounds, on one core, in a process of its own whose memory is that of 20,000 monitors."""
    _pin(0)

    async def run() -> dict[str, float]:
        floor = await bare_timer(FLOOR_S)
        few = monitors(1_000, "10s", port, hanging=0.1)
        reference = await naive(few, FEW_S)
        starts, missed = await scheduled(few, FEW_S)
        jobs = monitors(20_000, "60s", port, hanging=0)
        gc.freeze()  # as the probe does once its monitors have settled
        cpu = time.process_time()
        many, many_missed = await scheduled(jobs, MANY_S)
        return {
            "value": percentile(starts.gap_errors_ms(10_000), 0.99),
            "reference": percentile(reference.gap_errors_ms(10_000), 0.99),
            "machine_late_p99_ms": percentile(floor, 0.99),
            "late_p99_ms": percentile(starts.late_ms, 0.99),
            "late_max_ms": max(starts.late_ms),
            "missed": missed,
            "late_20000_p99_ms": percentile(many.late_ms, 0.99),
            "missed_20000": many_missed,
            "started_20000": len(many.late_ms),
            "cpu_share_20000": (time.process_time() - cpu) / MANY_S,  # of a core, at 333 checks/s
            "memory_20000_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
        }

    results.send(uvloop.run(run()))


def main() -> None:
    """Prints the line `schedule`."""
    started = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    (port,) = free_ports(1)
    receive, send = spawn.Pipe(duplex=False)
    target = spawn.Process(target=serve, args=(port,), daemon=True)
    probe = spawn.Process(target=measure, args=(port, send), daemon=True)
    target.start()
    time.sleep(1.0)
    probe.start()
    figures = receive.recv()
    target.terminate()
    value, reference = figures.pop("value"), figures.pop("reference")
    more = {name: round(figure, 3) for name, figure in figures.items()}
    name = "a loop a monitor: check, then sleep"
    report("schedule: gap error p99, a tenth hang 8 s", value, "ms", name, reference, started, **more)
