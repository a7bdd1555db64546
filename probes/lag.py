"""The probe's own lateness: a result taken while the event loop was held up tells more of us than of its target."""

import asyncio
from typing import Final

PERIOD_S: Final = 0.02
TOLERATED_S: Final = 0.02


class LagMeter:
    """A heartbeat of the event loop; `lagged_since(t)` says whether it came late after `t` (loop time, seconds)."""

    def __init__(self) -> None:
        self._worst_s = 0.0
        self._late_at = float("-inf")
        self._expected_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat on the running loop."""
        loop = asyncio.get_running_loop()
        self._expected_at = loop.time() + PERIOD_S
        self._timer = loop.call_at(self._expected_at, self._beat)

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
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
        self._expected_at = now + PERIOD_S
        self._timer = loop.call_at(self._expected_at, self._beat)
