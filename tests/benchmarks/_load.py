"""A load generator: keep-alive connections on raw sockets, each with one request at a time.

Either the next request is sent when an answer is whole, or at its time, and the latency counts from that time.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle, islice
from typing import cast

import orjson
import uvloop

CONNECTIONS = 32
GOOD = (b"HTTP/1.1 200", b"HTTP/1.1 304")


class Answered:
    """What came back: latencies of good answers, and the first line of others."""

    def __init__(self) -> None:
        self.latencies_s: list[float] = []
        self.failures: list[str] = []


class Client(asyncio.Protocol):
    """One connection, which ends when there are no more requests, or after a failure."""

    def __init__(self, requests: Iterator[bytes], answered: Answered, first_at: float, every_s: float) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._answered = answered
        self._due_at = first_at
        self._every_s = every_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or len(self._received) < end + 4 + _length(self._received[:end]):
            return
        if self._received.startswith(GOOD):
            self._answered.latencies_s.append(time.perf_counter() - self._due_at)
        else:
            self._answered.failures.append(self._received.partition(b"\r")[0].decode())
        self._received = b""
        self._due_at = self._due_at + self._every_s if self._every_s else time.perf_counter()
        self._wait()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self._answered.failures.append(f"connection lost: {error}")
            self.done.set_result(None)

    def _wait(self) -> None:
        early_s = self._due_at - time.perf_counter()
        if early_s > 0:
            asyncio.get_running_loop().call_later(early_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)


def _length(head: bytes) -> int:
    """The length of an answer's body."""
    place = head.find(b"content-length: ")
    return 0 if place < 0 else int(head[place + 16 :].partition(b"\r")[0])


async def load(port: int, requests: list[bytes], seconds: float, rate: float) -> dict[str, object]:
    """Ask for so long or until SIGTERM, or for each once where `seconds` is 0; requests a second and milliseconds."""
    answered, loop, stop = Answered(), asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    started, used_s, every_s = time.perf_counter(), time.process_time(), CONNECTIONS / rate if rate else 0.0
    clients = [
        Client(_share(requests, number, seconds), answered, started + every_s * number / CONNECTIONS, every_s)
        for number in range(CONNECTIONS)
    ]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    with suppress(TimeoutError):
        if seconds:
            await asyncio.wait_for(stop.wait(), seconds)
        else:
            await asyncio.wait([client.done for client in clients])
    took, latencies_s = time.perf_counter() - started, sorted(answered.latencies_s)
    return {
        "answered": len(latencies_s),
        "failed": len(answered.failures),
        "failures": sorted(set(answered.failures))[:5],
        "requests_per_second": len(latencies_s) / took,
        "busy": (time.process_time() - used_s) / took,
        "p50_ms": latencies_s[len(latencies_s) // 2] * 1000,
        "p99_ms": latencies_s[int(len(latencies_s) * 0.99)] * 1000,
    }


def _share(requests: list[bytes], number: int, seconds: float) -> Iterator[bytes]:
    """What a connection asks: all again and again from a place of its own, or its part of them once."""
    if not seconds:
        return islice(requests, number, None, CONNECTIONS)
    begin = number * len(requests) // CONNECTIONS
    return cycle(requests[begin:] + requests[:begin])


def main() -> None:
    """`PORT CORE SECONDS RATE`, and on stdin a JSON object of targets and further header lines; prints a JSON object.

    Rate 0 is as many as go.
    """
    port, core, seconds, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
    os.sched_setaffinity(0, {core})
    asked = orjson.loads(sys.stdin.buffer.read())
    requests = [f"GET {each} HTTP/1.1\r\nHost: x\r\n{asked['headers']}\r\n".encode() for each in asked["targets"]]
    print(orjson.dumps(uvloop.run(load(port, requests, seconds, rate))).decode())


if __name__ == "__main__":
    main()
