"""Pure folds: (state, event) -> (state, facts). No clock, no I/O, no randomness."""

from stream.folds.facts import STATUSES, ComponentStatus, CurrentStatus, Facts, LatencyHour, UptimeBucket
from stream.folds.partition import PartitionFold, StateRow
from stream.folds.terms import Terms, TermsOf

RULES = 1
"""Grows when the same log is to give other facts or states."""

__all__ = [
    "RULES",
    "STATUSES",
    "ComponentStatus",
    "CurrentStatus",
    "Facts",
    "LatencyHour",
    "PartitionFold",
    "StateRow",
    "Terms",
    "TermsOf",
    "UptimeBucket",
]
