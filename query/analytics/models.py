"""What `/v1/analytics` answers: each answer says which data it is from, and how far that goes."""

from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field

from query.cursors import NextCursor
from query.times import Iso, iso
from query.uptime import STATUSES, Spans, coverage_of, uptime_of
from schemas.enums import Outcome, Reason
from schemas.monitors import Slug

Share = Annotated[float, Field(ge=0, le=1)]
SPANS_MS: Final = tuple(f"{status}_ms" for status in STATUSES)


class Phase(StrEnum):
    """A part of a check; `total` is all of it."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TTFB = "ttfb"
    TRANSFER = "transfer"
    TOTAL = "total"


class Answer(BaseModel):
    """What every answer says: the window that was counted, and from which table up to when."""

    begin: Annotated[Iso, Field(description="The window, widened to whole buckets of the source.")]
    end: Iso
    source: Annotated[str, Field(examples=["uptime_daily"])]
    as_of: Annotated[Iso | None, Field(description="The newest data that was counted; null: there was none.")]
    coverage: Annotated[Share | None, Field(description="The share of the window in which the status was known.")] = (
        None
    )


class UptimeFigures(BaseModel):
    """Time by status; `uptime` is (up + degraded) / (up + degraded + down), null where nothing is known."""

    uptime: Share | None
    coverage: Share
    up_ms: int
    degraded_ms: int
    down_ms: int
    unknown_ms: int
    maintenance_ms: int
    paused_ms: int

    @classmethod
    def of(cls, spans: Spans, window_ms: int) -> Self:
        """The figures of so many milliseconds of each status in a window."""
        return cls(**figures_of(spans, window_ms))


def figures_of(spans: Spans, window_ms: int) -> dict[str, Any]:
    """The fields of UptimeFigures, without the model: an answer may have 50,000 of them."""
    return {
        "uptime": uptime_of(spans),
        "coverage": coverage_of(spans, window_ms),
        **dict(zip(SPANS_MS, spans, strict=True)),
    }


class UptimePoint(UptimeFigures):
    """A step's figures."""

    begin: Iso


class MonitorUptime(BaseModel):
    """A monitor's uptime over the window, and step by step."""

    monitor: Slug
    total: UptimeFigures
    points: list[UptimePoint]


class UptimeAnswer(Answer):
    """Uptime of monitors by step."""

    monitors: list[MonitorUptime]


class Phases(BaseModel):
    """Means of the phases of a check."""

    dns_ms: float
    connect_ms: float
    tls_ms: float
    ttfb_ms: float
    transfer_ms: float
    total_ms: float


class Quantiles(BaseModel):
    """Latency below which a share of the answered checks were."""

    checks: int
    p50_ms: float
    p75_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    p999_ms: float


class LatencyPoint(Quantiles):
    """Latency of answered checks in a step; `region` is null over all regions."""

    begin: Iso
    region: str | None
    mean: Phases


class LatencyAnswer(Answer):
    """Latency of a monitor by step. Quantiles of `total` are read off histograms: some 1 % off at p50, 4 % at p99."""

    monitor: Slug
    phase: Phase
    points: list[LatencyPoint]


class IncidentFigures(BaseModel):
    """Incidents that began in the window. Times are null where there was nothing to take the mean of."""

    incidents: int
    open: int
    down: Annotated[int, Field(description="Those that were down, not only degraded.")]
    mttr_ms: Annotated[int | None, Field(description="Mean time to recovery, of those that are over.")]
    mtbf_ms: Annotated[int | None, Field(description="Mean time between failures: up and degraded time / incidents.")]
    mttd_ms: Annotated[int | None, Field(description="Mean time from the first failing result to the decision.")]
    longest_ms: Annotated[int, Field(description="An open one as long as it has lasted by now.")]


class MonitorIncidents(IncidentFigures):
    """A monitor's incidents."""

    monitor: Slug


class IncidentsAnswer(Answer):
    """Incidents of the workspace, over all and by monitor, the most first."""

    total: IncidentFigures
    monitors: list[MonitorIncidents]


