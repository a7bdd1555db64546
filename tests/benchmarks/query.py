"""Requests a second of `/status/{slug}` on one core, beside the same document through a FastAPI response_model."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import httpx
import orjson
import psutil

from tests.benchmarks.report import alternate, report
from tests.engines import free_ports

SECONDS = 1.5
ROUNDS = 5
START_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A server under load."""

    port: int
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """CPU seconds that it has used: on a busy machine they tell more than the clock does."""
        times = self.process.cpu_times()
        return times.user + times.system


def main() -> None:
    """One line: the service's rate with Brotli, its reference, and beside them badges, 304s and latency."""
    started = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))
    server_core, load_core = cores[0], cores[-1]
    with serving("service", server_core) as service, serving("reference", server_core) as compared:
        port = service.port
        etag = httpx.get(f"http://127.0.0.1:{port}/status/acme", headers={"accept-encoding": "br"}).headers["etag"]

        def ask(target: str, more: str = "", server: Server = service) -> dict[str, float]:
            request = f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n{more}\r\n"
            used_s = server.cpu_s
            figures = load(server.port, load_core, request)
            return figures | {"per_cpu_second": figures["answered"] / (server.cpu_s - used_s)}

        latencies: list[float] = []
        per_cpu_second: list[float] = []

        def measure() -> float:
            figures = ask("/status/acme")
            latencies.append(figures["p99_ms"])
            per_cpu_second.append(figures["per_cpu_second"])
            return figures["requests_per_second"]

        def reference() -> float:
            return ask("/status/acme", server=compared)["requests_per_second"]

        measured = alternate(measure, reference, ROUNDS)
        badge, unchanged = (
            median(ask(*request)["requests_per_second"] for _ in range(3))
            for request in (("/badges/acme/status.svg",), ("/status/acme", f"If-None-Match: {etag}\r\n"))
        )
    report(
        "query",
        measured.value,
        "requests/s of /status/{slug} on one core",
        "FastAPI response_model",
        measured.reference,
        started,
        badge=round(badge),
        not_modified=round(unchanged),
        p99_ms=round(median(latencies), 2),
        per_cpu_second=round(median(per_cpu_second)),
    )


def load(port: int, core: int, request: str) -> dict[str, float]:
    """What the load generator measured in a process and on a core of its own."""
    command = [sys.executable, "-m", "tests.benchmarks._load", str(port), str(core), str(SECONDS)]
    done = subprocess.run(command, input=request.encode(), capture_output=True, check=True)
    return dict(orjson.loads(done.stdout))


@contextmanager
def serving(which: str, core: int) -> Iterator[Server]:
    """One of `_query_server`'s apps in a process."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.benchmarks._query_server", which, str(port), str(core)]
    process = subprocess.Popen(command)
    try:
        _wait_until_it_answers(port)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/status/acme").raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
