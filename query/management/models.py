"""What `/v1` answers about monitors, pages, maintenances, keys and incidents."""

from typing import Annotated

from pydantic import BaseModel, Field

from query.cursors import NextCursor
from query.maintenances import MaintenanceState
from query.times import Iso
from schemas.enums import EntryKind, IncidentState, Reason, Severity, Status
from schemas.monitors import KeyScope, Maintenance, Monitor, Page, Slug

Version = Annotated[int, Field(description="Grows with every change; send it as `If-Match` to change only this one.")]
Share = Annotated[float, Field(ge=0, le=1)]
Uptime = Annotated[
    Share | None, Field(description="(up + degraded) / (up + degraded + down), by time; null if nothing is known.")
]
Coverage = Annotated[Share, Field(description="The share of the time in which the status was known.")]
UpdatedBy = Annotated[str, Field(examples=["key:6fJq0aBc1xYz"])]


class MonitorSummary(BaseModel):
    """A line of the list of monitors; `version` and `monitor` are there with `?document=true`."""

    slug: Slug
    title: str
    url: str
    status: Status
    since: Iso | None
    uptime_24h: Uptime
    coverage_24h: Coverage
    version: Version | None = None
    monitor: Monitor | None = None


class MonitorList(BaseModel):
    """A page of the workspace's monitors, by slug."""

    monitors: list[MonitorSummary]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class MonitorDetail(BaseModel):
    """A monitor as it was written (`monitor`), and how it does."""

    slug: Slug
    title: str
    status: Status
    since: Iso | None
    reason: Reason
    message: str
    uptime_24h: Uptime
    coverage_24h: Coverage
    version: Version
    updated_at: Iso
    updated_by: UpdatedBy
    monitor: Monitor


class PageSummary(BaseModel):
    """A line of the list of pages; `page` is there with `?document=true`."""

    slug: Slug
    title: str
    url: Annotated[str, Field(examples=["https://status.example.com/p/acme"])]
    version: Version
    page: Page | None = None


class PageList(BaseModel):
    """A page of the workspace's status pages, by slug."""

    pages: list[PageSummary]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class PageDetail(BaseModel):
    """A status page as it was written (`page`), and where it is."""

    slug: Slug
    title: str
    url: Annotated[str, Field(examples=["https://status.example.com/p/acme"])]
    version: Version
    updated_at: Iso
    updated_by: UpdatedBy
    page: Page


class MaintenanceSummary(BaseModel):
    """A line of the list of maintenances; `maintenance` is there with `?document=true`."""

    slug: Slug
    title: str
    state: MaintenanceState
    monitors: list[Slug]
    starts_at: Iso
    ends_at: Iso
    version: Version
    maintenance: Maintenance | None = None


class MaintenanceList(BaseModel):
    """A page of the workspace's maintenances, the last to start first."""

    maintenances: list[MaintenanceSummary]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class MaintenanceDetail(BaseModel):
    """A maintenance as it was written (`maintenance`), and what has become of it."""

    slug: Slug
    title: str
    state: MaintenanceState
    monitors: list[Slug]
    starts_at: Iso
    ends_at: Iso
    version: Version
    updated_at: Iso
    updated_by: UpdatedBy
    maintenance: Maintenance


class KeyDetail(BaseModel):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[KeyScope]
    created_at: Iso
    created_by: UpdatedBy
    expires_at: Iso | None


class KeyList(BaseModel):
    """The workspace's keys, the oldest first."""

    keys: list[KeyDetail]


class NewKeyDetail(KeyDetail):
    """A key that was just made: the only time that `key` is shown."""

    key: Annotated[str, Field(examples=["pulse_6fJq0aBc1xYz_…"])]


class IncidentSummary(BaseModel):
    """From the first bad moment to recovery. `opened_at` is the first failing result, `decided_at` its confirmation."""

    id: str
    monitor: Slug
    state: IncidentState
    severity: Severity
    reason: Reason
    message: str
    opened_at: Iso
    decided_at: Iso
    resolved_at: Iso | None
    duration_ms: Annotated[int, Field(description="Until now while it is open; 0 of one that never was.")]
    regions: list[str]
    components: list[str]


class IncidentList(BaseModel):
    """Incidents, the newest first."""

    incidents: list[IncidentSummary]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class TimelineEntryDetail(BaseModel):
    """A line of an incident's story."""

    kind: EntryKind
    at: Iso
    status: Status
    message: str
    by: Annotated[str, Field(description="Who wrote it; empty where the product did.")]


class FailureDetail(BaseModel):
    """A test on the response that failed."""

    test: str
    severity: Severity
    expected: str
    seen: str
    message: str


class EvidenceDetail(BaseModel):
    """The failing answer, cut short, with secrets taken out."""

    status_line: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    address: str = ""


class IncidentDetail(IncidentSummary):
    """An incident, all of it."""

    failures: list[FailureDetail]
    evidence: EvidenceDetail | None
    timeline: list[TimelineEntryDetail]


class Span(BaseModel):
    """A status over a span of time; `end` is null while it lasts."""

    status: Status
    begin: Iso
    end: Iso | None
    decided_at: Iso
    reason: Reason
    message: str
    incident: str | None


class History(BaseModel):
    """What a monitor was, the newest first."""

    monitor: Slug
    spans: list[Span]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]