class RankedMonitor(UptimeFigures):
    """A monitor of a ranking."""

    monitor: Slug


class WorstAnswer(Answer):
    """The monitors with the lowest uptime."""

    monitors: list[RankedMonitor]


class Compared(BaseModel):
    """A monitor in one of two windows; `latency` is null where no check was answered."""

    uptime: UptimeFigures
    incidents: IncidentFigures
    latency: Quantiles | None


class ComparedMonitor(BaseModel):
    """A monitor in both windows, and by how much it changed: below 0 it got less."""

    monitor: Slug
    now: Compared
    before: Compared
    uptime_change: Annotated[float | None, Field(description="Null where either window has no uptime.")]
    p95_change_ms: Annotated[float | None, Field(description="Null where either window has no answered check.")]


class CompareAnswer(Answer):
    """Two windows of the same length, side by side; `begin` and `end` are those of the later one."""

    before_begin: Iso
    before_end: Iso
    monitors: list[ComparedMonitor]


class ComponentFigures(BaseModel):
    """A part that a monitor's health document names. Checks are of raw results that were not up."""

    component: str
    outcome: Annotated[Outcome | None, Field(description="What it is now; null where it is named no more.")]
    degraded: Annotated[int, Field(description="Checks that said so of it.")]
    down: int
    unknown: int
    incidents: Annotated[int, Field(description="Incidents of the window that named it.")]
    affected_ms: Annotated[int, Field(description="How long those took inside the window.")]


class ComponentsAnswer(Answer):
    """The parts of a monitor, the most troubled first."""

    monitor: Slug
    components: list[ComponentFigures]


class ReasonCount(BaseModel):
    """How many checks had this outcome for this reason."""

    outcome: Outcome
    reason: Reason
    checks: int


class ReasonsAnswer(Answer):
    """Why checks of a monitor were not up."""

    monitor: Slug
    reasons: list[ReasonCount]


class Burn(BaseModel):
    """How fast the budget goes: 1 uses it up exactly by the window's end; null where nothing is known."""

    hours: Annotated[int, Field(description="Whole hours before the window's end, and the one that has begun.")]
    rate: float | None


class BudgetAnswer(Answer):
    """The downtime that an objective allows of the time that was watched in the window, and what was used of it."""

    monitor: Slug
    objective: Share
    uptime: Share | None
    allowed_ms: int
    used_ms: int
    left_ms: Annotated[int, Field(description="Below 0 once the objective is missed.")]
    burn: list[Burn]


class ResultView(BaseModel):
    """A check result as it is kept. Durations are microseconds."""

    scheduled_at: Iso
    region: str
    outcome: Outcome
    reason: Reason
    status_code: int
    started_delay_ms: int
    dns_us: int
    connect_us: int
    tls_us: int
    ttfb_us: int
    transfer_us: int
    total_us: int
    overloaded: bool
    late: bool
    annulled: Annotated[bool, Field(description="A person has taken it out of the record: it counts nowhere.")]
    message: str
    monitor_version: int


class ResultsAnswer(Answer):
    """Results of a monitor, the newest first."""

    monitor: Slug
    results: list[ResultView]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class SqlQuestion(BaseModel):
    """A SELECT over the views `pulse_*`."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=20_000,
            examples=["SELECT monitor, sum(down_ms) FROM pulse_uptime_daily WHERE day > today() - 30 GROUP BY monitor"],
        ),
    ]


class SqlColumn(BaseModel):
    """A column of an answer, with its type as ClickHouse names it."""

    name: str
    type: str


class SqlAnswer(BaseModel):
    """What a SELECT found."""

    source: Annotated[str, Field(examples=["pulse_*"])]
    as_of: Iso
    columns: list[SqlColumn]
    rows: Annotated[list[list[Any]], Field(description="Values in the order of the columns.")]
    rows_read: int
    elapsed_ms: float


def newest(as_of: list[int]) -> str | None:
    """`as_of` of an answer: the newest of several moments, int ms."""
    return iso(max(as_of)) if as_of else None
