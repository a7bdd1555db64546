"""The probe's own lateness: a result taken while the event loop was held up tells more of us than of its target."""

import asyncio
from typing import Final

PERIOD_S: Final = 0.02
TOLERATED_S: Final = 0.02


class LagMeter:
    """A heartbeat of the event loop while checks are in flight: each `begin`s and `end`s.

    `lagged_since(t)` says whether the heart beat late after `t` (loop time, seconds).
    """

    def __init__(self) -> None:
        self._in_flight = 0
        self._worst_s = 0.0
        self._late_at = float("-inf")
        self._expected_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> float:
        """A check begins; returns the loop's time."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._in_flight += 1
        if self._in_flight == 1:
            self._expect(loop, now + PERIOD_S)
        return now

    def end(self) -> None:
        """A check has ended."""
        self._in_flight -= 1
        if not self._in_flight and self._timer is not None:
            self._timer.cancel()

    def lagged_since(self, loop_time_s: float) -> bool:
        """Whether the loop was held up at or after that time, or is behind right now."""
        now = asyncio.get_running_loop().time()
        return self._late_at >= loop_time_s or now - self._expected_at > TOLERATED_S

    def take_worst_s(self) -> float:
        """The worst lag since this was asked last, in seconds."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s

    def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        late_s = now - self._expected_at
        self._worst_s = max(self._worst_s, late_s)
        if late_s > TOLERATED_S:
            self._late_at = now
        self._expect(loop, now + PERIOD_S)

    def _expect(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._expected_at = at
        self._timer = loop.call_at(at, self._beat)
