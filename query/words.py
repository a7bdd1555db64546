"""How statuses, reasons and durations are said to people: plain, and never better than they are."""

from datetime import datetime
from typing import Final

from query.maintenances import MaintenanceState
from schemas.enums import EntryKind, Reason, Status

CAUSES: Final = {
    Reason.OK: "",
    Reason.DNS_ERROR: "its name could not be resolved",
    Reason.CONNECT_REFUSED: "the connection was refused",
    Reason.CONNECT_ERROR: "no connection could be made",
    Reason.TLS_ERROR: "the encrypted connection could not be set up",
    Reason.TIMEOUT: "it did not answer in time",
    Reason.HTTP_STATUS: "it answered with an error status",
    Reason.ASSERTION: "its answer was not as expected",
    Reason.COMPONENT: "a part that it depends on has failed",
    Reason.LATENCY: "it answers slower than it should",
    Reason.CERTIFICATE: "its certificate is about to expire",
    Reason.REDIRECT: "it redirects somewhere it should not",
    Reason.BLOCKED_ADDRESS: "its address may not be checked from here",
    Reason.RESPONSE_TOO_LARGE: "its answer was too large",
    Reason.BAD_RESPONSE: "its answer could not be understood",
    Reason.BAD_REQUEST: "the check itself is not valid",
    Reason.FLAPPING: "it keeps going up and down",
    Reason.PROBE_ERROR: "our probe itself failed",
    Reason.PROBE_OVERLOADED: "our probe was too busy to tell",
    Reason.PROBE_OFFLINE: "our probe lost its own network",
    Reason.NO_RESULTS: "no check has reported for a while",
}
UNTOLD: Final = frozenset(
    {
        Reason.DNS_ERROR,
        Reason.TLS_ERROR,
        Reason.REDIRECT,
        Reason.BLOCKED_ADDRESS,
        Reason.BAD_REQUEST,
        Reason.PROBE_ERROR,
        Reason.PROBE_OVERLOADED,
        Reason.PROBE_OFFLINE,
    }
)
"""Of these the public hears the cause alone: messages name hosts, addresses and settings, which `/v1` tells."""
STATUS_WORDS: Final = {
    Status.UP: "Up",
    Status.DEGRADED: "Degraded",
    Status.DOWN: "Down",
    Status.UNKNOWN: "Unknown",
    Status.MAINTENANCE: "Maintenance",
    Status.PAUSED: "Paused",
}
ENTRY_WORDS: Final = {
    EntryKind.OPENED: "Opened",
    EntryKind.ESCALATED: "Got worse",
    EntryKind.EASED: "Got better",
    EntryKind.UPDATE: "Update",
    EntryKind.REOPENED: "Came back",
    EntryKind.RESOLVED: "Resolved",
    EntryKind.ANNULLED: "Annulled",
    EntryKind.CORRECTED: "Corrected",
}
MAINTENANCE_WORDS: Final = {
    MaintenanceState.UPCOMING: "Planned",
    MaintenanceState.ACTIVE: "In progress",
    MaintenanceState.PAST: "Completed",
    MaintenanceState.CANCELLED: "Cancelled",
}
PREDICATES: Final = {
    Status.UP: "operational",
    Status.DEGRADED: "degraded",
    Status.DOWN: "down",
    Status.UNKNOWN: "unknown to us",
    Status.MAINTENANCE: "in maintenance",
    Status.PAUSED: "not being watched",
}
TROUBLE: Final = (Status.DOWN, Status.DEGRADED)
WORST_FIRST: Final = (
    Status.DOWN,
    Status.DEGRADED,
    Status.UNKNOWN,
    Status.MAINTENANCE,
    Status.UP,
    Status.PAUSED,
)
"""What of several statuses a page is called by; paused monitors count only where there is nothing else."""


def worst(statuses: list[Status]) -> Status:
    """The status by which several are called together; unknown when there are none."""
    return next((status for status in WORST_FIRST if status in statuses), Status.UNKNOWN)


def headline(named: list[tuple[str, Status]]) -> str:
    """One line over a page: from (name, status) of each monitor."""
    if not named:
        return "Nothing is watched here yet"
    overall = worst([status for _, status in named])
    concerned = [name for name, status in named if status is overall]
    if overall is Status.UP:
        return "All systems operational"
    if len(concerned) == len(named):
        who = "Everything is" if len(named) > 1 else f"{named[0][0]} is"
    elif len(concerned) == 1:
        who = f"{concerned[0]} is"
    else:
        who = f"{len(concerned)} of {len(named)} systems are"
    return f"{who} {PREDICATES[overall]}"


def say_moment(at: datetime) -> str:
    """`23 Nov, 20:31 UTC`."""
    return f"{at.day} {at:%b, %H:%M} UTC"


def duration(duration_ms: int) -> str:
    """A duration as people say it, in its two largest units: `1 h 12 min`, `45 s`."""
    seconds = duration_ms // 1000
    if seconds < 1:
        return "under a second"
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    first = next(index for index, (_, size) in enumerate(units) if seconds >= size)
    said = []
    for unit, size in units[first : first + 2]:
        count, seconds = divmod(seconds, size)
        if count:
            said.append(f"{count} {unit}")
    return " ".join(said)


def percent(share: float) -> str:
    """A share as a percentage, cut and not rounded: what was not all the time never reads `100%`."""
    hundredths = int(share * 10_000 + 1e-9)
    return f"{hundredths / 100:.2f}%".replace("100.00%", "100%")


def milliseconds(value_ms: float) -> str:
    """A latency: `0.4 ms`, `38 ms`, `1.2 s`."""
    if value_ms < 10:
        return f"{value_ms:.1f} ms"
    return f"{value_ms:.0f} ms" if value_ms < 1000 else f"{value_ms / 1000:.1f} s"
