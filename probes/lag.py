"""The probe's own lateness: a result taken while the event loop was held up tells more of us than of its target."""

import asyncio
from time import monotonic
from typing import Final

PERIOD_S: Final = 0.02
TOLERATED_S: Final = 0.02


class LagMeter:
    """A heartbeat of the event loop while checks are in flight: each `begin`s and `end`s.

    `lagged_since(t)` says whether the heart beat late after `t` (monotonic seconds). The clock is not the loop's own,
    which uvloop reads once a turn, however long that takes.
    """

    def __init__(self) -> None:
        self._in_flight = 0
        self._worst_s = 0.0
        self._late_at = float("-inf")
        self._expected_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> float:
        """A check begins; returns the time."""
        now = monotonic()
        self._in_flight += 1
        if self._in_flight == 1:
            self._expect_next(now)
        return now

    def end(self) -> None:
        """A check has ended."""
        self._in_flight -= 1
        if not self._in_flight and self._timer is not None:
            self._timer.cancel()

    def lagged_since(self, time_s: float) -> bool:
        """Whether the loop was held up at or after that time, or is behind right now."""
        return self._late_at >= time_s or monotonic() - self._expected_at > TOLERATED_S

    def take_worst_s(self) -> float:
        """The worst lag since this was asked last, in seconds."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s

    def _beat(self) -> None:
        now = monotonic()
        late_s = now - self._expected_at
        self._worst_s = max(self._worst_s, late_s)
        if late_s > TOLERATED_S:
            self._late_at = now
        self._expect_next(now)

    def _expect_next(self, now: float) -> None:
        self._expected_at = now + PERIOD_S
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._beat)
