"""What `probe` and `probe_tls` share: a target in a process of its own, and three ways to ask it."""

import asyncio
import json
import math
import os
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import httptools
import httpx
import trustme
import uvloop

from infra.kafka import provision_topics
from infra.settings import Settings
from probes.check import check
from probes.compiled import CompiledMonitor, Compiler
from probes.emit import kafka_emitter
from probes.fetch import Fetcher
from probes.lag import LagMeter
from probes.schedule import Schedule, wall_clock_ms
from probes.secrets import Secrets
from schemas.durations import format_duration
from schemas.enums import Outcome
from schemas.monitors import Assertion, Monitor
from tests.benchmarks.report import percentile
from tests.engines import running_kafka

AT_ONCE = 16
ROUND_S = 1.5
LATENCY_S = 6.0
FLEET = 1_000
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
BODY = json.dumps({"status": "healthy", "database": "ok", "cache": "ok", "notes": "x" * 950}).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 20:00:00 GMT\r\nserver: uvicorn\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
) % (len(BODY), BODY)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many a second, and what each cost."""

    per_second: float
    cpu_us: float


class _Target(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)  # type: ignore[attr-defined]
        self._transport.close()


async def serve(folder: str) -> None:
    """Serve until stdin ends; over TLS where a folder is given, which gets the authority's certificate."""
    context = None
    if folder:
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        authority.cert_pem.write_to_path(f"{folder}/ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Target, "127.0.0.1", 0, backlog=4_096, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def target(folder: Path | None = None) -> Iterator[str]:
    """The target's URL. Client and target get a core each while it runs, where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks._checks", str(folder or "")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    os.sched_setaffinity(process.pid, cores[-1:])
    os.sched_setaffinity(0, cores[:1])
    try:
        yield f"http{'s' if folder else ''}://127.0.0.1:{process.stdout.readline().strip()}/health"
    finally:
        os.sched_setaffinity(0, cores)
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


async def rate(once: Callable[[], Awaitable[None]]) -> Rate:
    """AT_ONCE workers for ROUND_S seconds."""
    done = 0
    started, cpu = time.perf_counter(), time.process_time()
    ends = started + ROUND_S

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await once()
            done += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return Rate(done / (time.perf_counter() - started), (time.process_time() - cpu) / done * 1e6)


def _monitor(fetcher: Fetcher, url: str, number: int = 0, interval_ms: int = 30_000) -> CompiledMonitor:
    assertions = [
        Assertion.model_validate({"jsonpath": "$.status", "equals": "healthy"}),
        Assertion.model_validate({"jsonpath": "$.database", "equals": "ok"}),
    ]
    monitor = Monitor.model_validate(
        {"slug": f"api-{number}", "url": url, "interval": format_duration(interval_ms), "assertions": assertions}
    )
    return Compiler(fetcher, Secrets(None)).compile(f"default/{monitor.slug}", monitor, version=1, partition=0)


@contextmanager
def log() -> Iterator[Settings]:
    """An embedded Kafka with its topics, on the target's core where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-1:])
    with tempfile.TemporaryDirectory() as folder, running_kafka(Path(folder) / "kafka") as address:
        os.sched_setaffinity(0, cores)
        settings = Settings(kafka=address, data=Path(folder))
        asyncio.run(provision_topics(settings))
        yield settings


def whole_checks(url: str, settings: Settings) -> Rate:
    """Our checks: fetch, JSON, two assertions, the result acknowledged by Kafka."""

    async def run() -> Rate:
        fetcher = Fetcher(allow=LOOPBACK)
        monitor, lag = _monitor(fetcher, url), LagMeter()
        emitter = kafka_emitter(settings)
        emitting = asyncio.create_task(emitter.run())

        async def once() -> None:
            result = await check(monitor, int(wall_clock_ms()), lag)
            assert result.outcome is Outcome.UP, result
            emitter.add(result, monitor.partition)

        try:
            return await rate(once)
        finally:
            emitting.cancel()
            await asyncio.wait([emitting])
            await emitter.close(10)
            await fetcher.close()
            assert emitter.counters.delivered >= emitter.counters.emitted, emitter.counters

    return uvloop.run(run())


def stock_fetches(url: str, verify: ssl.SSLContext | bool = True) -> Rate:
    """httpx as it comes, a fresh connection a request, nothing judged."""

    async def run() -> Rate:
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(limits=limits, verify=verify) as client:

            async def once() -> None:
                (await client.get(url)).raise_for_status()

            return await rate(once)

    return uvloop.run(run())


def bare_sockets(url: str, per_second: int = 0, seconds: float = ROUND_S) -> Rate:
    """The floor: connect, send, receive and parse, with nothing around it; AT_ONCE, or so many a second."""
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    request = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    epoll = select.epoll()
    waiting: dict[int, socket.socket] = {}
    done = 0
    started, cpu = time.perf_counter(), time.process_time()

    def begin() -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", port))
        waiting[connection.fileno()] = connection
        epoll.register(connection.fileno(), select.EPOLLOUT)

    for _ in range(0 if per_second else AT_ONCE):
        begin()
    begun = 0
    while (now := time.perf_counter()) < started + seconds:
        due_s = started + begun / per_second - now if per_second else math.inf
        if due_s <= 0:
            begun += 1
            begin()
        for fd, event in epoll.poll(min(max(0.0, due_s), seconds)):
            connection = waiting[fd]
            if event & select.EPOLLOUT:
                connection.send(request)
                epoll.modify(fd, select.EPOLLIN)
                continue
            httptools.HttpResponseParser(object()).feed_data(connection.recv(65_536))
            waiting.pop(fd).close()
            done += 1
            if not per_second:
                begin()
    for connection in waiting.values():
        connection.close()
    epoll.close()
    return Rate(done / (time.perf_counter() - started), (time.process_time() - cpu) / done * 1e6)


def latency_ms(url: str, per_second: int) -> dict[str, float]:
    """What we report for the target, in milliseconds, of a fleet that the schedule checks."""

    async def run() -> list[int]:
        totals: list[int] = []
        fetcher, lag = Fetcher(allow=LOOPBACK), LagMeter()

        async def once(monitor: CompiledMonitor, scheduled_at: int) -> None:
            totals.append((await check(monitor, scheduled_at, lag)).total_us)

        schedule: Schedule[CompiledMonitor] = Schedule("bench", once, lambda *_: None)
        for number in range(FLEET):
            schedule.put(_monitor(fetcher, url, number, FLEET * 1_000 // per_second))
        schedule.start()
        await asyncio.sleep(LATENCY_S)
        await schedule.stop(1)
        await fetcher.close()
        return totals[per_second // 2 :]

    totals = uvloop.run(run())
    return {"p50": percentile(totals, 0.5) / 1_000, "p99": percentile(totals, 0.99) / 1_000}


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
