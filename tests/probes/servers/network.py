"""A small Internet: names that may change with each look-up, and connects that are noted and led to a local server."""

import asyncio
import contextlib
import errno
import json
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from probes.resolve import IpVersion
from probes.wire.failed import FetchFailed
from schemas.enums import Reason


class RebindingResolver:
    """The n-th look-up of a name gets its n-th answer, and then the last for ever; `CNAME x` goes on to x."""

    def __init__(self, names: dict[str, list[list[str]]]) -> None:
        self._names = names
        self.lookups: Counter[str] = Counter()

    async def resolve(self, host: str, ip_version: IpVersion) -> Sequence[str]:
        answers = self._names.get(host)
        if answers is None:
            raise FetchFailed(Reason.DNS_ERROR, f"{host}: there is no such name")
        answer = answers[min(self.lookups[host], len(answers) - 1)]
        self.lookups[host] += 1
        found: list[str] = []
        for entry in answer:
            found += await self.resolve(entry.removeprefix("CNAME "), ip_version) if "CNAME" in entry else [entry]
        return found

    async def close(self) -> None:
        """Nothing is held."""


class LocalNetwork:
    """Where all connects end: a server that answers by Host and path."""

    def __init__(
        self,
        port: int,
        blackholes: Sequence[str] = (),
        refusing: Sequence[str] = (),
        without_ipv6: int = 0,
    ) -> None:
        self._port = port
        self._without_ipv6 = without_ipv6
        self._blackholes = blackholes
        self._refusing = refusing
        self._silent: list[socket.socket] = []
        self.connects: list[tuple[str, int]] = []

    def connect(self, attempt: socket.socket, address: tuple[str, int]) -> int:
        """Note the address, and connect to the local server instead."""
        self.connects.append(address)
        host, _ = address
        if self._without_ipv6 and ":" in host:
            return self._without_ipv6
        if host in self._blackholes:
            self._silent.append(_never_writable(attempt.fileno()))
            return errno.EINPROGRESS
        if host in self._refusing:
            return errno.ECONNREFUSED
        local = "::ffff:127.0.0.1" if attempt.family == socket.AF_INET6 else "127.0.0.1"
        return attempt.connect_ex((local, self._port))


def _never_writable(fd: int) -> socket.socket:
    """Put a full pipe in the place of a socket; returns the end to keep."""
    full, other = socket.socketpair()
    full.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            full.send(bytes(65_536))
    os.dup2(full.fileno(), fd)
    full.close()
    return other


@contextlib.asynccontextmanager
async def local_network(answers: dict[str, dict[str, Any]], **options: Any) -> AsyncIterator[LocalNetwork]:
    """Serve `answers` (URL -> status and headers); what is not in them is a 200 that shows the request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.read(65_536)).decode("latin-1").split("\r\n")
        if " HTTP/1.1" in lines[0]:  # TLS is hung up on
            writer.write(_answer(lines, answers))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield LocalNetwork(server.sockets[0].getsockname()[1], **options)
    finally:
        server.close()


def _answer(lines: list[str], answers: dict[str, dict[str, Any]]) -> bytes:
    host = next(line[6:] for line in lines if line.lower().startswith("host: "))
    answer = answers.get(f"http://{host}{lines[0].split()[1]}", {"status": 200, "headers": []})
    headers = "".join(f"{name}: {value}\r\n" for name, value in answer["headers"])
    body = json.dumps(lines)
    return f"HTTP/1.1 {answer['status']} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}".encode()
