"""A load generator: keep-alive connections on raw sockets, each sending its next request when the answer is whole."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from typing import cast

import orjson
import uvloop

CONNECTIONS = 32
GOOD = (b"HTTP/1.1 200", b"HTTP/1.1 304")


class Client(asyncio.Protocol):
    """One connection, which ends when there are no more requests."""

    def __init__(self, requests: Iterator[bytes], latencies_s: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._latencies_s = latencies_s
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end >= 0 and len(self._received) >= end + 4 + _length(self._received[:end]):
            self._latencies_s.append(time.perf_counter() - self._sent_at)
            self._received = b""
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or RuntimeError("the server closed a connection"))

    def end(self) -> None:
        """Close it; raises what went wrong with it."""
        if self.done.done():
            self.done.result()
        self.done.cancel()
        self._transport.abort()

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def _length(head: bytes) -> int:
    """The length of an answer's body. Raises on an error status."""
    if not head.startswith(GOOD):
        raise RuntimeError(head.decode())
    place = head.find(b"content-length: ")
    return 0 if place < 0 else int(head[place + 16 :].partition(b"\r")[0])


async def load(port: int, requests: list[bytes], seconds: float) -> dict[str, float]:
    """Ask for so long, or for each once where `seconds` is 0; requests a second and milliseconds."""
    latencies_s: list[float] = []
    loop = asyncio.get_running_loop()
    clients = [Client(_share(requests, number, seconds), latencies_s) for number in range(CONNECTIONS)]
    started = time.perf_counter()
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.wait(
        [client.done for client in clients], timeout=seconds or None, return_when=asyncio.FIRST_EXCEPTION
    )
    took, answered = time.perf_counter() - started, sorted(latencies_s)
    for client in clients:
        client.end()
    return {
        "answered": len(answered),
        "requests_per_second": len(answered) / took,
        "p50_ms": answered[len(answered) // 2] * 1000,
        "p99_ms": answered[int(len(answered) * 0.99)] * 1000,
    }


def _share(requests: list[bytes], number: int, seconds: float) -> Iterator[bytes]:
    """What a connection asks: all again and again from a place of its own, or its part of them once."""
    if not seconds:
        return islice(requests, number, None, CONNECTIONS)
    begin = number * len(requests) // CONNECTIONS
    return cycle(requests[begin:] + requests[:begin])


def main() -> None:
    """`PORT CORE SECONDS`, and on stdin a JSON object of targets and further header lines; prints a JSON object."""
    port, core, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    os.sched_setaffinity(0, {core})
    asked = orjson.loads(sys.stdin.buffer.read())
    requests = [f"GET {each} HTTP/1.1\r\nHost: x\r\n{asked['headers']}\r\n".encode() for each in asked["targets"]]
    print(orjson.dumps(uvloop.run(load(port, requests, seconds))).decode())


if __name__ == "__main__":
    main()
