"""The test servers as a child process, and fetches in children of their own, where memory and stalls are measured."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from probes.fetch import Fetched, Fetcher, Request

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
TICK_S = 0.005
ADDITIONS = 1_000_000


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the test servers listen, and whom their certificates are signed by."""

    ports: dict[str, int]
    ca_file: Path

    def url(self, path: str, server: str = "http") -> str:
        """`plain` on the HTTP server, say."""
        scheme = "https" if server.startswith("tls") else "http"
        return f"{scheme}://127.0.0.1:{self.ports[server]}/{path}"


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """Start them in a process of their own; they end with its stdin."""
    command = [sys.executable, "-m", "tests.probes.servers.hostile", str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Servers(json.loads(process.stdout.readline()), folder / "ca.pem")
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@dataclass(frozen=True, slots=True)
class Observed:
    """A fetch, and what it did to its process: growth of peak memory, and the longest hold of the loop.

    The hold is told as the number of additions that take as long: the machine's speed is not in it.
    """

    fetched: Fetched
    elapsed_s: float
    growth_bytes: int
    stall_additions: float


def observe(sender: Connection, request: Request, ca_file: Path, at_once: int) -> None:
    """Fetch in a process made for it, and send what was observed; of several at once the last is told."""
    os.environ["SSL_CERT_FILE"] = str(ca_file)
    sender.send(uvloop.run(_observe(request, at_once)))


async def _observe(request: Request, at_once: int) -> Observed:
    fetcher = Fetcher(allow=LOOPBACK)
    await fetcher.fetch(Request("GET", request.url, timeout_ms=1))  # what is built once is not growth
    stalls = [0.0]
    watch = asyncio.create_task(_watch(stalls))
    await asyncio.sleep(2 * TICK_S)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    *_, fetched = await asyncio.gather(*(fetcher.fetch(request) for _ in range(at_once)))
    elapsed_s = time.perf_counter() - started
    await asyncio.sleep(2 * TICK_S)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    watch.cancel()
    await fetcher.close()
    return Observed(fetched, elapsed_s, (after - before) * 1_024, stalls[0] / _addition_s())


async def _watch(stalls: list[float]) -> None:
    """CPU time, not the clock's: how busy the machine is with others says nothing about us."""
    while True:
        before = time.thread_time()
        await asyncio.sleep(TICK_S)
        stalls[0] = max(stalls[0], time.thread_time() - before)


def _addition_s() -> float:
    total, before = 0, time.thread_time()
    for number in range(ADDITIONS):
        total += number
    return (time.thread_time() - before) / ADDITIONS
