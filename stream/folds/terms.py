"""What the folds need of a monitor's version: its rhythm and its policy."""

from collections.abc import Callable
from typing import Final

import msgspec

from schemas.monitors import Monitor


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """The part of a monitor's version that decides how results become status.

    `quorum` 0 is the majority of the live regions; `flap_start` and `flap_stop` are percent of weighted changes,
    `flap_start` 0 is no flap detection.
    """

    interval_ms: int = 60_000
    silence_ms: int = 120_000
    confirmations: int = 2
    recoveries: int = 2
    quorum: int = 0
    reopen_gap_ms: int = 120_000
    flap_start: int = 50
    flap_stop: int = 25

    @classmethod
    def of(cls, monitor: Monitor) -> "Terms":
        """The terms that a version of a monitor sets."""
        policy = monitor.policy
        return cls(
            interval_ms=monitor.interval_ms,
            silence_ms=monitor.silence_ms,
            confirmations=policy.confirmations,
            recoveries=policy.recoveries,
            quorum=policy.quorum or 0,
            reopen_gap_ms=2 * monitor.interval_ms if policy.reopen_gap_ms is None else policy.reopen_gap_ms,
            flap_start=policy.flap_start or 0,
            flap_stop=policy.flap_stop,
        )


DEFAULT_TERMS: Final = Terms()
"""For a result whose version nobody knows any more."""

TermsOf = Callable[[str, int], Terms | None]
"""(monitor, version) to its terms, None where they must be fetched first."""
