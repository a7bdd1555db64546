"""What a status page says, as one model: `GET /status/{slug}` answers it as JSON, the page shows it as HTML.

Plain dataclasses: orjson writes them as they are, FastAPI describes them in OpenAPI.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from query.maintenances import MaintenanceState
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Severity, Status

RESOLVED_TOLD: Final = 100
"""Incidents that are over: a page of many monitors has thousands, where all fail together again and again."""
ANNOUNCED: Final = 20
"""Maintenances that have not begun: the next ones, however far they are."""


class Window(StrEnum):
    """The windows for which uptime is shown: `24h` is 24 hours and the present one, the others are days in UTC."""

    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    QUARTER = "90d"


Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Uptime:
    """Uptime by time: (up + degraded) / (up + degraded + down). Null where nothing of the window is known."""

    uptime: Share | None
    coverage: Annotated[Share, Field(description="The share of the window in which the status was known.")]
    down_ms: Milliseconds


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """A day in UTC. `ms` has the time by status, without zeros; what is missing from 24 hours is not known.

    One object stands in many documents: how it is written is remembered by its identity.
    """

    date: date
    status: Annotated[Status, Field(description="The worst of the day; unknown where there are no data.")]
    uptime: Share | None
    ms: dict[Status, int]
    incidents: Annotated[list[str], Field(description="Ids of the incidents that touched this day.")]


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Latency of answered checks over the last 24 hours, in milliseconds."""

    checks: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class ComponentView:
    """A part that the monitor's health document names; unknown while the monitor itself is, or does not answer."""

    name: str
    status: Outcome
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class FailureView:
    """A test on the response that failed: what was expected, and what was seen instead."""

    test: str
    severity: Severity
    expected: str
    seen: str
    message: str


@dataclass(frozen=True, slots=True)
class TimelineView:
    """One line of an incident's story. Which key a correction came by is told under `/v1` alone."""

    kind: EntryKind
    at: datetime
    status: Status
    message: str


@dataclass(frozen=True, slots=True)
class IncidentView:
    """From the first bad moment to recovery."""

    id: str
    monitor: Annotated[str, Field(description="The monitor's slug.")]
    monitor_name: str
    state: IncidentState
    severity: Severity
    title: str
    reason: Reason
    cause: Annotated[str, Field(description="The reason in words.")]
    opened_at: datetime
    resolved_at: datetime | None
    duration_ms: Milliseconds
    regions: list[str]
    components: list[str]
    failures: list[FailureView]
    answered: Annotated[str, Field(description="The status line of the failing answer; empty when there was none.")]
    timeline: list[TimelineView]


@dataclass(frozen=True, slots=True)
class MonitorView:
    """A monitor: what it is now, and what it was for 90 days."""

    slug: str
    name: str
    status: Status
    since: datetime | None
    reason: Reason | None
    cause: Annotated[str, Field(description="The reason in words; empty while up.")]
    message: str
    known_until: Annotated[datetime | None, Field(description="When this was last confirmed.")]
    components: list[ComponentView]
    days: Annotated[list[Day], Field(description="90 days, the oldest first, today last.")]
    uptime: dict[Window, Uptime]
    latency: LatencySummary | None


@dataclass(frozen=True, slots=True)
class GroupView:
    """Monitors under one heading."""

    name: str
    monitors: list[MonitorView]


@dataclass(frozen=True, slots=True)
class PageView:
    """Which page this is."""

    slug: str
    title: str
    description: str
    url: str


@dataclass(frozen=True, slots=True)
class MaintenanceView:
    """Work that was announced; the monitors are those that this page shows."""

    slug: str
    title: str
    description: str
    state: MaintenanceState
    starts_at: datetime
    ends_at: datetime
    monitors: Annotated[list[str], Field(description="Slugs.")]
    monitor_names: list[str]
    version: Annotated[int, Field(description="Grows with every change.")]
    updated_at: datetime

    @property
    def steps(self) -> list[tuple[MaintenanceState, datetime]]:
        """What it became and when, the newest first. Only of its last change it is known when that was."""
        planned = (MaintenanceState.UPCOMING, min(self.updated_at, self.starts_at))
        began, ended = (MaintenanceState.ACTIVE, self.starts_at), (MaintenanceState.PAST, self.ends_at)
        match self.state:
            case MaintenanceState.CANCELLED:
                return [(MaintenanceState.CANCELLED, self.updated_at)]
            case MaintenanceState.UPCOMING:
                return [planned]
            case MaintenanceState.ACTIVE:
                return [began, planned]
        return [ended, began, planned]


@dataclass(frozen=True, slots=True)
class StatusDocument:
    """Everything that a status page shows. Times are ISO 8601 in UTC."""

    version: Annotated[int, Field(description="The version of this shape: 1.")]
    page: PageView
    status: Annotated[Status, Field(description="Of everything on the page together.")]
    headline: Annotated[str, Field(description="The status in words.")]
    groups: list[GroupView]
    incidents: Annotated[
        list[IncidentView],
        Field(description=f"Open ones, then the last {RESOLVED_TOLD} of those of 14 days, newest first."),
    ]
    maintenances: Annotated[
        list[MaintenanceView],
        Field(description=f"Those of 14 days, those that run, and the next {ANNOUNCED}, by their start."),
    ]
    generated_at: datetime
    stale_since: Annotated[
        datetime | None, Field(description="Since when nothing newer could be learnt; null while all is well.")
    ]
