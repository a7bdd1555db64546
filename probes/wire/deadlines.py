"""Deadlines. One timer stands for those of all checks: one for each would be a tenth of what a whole check costs."""

import asyncio
from heapq import heappop, heappush
from itertools import count
from math import inf
from types import TracebackType


class Deadline:
    """Entered around what must end in time; raises TimeoutError where that did not, as asyncio.timeout does."""

    __slots__ = ("_passed", "_task")

    def __init__(self, task: "asyncio.Task[object] | None") -> None:
        self._task = task
        self._passed = False

    @property
    def left(self) -> bool:
        """What it stood around has ended."""
        return self._task is None

    def pass_by(self) -> None:
        """Its time has come: cancel what is still under way."""
        if self._task is not None:
            self._passed = True
            self._task.cancel()

    def __enter__(self) -> None:
        """It counts from when it was made."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        task, self._task = self._task, None
        if self._passed and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Deadlines:
    """The deadlines of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Deadline]] = []
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf

    def within(self, seconds: float) -> Deadline:
        """A deadline for the task that runs now."""
        heap, at = self._heap, self._loop.time() + seconds
        deadline = Deadline(asyncio.current_task(self._loop))
        while heap and heap[0][2].left:
            heappop(heap)
        heappush(heap, (at, next(self._numbers), deadline))
        if at < self._rings_at:
            self._ring_at(at)
        return deadline

    def close(self) -> None:
        """Let go of the event loop."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._rings_at = None, inf

    def _ring_at(self, at: float) -> None:
        self.close()
        self._timer, self._rings_at = self._loop.call_at(at, self._ring), at

    def _ring(self) -> None:
        self.close()
        heap, now = self._heap, self._loop.time()
        while heap and (heap[0][2].left or heap[0][0] <= now):
            heappop(heap)[2].pass_by()
        if heap:
            self._ring_at(heap[0][0])
