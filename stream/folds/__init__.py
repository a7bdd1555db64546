"""Pure folds: (state, event) -> (state, facts). No clock, no I/O, no randomness.

What they make of a partition's log is a function of the log alone, by these rules:

Time. Log time is the highest `sent_at` or tick so far, the event's own included; the horizon is the highest tick, or
the last full hour 10 minutes before log time where ticks are behind that: the stream stood still while results came.
Before folding, what an event says of now is bounded by the time of its record in the log and a minute: clocks differ.
A result is folded unless it is scheduled more than 10 minutes before log time or more than one minute after its
batch was sent: such a one is late, kept but not folded. Of results of one identity the one with the smallest
JSON is folded, byte by byte; the order in which results came counts for nothing. A revision takes effect at its `at`,
but not before log time - 10 minutes, nor before the monitor's revision before it; a maintenance likewise, and it
replaces the one of the same id from then on.

Regions. A region's results, in the order of their times, climb two ladders: down (results that are down) and bad
(those that are down or degraded). N bad results in a row make a ladder bad, M others in a row make it good; before
anything is known one good result is enough. Unknown results are passed over. The region is down if the first ladder
is bad, else degraded if the second one is or while the region flaps, else up once a result was good, else unknown.
It flaps from the result on at which the weighted changes among its last 20 steps from result to result reach
`flap_start` percent, until they fall under `flap_stop`; a change weighs 120 if it is the newest, 2 less for each step
of age. A change of the region's status is dated by the first result of the run that made it, or by the result itself
where flapping made it; never before the region's change before it. N, M and the thresholds are those of the version
that the deciding result names.

Silence. A region that has had no telling result for longer than `silence_ms` of the newest one's version is unknown
from that moment on, and begins anew: decided by a later telling result, or by the horizon when it lies beyond. So it
is from the moment on at which the monitor was paused or deleted; results scheduled while it was are not folded. How
the components of a silent region are, nobody knows.

The monitor. It begins with its first result or revision. While deleted it has no status, while paused it is paused, in
a maintenance (that has begun by the horizon or by its newest result, and until the horizon has reached its end) it is
in maintenance. Else the live regions decide, those that are not unknown: down if k of them are down, else degraded if
k are down or degraded, else up; unknown if none lives. k is the quorum, at most all of them; by default more than
half. Quorum and reopening gap are those of the highest version that any result up to then named. A change is decided
when the last of the regions behind it was.

Incidents. One opens where the monitor becomes degraded or down, and ends where it becomes up, paused or deleted;
maintenance and silence do not end it. Within the gap after it ended by becoming up a relapse reopens it. It tells the
reason of the first result behind its opening and names its first 100 regions and components; its id is made of the
monitor's name and the incident's number.

Uptime. Milliseconds of each status in hours and days (UTC) from the monitor's beginning up to what is known, told when
the history changes, and otherwise at ticks, once in five intervals or two minutes, whichever is longer, each monitor at
a moment of its own in that time; as long as nothing is known of a new one, once in an interval. Of a deleted one
nothing is told once all of it is settled and told, until an event names it again; its incidents are then counted on.
Latency: answers (up or degraded) that were measured, and not under overload, by the hour of their schedule and by
region, told at the same ticks.

Corrections. A replay puts its policy over that of every version for what is scheduled in its span; an annulment takes
the results of its span (of a region, or of all) out of the fold, as if they had never been, except that the monitor
has begun with them. An undo takes either back. With a correction the monitor is folded anew from the day in which its
span begins, with the late results of replays' spans; what people decided then takes effect at its `at`, however late
the log was told of it. Incidents keep their identity where they overlap; one that is gone is annulled, with who did it
and why.
"""

from stream.folds.facts import (
    HISTOGRAM_BINS,
    STATUSES,
    ComponentStatus,
    Correction,
    CurrentStatus,
    Facts,
    History,
    LatencyHour,
    UptimeBucket,
)
from stream.folds.partition import FoldedEvent, PartitionFold, StateRow
from stream.folds.terms import Terms, TermsOf

RULES = 7
"""Grows when the same log is to give other facts."""
SHAPE = 2
"""Grows when a state is written in another way: a worker reads states of no other shape."""

__all__ = [
    "HISTOGRAM_BINS",
    "RULES",
    "SHAPE",
    "STATUSES",
    "ComponentStatus",
    "Correction",
    "CurrentStatus",
    "Facts",
    "FoldedEvent",
    "History",
    "LatencyHour",
    "PartitionFold",
    "StateRow",
    "Terms",
    "TermsOf",
    "UptimeBucket",
]
