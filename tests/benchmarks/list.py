"""All of 5,000 monitors in one answer: p99 in milliseconds, its bytes, and how long others wait meanwhile.

The reference is the same list through a FastAPI response_model.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
        compared, compared_others, _ = asyncio.run(measure(port, REFERENCE_SECONDS))
    with serving("service", cores[0]) as port:
        alone = asyncio.run(only_others(port))
        plain, others, packed = asyncio.run(measure(port, SECONDS))
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


async def measure(port: int, seconds: float) -> tuple[Asked, Asked, Asked]:
    """The list plain, what others ask for meanwhile, and the list compressed, in turn with the plain one."""
    plain, others, packed = Asked(), Asked(), Asked()
    until = time.monotonic() + seconds

    async def lists() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < until:
            await ask(reader, writer, LIST, "identity", plain)
            await asyncio.sleep(LIST_PAUSE_S)
            await ask(reader, writer, LIST, "gzip", packed)
            await asyncio.sleep(LIST_PAUSE_S)
        writer.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(lists())
        group.create_task(pages(port, until, others))
    return plain, others, packed


async def only_others(port: int) -> Asked:
    """What others wait while nobody asks for the list."""
    alone = Asked()
    await pages(port, time.monotonic() + REFERENCE_SECONDS, alone)
    return alone


async def pages(port: int, until: float, asked: Asked) -> None:
    """A page, every few milliseconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        await ask(reader, writer, OTHERS, "identity", asked)
        await asyncio.sleep(OTHERS_PAUSE_S)
    writer.close()


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, encoding: str, asked: Asked
) -> None:
    """One request on a connection that stays open."""
    headers = f"Host: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\nAccept-Encoding: {encoding}\r\n"
    began = time.perf_counter()
    writer.write(f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 200"), head
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    asked.milliseconds.append((time.perf_counter() - began) * 1000)
    asked.body_bytes = length


@contextmanager
def serving(which: str, core: int) -> Iterator[int]:
    """One of `_list_server`'s apps in a process on a core of its own; gives its port."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "tests.benchmarks._list_server", which, str(port), str(core)]
    process = subprocess.Popen(command)
    try:
        asyncio.run(_wait_until_it_answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(10)


async def _wait_until_it_answers(port: int) -> None:
    async with asyncio.timeout(START_LIMIT_S):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                await ask(reader, writer, OTHERS, "identity", Asked())
                writer.close()
                return


if __name__ == "__main__":
    main()
