"""Requests a second of `/status/{slug}` on one core, beside one such document through a FastAPI response_model.

`floor` is what a server without any HTTP answers in the same minutes, and `load_busy` the share of its core that the
load generator needed: near 1 it was the limit, and not the service.
"""

import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import httpx
import orjson
import psutil

from query.targets import Target
from tests.benchmarks._query_server import badges_of, filled_service, slugs_of
from tests.benchmarks.report import alternate, report
from tests.engines import free_ports

SECONDS = 1.5
ROUNDS = 5
START_LIMIT_S = 120
PAGES = 10_000


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
    """One line: the service's rate of documents in Brotli, and beside it badges, 304s, latencies and memory."""
    started = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))
    server_core, load_core = cores[0], cores[-1]
    documents = [f"/status/page-{page}" for page in range(PAGES)]
    pages = [f"/p/page-{page}" for page in range(PAGES)]
    badges = [badge for page in range(PAGES) for badge in badges_of(page)]
    with (
        serving("service", server_core, PAGES) as service,
        serving("reference", server_core, 1) as compared,
        serving("floor", server_core, 0) as floor,
    ):
        for targets in (pages, badges, documents):
            load(service.port, load_core, targets, seconds=0)
        rss_mb = service.process.memory_info().rss / 1e6
        address = f"http://127.0.0.1:{service.port}{documents[0]}"
        known = f"If-None-Match: {httpx.get(address, headers={'accept-encoding': 'br'}).headers['etag']}\r\n"

        figures: defaultdict[str, list[dict[str, float]]] = defaultdict(list)

        def ask(name: str, targets: list[str], more: str = "") -> float:
            used_s = service.cpu_s
            found = load(service.port, load_core, targets, more)
            figures[name].append(found | {"per_cpu_second": found["answered"] / (service.cpu_s - used_s)})
            return found["requests_per_second"]

        measured = alternate(
            lambda: ask("status", documents),
            lambda: load(compared.port, load_core, documents[:1])["requests_per_second"],
            ROUNDS,
        )
        load(service.port, load_core, badges, seconds=0)
        for _ in range(ROUNDS):
            ask("badge", badges)
            ask("not_modified", documents[:1], known)
            figures["floor"].append(load(floor.port, load_core, documents[:1]))

    def middle(name: str, figure: str) -> float:
        return median(each[figure] for each in figures[name])

    report(
        "query",
        measured.value,
        f"requests/s of /status/{{slug}} on one core, {PAGES} pages and {len(badges)} badges in memory",
        "FastAPI response_model",
        measured.reference,
        started,
        badge=round(middle("badge", "requests_per_second")),
        not_modified=round(middle("not_modified", "requests_per_second")),
        floor=round(middle("floor", "requests_per_second")),
        load_busy=round(middle("status", "busy"), 2),
        p99_ms=round(middle("status", "p99_ms"), 2),
        badge_p99_ms=round(middle("badge", "p99_ms"), 2),
        per_cpu_second=round(middle("status", "per_cpu_second")),
        badge_per_cpu_second=round(middle("badge", "per_cpu_second")),
        rss_mb=round(rss_mb),
        page_of_50_ms=round(page_ms(50), 1),
    )


def page_ms(monitors: int) -> float:
    """CPU milliseconds to make a page of so many monitors after a change: everybody else waits for so long."""
    filled = filled_service(pages=1, monitors=monitors)
    taken_ms = []
    for revision in range(ROUNDS + 1):
        filled.page("page-0", *slugs_of(0, monitors), title=str(revision))
        used_s = time.process_time()
        filled.app.answers.find(Target("page", "page-0"))
        taken_ms.append((time.process_time() - used_s) * 1000)
    return median(taken_ms[1:])


def load(port: int, core: int, targets: list[str], more: str = "", seconds: float = SECONDS) -> dict[str, float]:
    """What the load generator measured in a process and on a core of its own; each target once in 0 seconds."""
    command = [sys.executable, "-m", "tests.benchmarks._load", str(port), str(core), str(seconds), "0"]
    asked = orjson.dumps({"targets": targets, "headers": f"Accept-Encoding: br\r\n{more}"})
    found = orjson.loads(subprocess.run(command, input=asked, stdout=subprocess.PIPE, check=True).stdout)
    if found["failed"]:
        raise RuntimeError(f"{found['failed']} requests failed: {found['failures']}")
    return dict(found)


@contextmanager
def serving(which: str, core: int, pages: int) -> Iterator[Server]:
    """One of `_query_server`'s apps in a process."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.benchmarks._query_server", which, str(port), str(core), str(pages)]
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
            httpx.get(f"http://127.0.0.1:{port}/status/page-0").raise_for_status()
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
