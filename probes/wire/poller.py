"""Readiness of sockets. One epoll stands inside the event loop for all of them.

A loop's own add_reader costs a handle a socket; one nested epoll takes a fifth off a whole check, and notes
when the kernel said "ready", so that a check's phases do not count how long its neighbours kept the loop.
"""

import asyncio
import select
from collections.abc import Callable
from time import perf_counter_ns
from typing import Final, Protocol

READABLE: Final = 1
WRITABLE: Final = 4
EVENTS_A_TURN: Final = 32
"""More would let servers that flood at once hold the loop."""


class Poller(Protocol):
    """Calls back once for each `arm`."""

    polled_at_ns: int
    """When the readiness that is being told was seen."""

    def arm(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        """Call back once when `fd` is READABLE or WRITABLE, whichever was asked, or has failed."""

    def forget(self, fd: int) -> None:
        """Before `fd` is closed: no call back any more."""

    def close(self) -> None:
        """Let go of the event loop."""


class EpollPoller:
    """The poller of Linux."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.polled_at_ns = 0
        self._loop = loop
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._known: set[int] = set()
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def arm(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        self._callbacks[fd] = callback
        if fd in self._known:
            self._epoll.modify(fd, events | select.EPOLLONESHOT)
        else:
            self._known.add(fd)
            self._epoll.register(fd, events | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        self._known.discard(fd)  # closing takes it out of the epoll itself
        self._callbacks.pop(fd, None)

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _dispatch(self) -> None:
        ready = self._epoll.poll(0, EVENTS_A_TURN)
        self.polled_at_ns = perf_counter_ns()
        for fd, _ in ready:
            callback = self._callbacks.pop(fd, None)
            if callback is not None:
                callback()


class LoopPoller:
    """The poller of systems without epoll."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.polled_at_ns = 0
        self._loop = loop

    def arm(self, fd: int, events: int, callback: Callable[[], None]) -> None:
        if events == READABLE:
            self._loop.add_reader(fd, self._tell, fd, callback)
        else:
            self._loop.add_writer(fd, self._tell, fd, callback)

    def forget(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)

    def close(self) -> None:
        """Nothing is held: every armed descriptor is forgotten by its owner."""

    def _tell(self, fd: int, callback: Callable[[], None]) -> None:
        self.polled_at_ns = perf_counter_ns()
        self.forget(fd)
        callback()


def make_poller(loop: asyncio.AbstractEventLoop) -> Poller:
    """The best poller of this system."""
    return EpollPoller(loop) if hasattr(select, "epoll") else LoopPoller(loop)
