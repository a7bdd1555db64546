"""All of 5,000 monitors in one answer: p99 in milliseconds, its bytes, and how long others wait meanwhile.

The reference is the same list through a FastAPI response_model.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from multiprocessing import get_context
from typing import Final

from tests.benchmarks._list_server import ADMIN_KEY, MONITORS
from tests.benchmarks.report import percentile, report
from tests.engines import free_ports

SECONDS: Final = 25.0
"""More than two renewals of every line."""
REFERENCE_SECONDS: Final = 8.0
LIST_PAUSE_S: Final = 0.05
OTHERS_PAUSE_S: Final = 0.005
START_LIMIT_S: Final = 30
LIST: Final = f"/v1/monitors?limit={MONITORS}"
OTHERS: Final = "/status/acme"


@dataclass
class Asked:
    """One request again and again: how long each took, and the bytes of the last answer."""

    milliseconds: list[float] = field(default_factory=list)
    body_bytes: int = 0


def main() -> None:
    """The list plain and compressed, beside a page that others read."""
    started = time.monotonic()
    cores = sorted(os.sched_getaffinity(0))
    with serving("reference", cores[0]) as port:
        compared, compared_others, _ = measure(port, REFERENCE_SECONDS)
    with serving("service", cores[0]) as port:
        alone = pages(port, REFERENCE_SECONDS)
        plain, others, packed = measure(port, SECONDS)
    report(
        "list",
        percentile(plain.milliseconds, 0.99),
        f"ms, p99 of a list of {MONITORS}",
        "FastAPI response_model",
        percentile(compared.milliseconds, 0.99),
        started,
        p50=round(percentile(plain.milliseconds, 0.5), 2),
        p99_compressed=round(percentile(packed.milliseconds, 0.99), 2),
        plain_bytes=plain.body_bytes,
        compressed_bytes=packed.body_bytes,
        others_p99=round(percentile(others.milliseconds, 0.99), 2),
        others_p99_alone=round(percentile(alone.milliseconds, 0.99), 2),
        others_max=round(max(others.milliseconds), 2),
        reference_p50=round(percentile(compared.milliseconds, 0.5), 2),
        reference_others_p99=round(percentile(compared_others.milliseconds, 0.99), 2),
        samples=len(plain.milliseconds),
    )


def measure(port: int, seconds: float) -> tuple[Asked, Asked, Asked]:
    """The list plain, what others ask for meanwhile, and the list compressed, in turn with the plain one."""
    plain, packed = Asked(), Asked()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool, connected(port) as connection:
        others = pool.submit(pages, port, seconds)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for encoding, asked in (("identity", plain), ("gzip", packed)):
                ask(connection, LIST, encoding, asked)
                time.sleep(LIST_PAUSE_S)
        return plain, others.result(), packed


def pages(port: int, seconds: float) -> Asked:
    """A page, every few milliseconds; in a process of its own, so that it waits for the server alone."""
    asked = Asked()
    with connected(port) as connection:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ask(connection, OTHERS, "identity", asked)
            time.sleep(OTHERS_PAUSE_S)
    return asked


def ask(connection: HTTPConnection, path: str, encoding: str, asked: Asked) -> None:
    """One request on a connection that stays open."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Accept-Encoding": encoding}
    began = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    asked.body_bytes = len(answer.read())
    asked.milliseconds.append((time.perf_counter() - began) * 1000)
    assert answer.status == HTTPStatus.OK


@contextmanager
def connected(port: int) -> Iterator[HTTPConnection]:
    """A connection to a server on this machine."""
    connection = HTTPConnection("127.0.0.1", port)
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def serving(which: str, core: int) -> Iterator[int]:
    """One of `_list_server`'s apps in a process on a core of its own; gives its port."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.benchmarks._list_server", which, str(port), str(core)]
    process = subprocess.Popen(command)
    try:
        _wait_until_it_answers(port)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with connected(port) as connection:
                ask(connection, OTHERS, "identity", Asked())
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    main()
