"""The probe's own lateness: a result taken while the event loop was held up tells more of us than of its target."""

import asyncio
from time import monotonic
from typing import Final

PERIOD_S: Final = 0.02
TOLERATED_S: Final = 0.02


class LagMeter:
    """A heartbeat of the event loop while checks are in flight: each `begin`s and `end`s.

    `since(begun)` says how late the heart beat meanwhile. The clock is not the loop's own, which uvloop reads once a
    turn, however long that takes.
    """

    def __init__(self) -> None:
        self._in_flight = 0
        self._worst_s = 0.0
        self._late_s = 0.0
        """All lateness so far that was not tolerated."""
        self._expected_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> float:
        """A check begins; returns what `since` wants to know."""
        self._in_flight += 1
        if self._in_flight == 1:
            self._expect_next(monotonic())
        return self._late_s

    def end(self) -> None:
        """A check has ended."""
        self._in_flight -= 1
        if not self._in_flight and self._timer is not None:
            self._timer.cancel()

    def since(self, begun: float) -> float:
        """For how many seconds the loop was held up since a check had begun, or is right now."""
        return self._late_s - begun + _not_tolerated(monotonic() - self._expected_at)

    def take_worst_s(self) -> float:
        """The worst lag since this was asked last, in seconds."""
        worst_s, self._worst_s = self._worst_s, 0.0
        return worst_s

    def _beat(self) -> None:
        now = monotonic()
        late_s = now - self._expected_at
        self._worst_s = max(self._worst_s, late_s)
        self._late_s += _not_tolerated(late_s)
        self._expect_next(now)

    def _expect_next(self, now: float) -> None:
        self._expected_at = now + PERIOD_S
        self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._beat)


def _not_tolerated(late_s: float) -> float:
    return late_s if late_s > TOLERATED_S else 0.0
