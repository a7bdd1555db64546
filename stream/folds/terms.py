"""What the folds need of a monitor's version: its rhythm and its policy."""

from collections.abc import Callable
from operator import itemgetter
from typing import Final

import msgspec
from msgspec.structs import asdict, replace

from schemas.events import CorrectionOrdered, PolicyChange
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

    def under(self, change: PolicyChange) -> "Terms":
        """The same, as a replay changes the policy."""
        return replace(self, **{name: value for name, value in asdict(change).items() if value is not None})


DEFAULT_TERMS: Final = Terms()
"""For a result whose version nobody knows any more."""

TermsOf = Callable[[str, int], Terms | None]
"""(monitor, version) to its terms, None where they must be fetched first."""


KnownTerms = tuple[tuple[int, Terms], ...]
"""In the order of the versions: nearly always one."""


class HeldTerms:
    """The terms of a monitor's versions, and the replays that change them for a time."""

    __slots__ = ("known", "replays")

    def __init__(self) -> None:
        self.known: KnownTerms = ()
        self.replays: tuple[CorrectionOrdered, ...] = ()

    def knows(self, version: int) -> bool:
        """Whether the version's terms are here."""
        return any(known == version for known, _ in self.known)

    def learn(self, version: int, terms: Terms) -> None:
        """Keep the terms of a version."""
        self.known = tuple(sorted((*self.known, (version, terms)), key=itemgetter(0)))

    @property
    def newest(self) -> Terms:
        """The terms of the highest version."""
        return self.known[-1][1] if self.known else DEFAULT_TERMS

    def at(self, version: int, at: int) -> Terms:
        """What holds of a version at a time; of replays that overlap the later one wins."""
        terms = next((terms for known, terms in self.known if known == version), DEFAULT_TERMS)
        for replay in self.replays:
            if replay.since <= at < replay.until:
                terms = terms.under(replay.policy)
        return terms

    @property
    def borders(self) -> list[int]:
        """Where replays begin and end."""
        return [at for replay in self.replays for at in (replay.since, replay.until)]
