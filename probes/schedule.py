"""The schedule: slot k of a monitor is at offset + k x interval, for ever, on the wall clock.

The offset is a hash of monitor and region, so slots are spread evenly, survive restarts, and move with a monitor
from probe to probe. Checks in flight are bounded, in all and per target; a slot that finds no room waits, and one
that has not started when the next is due is told as missed: there is no silent gap.
"""

import asyncio
import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from typing import Any, Final, Generic, Protocol, TypeVar

LONGEST_SLEEP_MS: Final = 1_000
REPORTED_GAP_MS: Final = 600_000
"""Slots missed longer ago (a laptop slept) are only counted: the log would mark their results as late."""


class Job(Protocol):
    """What has slots: a monitor, ready to be checked."""

    @property
    def monitor(self) -> str: ...
    @property
    def interval_ms(self) -> int: ...
    @property
    def target(self) -> Hashable: ...


JobT = TypeVar("JobT", bound=Job)


def offset_ms(monitor: str, region: str, interval_ms: int) -> int:
    """Where in its interval a monitor is checked from a region."""
    digest = blake2b(f"{monitor}\0{region}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % interval_ms


def next_slot(offset: int, interval_ms: int, now_ms: float) -> int:
    """The first slot at or after now."""
    return offset + -int((offset - now_ms) // interval_ms) * interval_ms


def wall_clock_ms() -> float:
    """Now, in milliseconds since the epoch, with the fraction that it has."""
    return time.time() * 1_000


@dataclass(slots=True, eq=False)
class _Entry(Generic[JobT]):
    job: JobT
    offset: int
    due_at: int
    waiting_at: int | None = None
    removed: bool = False


@dataclass(slots=True)
class Counters:
    """What the schedule did, for the metrics."""

    started: int = 0
    missed: int = 0
    forgotten: int = 0


@dataclass(slots=True)
class Limits:
    """How many checks may be in flight: in all, and at one target."""

    in_flight: int = 4_000
    per_target: int = 512


@dataclass(slots=True)
class _Flight(Generic[JobT]):
    """What is in flight, and who waits for room."""

    limits: Limits
    total: int = 0
    at: dict[Hashable, int] = field(default_factory=dict)
    turn: deque[_Entry[JobT]] = field(default_factory=deque)
    queues: dict[Hashable, deque[_Entry[JobT]]] = field(default_factory=dict)

    def has_room(self, target: Hashable) -> bool:
        return self.total < self.limits.in_flight and self.at.get(target, 0) < self.limits.per_target

    def queue(self, entry: _Entry[JobT]) -> None:
        target = entry.job.target
        if self.at.get(target, 0) >= self.limits.per_target:
            self.queues.setdefault(target, deque()).append(entry)
        else:
            self.turn.append(entry)

    def enter(self, target: Hashable) -> None:
        self.total += 1
        self.at[target] = self.at.get(target, 0) + 1

    def leave(self, target: Hashable) -> None:
        self.total -= 1
        self.at[target] -= 1
        if not self.at[target]:
            del self.at[target]
        self.call_next(target)

    def call_next(self, target: Hashable) -> None:
        """There is room at the target for one of those that wait for it."""
        waiting = self.queues.get(target)
        if waiting:
            self.turn.append(waiting.popleft())
        elif waiting is not None:
            del self.queues[target]


class Schedule(Generic[JobT]):
    """Starts `check(job, scheduled_at)` at each slot of each job, and tells `missed(job, scheduled_at)`.

    `check` must not raise. `clock` gives milliseconds since the epoch; a test may own it.
    """

    def __init__(
        self,
        region: str,
        check: Callable[[JobT, int], Coroutine[Any, Any, None]],
        missed: Callable[[JobT, int], None],
        limits: Limits | None = None,
        clock: Callable[[], float] = wall_clock_ms,
    ) -> None:
        self.counters = Counters()
        self._region = region
        self._check = check
        self._missed = missed
        self._clock = clock
        self._entries: dict[str, _Entry[JobT]] = {}
        self._heap: list[tuple[int, int, _Entry[JobT]]] = []
        self._sequence = count()
        self._flight: _Flight[JobT] = _Flight(limits or Limits())
        self._tasks: dict[int, asyncio.Task[None]] = {}
        """By the number of the check."""
        self._timer: asyncio.TimerHandle | None = None
        self._woke_at = -math.inf
        self._open = False

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def in_flight(self) -> int:
        """Checks that have started and not ended."""
        return self._flight.total

    def jobs(self) -> list[JobT]:
        """The jobs that have slots now."""
        return [entry.job for entry in self._entries.values()]

    def put(self, job: JobT) -> None:
        """Add a job, or exchange the one of the same monitor; its slots go on where the interval stays.

        Where it grows, the slot that was next is kept: later the monitor would have been silent for too long.
        """
        known = self._entries.get(job.monitor)
        if known is not None and known.job.interval_ms == job.interval_ms and known.job.target == job.target:
            known.job = job
            return
        self.remove(job.monitor)
        offset = offset_ms(job.monitor, self._region, job.interval_ms)
        due_at = next_slot(offset, job.interval_ms, self._clock())
        entry = _Entry(job, offset, min(due_at, known.due_at) if known is not None else due_at)
        self._entries[job.monitor] = entry
        self._push(entry)
        if self._heap[0][2] is entry:
            self._arm(self._clock())

    def remove(self, monitor: str) -> None:
        """No more slots for this monitor; a check in flight ends as it ends, a slot that waits is missed."""
        entry = self._entries.pop(monitor, None)
        if entry is None:
            return
        entry.removed = True
        if entry.waiting_at is not None:
            self._miss(entry, entry.waiting_at)

    def start(self) -> None:
        """Begin to start checks, on the running loop."""
        self._open = True
        self._wake()

    async def stop(self, grace_s: float) -> None:
        """Start nothing more; give checks in flight `grace_s`, then cancel them: `check` tells of it."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _push(self, entry: _Entry[JobT]) -> None:
        heapq.heappush(self._heap, (entry.due_at, next(self._sequence), entry))

    def _arm(self, now: float) -> None:
        """Wake when the next slot is due, and at the latest in a second: the wall clock may be set.

        uvloop's timers count whole milliseconds: rounded down, the loop would spin until the slot is due.
        """
        if self._timer is not None:
            self._timer.cancel()
        if not self._open:
            return
        sleep_ms = LONGEST_SLEEP_MS
        if self._heap:
            sleep_ms = min(sleep_ms, math.ceil(max(0.0, self._heap[0][0] - now)))
        self._timer = asyncio.get_running_loop().call_later(sleep_ms / 1_000, self._wake)

    def _wake(self) -> None:
        now = self._clock()
        if now < self._woke_at:
            self._clock_went_back(now)
        self._woke_at = now
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heapq.heappop(heap)[2]
            if not entry.removed:
                self._due(entry, now)
        self._arm(now)

    def _due(self, entry: _Entry[JobT], now: float) -> None:
        interval_ms = entry.job.interval_ms
        due_at = self._tell_passed(entry, now)
        entry.due_at = due_at + interval_ms - (due_at - entry.offset) % interval_ms
        self._push(entry)
        if entry.waiting_at is not None:
            self._miss(entry, entry.waiting_at)
            entry.waiting_at = due_at  # keeps its place in the queue
        elif self._flight.has_room(entry.job.target):
            self._begin(entry, due_at)
        else:
            entry.waiting_at = due_at
            self._flight.queue(entry)

    def _tell_passed(self, entry: _Entry[JobT], now: float) -> int:
        """Slots whose whole interval has passed are missed; returns the newest slot, which is still to start."""
        interval_ms, due_at = entry.job.interval_ms, entry.due_at
        passed = int((now - due_at) // interval_ms)
        forgotten = min(passed, max(0, int((now - REPORTED_GAP_MS - due_at) // interval_ms)))
        self.counters.forgotten += forgotten
        for k in range(forgotten, passed):
            self._miss(entry, due_at + k * interval_ms)
        return due_at + passed * interval_ms

    def _miss(self, entry: _Entry[JobT], scheduled_at: int) -> None:
        self.counters.missed += 1
        self._missed(entry.job, scheduled_at)

    def _begin(self, entry: _Entry[JobT], scheduled_at: int) -> None:
        job = entry.job
        self.counters.started += 1
        self._flight.enter(job.target)
        number = self.counters.started
        self._tasks[number] = asyncio.get_running_loop().create_task(self._run(number, job, scheduled_at))

    async def _run(self, number: int, job: JobT, scheduled_at: int) -> None:
        try:
            await self._check(job, scheduled_at)
        finally:  # not in a callback of the task: that would cost the loop another turn
            self._ended(number, job.target)

    def _ended(self, number: int, target: Hashable) -> None:
        del self._tasks[number]
        self._flight.leave(target)
        turn = self._flight.turn
        while self._open and turn and self._flight.total < self._flight.limits.in_flight:
            entry = turn.popleft()
            scheduled_at = entry.waiting_at
            if entry.removed or scheduled_at is None:
                self._flight.call_next(entry.job.target)
                continue
            if not self._flight.has_room(entry.job.target):
                self._flight.queue(entry)
                continue
            entry.waiting_at = None
            self._begin(entry, scheduled_at)

    def _clock_went_back(self, now: float) -> None:
        """The clock was set back: slots are where they always were, and some come a second time."""
        for entry in self._entries.values():
            interval_ms = entry.job.interval_ms
            if entry.due_at - now > interval_ms:
                entry.due_at = next_slot(entry.offset, interval_ms, now)
        self._heap = [(entry.due_at, next(self._sequence), entry) for entry in self._entries.values()]
        heapq.heapify(self._heap)
