"""Connections: opened to addresses that were judged, and to no others."""

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from probes.wire.failed import FetchFailed
from probes.wire.poller import READABLE, WRITABLE, Poller
from schemas.enums import Reason

ATTEMPTS: Final = 3
ATTEMPT_DELAY_S: Final = 0.25
READ_BYTES: Final = 65_536
_OURS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""What the probe itself has run out of; no word about the server."""
_TELLS_LEAST: Final = frozenset({0, errno.ENETUNREACH, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""Of several failures, what a host without IPv6 says each time."""

Connect = Callable[[socket.socket, tuple[str, int]], int]
"""Starts connecting a non-blocking socket; returns an errno, like socket.connect_ex."""


class Connection:
    """A connected socket. Whoever has it closes it."""

    __slots__ = ("_loop", "_poller", "_socket", "_waiter", "address", "ready_at_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop, poller: Poller, connected: socket.socket, address: str) -> None:
        self._loop = loop
        self._poller = poller
        self._socket = connected
        self._waiter: asyncio.Future[None] | None = None
        self.address = address
        self.ready_at_ns = poller.polled_at_ns
        """When the server's last sign of life was there to be read."""

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        sent = self._send_some(data)
        while sent < len(data):
            await self._ready(WRITABLE)
            sent += self._send_some(data[sent:])

    async def receive(self) -> bytes:
        """What there is, at most READ_BYTES; nothing when the server has ended its side. Raises OSError."""
        while True:
            await self._ready(READABLE)
            try:
                return self._socket.recv(READ_BYTES)
            except BlockingIOError:
                continue

    def send_at_once(self) -> None:
        """Do not wait for the acknowledgement of one small packet before the next."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Close it; what the server still sends is refused."""
        self._poller.forget(self._socket.fileno())
        self._socket.close()

    def _send_some(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def _ready(self, events: int) -> asyncio.Future[None]:
        waiter = self._waiter = self._loop.create_future()
        self._poller.arm(self._socket.fileno(), events, self._wake)
        return waiter

    def _wake(self) -> None:
        self.ready_at_ns = self._poller.polled_at_ns
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _Race:
    """Happy eyeballs (RFC 8305): the next address starts when the last one fails or keeps us waiting."""

    __slots__ = ("_connect", "_errno", "_left", "_loop", "_pending", "_poller", "_port", "_timer", "_winner")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        poller: Poller,
        connect: Connect,
        addresses: Sequence[str],
        port: int,
    ) -> None:
        self._loop = loop
        self._poller = poller
        self._connect = connect
        self._left = list(addresses[:ATTEMPTS])
        self._port = port
        self._errno = 0
        self._pending: list[socket.socket] = []
        self._timer: asyncio.TimerHandle | None = None
        self._winner: asyncio.Future[tuple[socket.socket, Connection]] = loop.create_future()

    async def run(self) -> Connection:
        """The first connection that stands. Raises FetchFailed."""
        try:
            self._start_next()
            attempt, connection = await self._winner
            self._pending.remove(attempt)
            return connection
        finally:
            self._stop()

    def _start_next(self) -> None:
        self._timer = None
        while self._left:
            address = self._left.pop(0)
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                attempt = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:
                self._note(error.errno or 0)
                continue
            attempt.setblocking(False)
            self._pending.append(attempt)
            code = self._connect(attempt, (address, self._port))
            if code in (0, errno.EINPROGRESS):
                self._poller.arm(attempt.fileno(), WRITABLE, partial(self._settle, attempt, address))
                if self._left:
                    self._timer = self._loop.call_later(ATTEMPT_DELAY_S, self._start_next)
                return
            self._give_up(attempt, code)
        if not self._pending and not self._winner.done():
            self._winner.set_exception(_failure(self._errno))

    def _settle(self, attempt: socket.socket, address: str) -> None:
        if self._winner.done():
            return
        code = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            self._winner.set_result((attempt, Connection(self._loop, self._poller, attempt, address)))
            return
        self._give_up(attempt, code)
        if self._timer is not None:
            self._timer.cancel()
        self._start_next()

    def _give_up(self, attempt: socket.socket, code: int) -> None:
        self._note(code)
        self._pending.remove(attempt)
        self._close(attempt)

    def _note(self, code: int) -> None:
        if self._errno in _TELLS_LEAST:
            self._errno = code

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for attempt in self._pending:
            self._close(attempt)
        self._pending.clear()

    def _close(self, attempt: socket.socket) -> None:
        self._poller.forget(attempt.fileno())
        attempt.close()


def _failure(code: int) -> FetchFailed:
    if code == errno.ECONNREFUSED:
        return FetchFailed(Reason.CONNECT_REFUSED, "the server refused the connection: nothing listens on that port")
    if code in _OURS:
        return FetchFailed(Reason.PROBE_OVERLOADED, f"the probe could not open a connection: {os.strerror(code)}")
    return FetchFailed(Reason.CONNECT_ERROR, f"could not connect: {os.strerror(code)}")


def open_connection(
    loop: asyncio.AbstractEventLoop, poller: Poller, connect: Connect, addresses: Sequence[str], port: int
) -> Awaitable[Connection]:
    """A connection to the first of `addresses` that answers. Raises FetchFailed."""
    return _Race(loop, poller, connect, addresses, port).run()
