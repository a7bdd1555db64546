"""A load generator: keep-alive connections on raw sockets, each sending its next request when the answer is whole."""

import asyncio
import os
import sys
import time
from typing import cast

import orjson
import uvloop

CONNECTIONS = 32


class Client(asyncio.Protocol):
    """One connection. The answers to one request are all of the same length, which the first one tells."""

    def __init__(self, request: bytes, latencies_s: list[float]) -> None:
        self._request = request
        self._latencies_s = latencies_s
        self._received = 0
        self._length = 0
        self._head = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if not self._length:
            self._head += data
            self._length = _length_of(self._head)
        if self._length and self._received >= self._length:
            self._latencies_s.append(time.perf_counter() - self._sent_at)
            self._received = 0
            self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


def _length_of(head: bytes) -> int:
    """The whole length of an answer; 0 while its head is not complete. Raises on an error status."""
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return 0
    lines = head[:end].lower().split(b"\r\n")
    if lines[0].split()[1] not in (b"200", b"304"):
        raise RuntimeError(head.decode())
    body = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    return end + 4 + (body[0] if body else 0)


async def load(port: int, request: bytes, seconds: float) -> dict[str, float]:
    """Ask for so long; requests a second and milliseconds."""
    latencies_s: list[float] = []
    loop = asyncio.get_running_loop()
    connections = [
        await loop.create_connection(lambda: Client(request, latencies_s), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    latencies_s.clear()
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    took, answered = time.perf_counter() - started, sorted(latencies_s)
    for transport, _ in connections:
        transport.abort()
    return {
        "answered": len(answered),
        "requests_per_second": len(answered) / took,
        "p50_ms": answered[len(answered) // 2] * 1000,
        "p99_ms": answered[int(len(answered) * 0.99)] * 1000,
    }


def main() -> None:
    """`PORT CORE SECONDS`, and the request on stdin; prints a JSON object."""
    port, core, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    os.sched_setaffinity(0, {core})
    print(orjson.dumps(uvloop.run(load(port, sys.stdin.buffer.read(), seconds))).decode())


if __name__ == "__main__":
    main()
