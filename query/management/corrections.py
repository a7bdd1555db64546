"""Corrections of a monitor's record: replay under another policy, annul false results, undo; and their audit.

An order is an event in the log; the partition's owner carries it out, and the answer is read from what it wrote.
"""

import secrets
import time
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from infra.kafka import partition_of
from query import store
from query.context import Context, CurrentContext
from query.keys import Caller, HistoryReader, Writer
from query.management.monitors import found_monitor, known_monitor
from query.management.writes import append
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from query.times import Iso, iso
from query.uptime import DAY_MS
from query.windows import EARLIEST, LATEST
from schemas.durations import DurationMs, lasting
from schemas.enums import CorrectionKind, IncidentState, Severity, Status
from schemas.events import LONGEST_RUN, CorrectionOrdered, PolicyChange, encode
from schemas.monitors import Monitor, Policy, Slug, check_flapping
from schemas.topics import CHECK_RESULTS

router: Final = APIRouter(prefix="/monitors/{slug}", tags=["corrections"])
READ: Final = (
    ProblemKind.NO_KEY,
    ProblemKind.FORBIDDEN,
    ProblemKind.NOT_FOUND,
    ProblemKind.INVALID,
    ProblemKind.LOG_AWAY,
    ProblemKind.STORE_AWAY,
    ProblemKind.QUERY_TOO_EXPENSIVE,
)
ORDER: Final = (*READ, ProblemKind.BAD_REQUEST, ProblemKind.TOO_LARGE)
PACKAGE: Final = "query.management"
MAX_LISTED: Final = 200

Moment = Annotated[AwareDatetime, Field(ge=EARLIEST, le=LATEST, examples=["2026-11-01T00:00:00Z"])]
Why = Annotated[str, Field(min_length=1, max_length=300, description="Kept with it, and told in the timeline.")]
CorrectionId = Annotated[str, Path(pattern=r"^[a-z0-9]{1,40}$", description="From the list of corrections.")]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    reason: Why


class PolicyOverride(BaseModel):
    """What holds in place of the monitor's policy; what is left out stays. 0 switches flap detection off."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    confirmations: Annotated[int, Field(ge=1, le=LONGEST_RUN)] | None = None
    recoveries: Annotated[int, Field(ge=1, le=LONGEST_RUN)] | None = None
    quorum: Annotated[int, Field(ge=0, le=50, description="0 is the majority.")] | None = None
    reopen_gap_ms: Annotated[DurationMs, lasting(0, DAY_MS)] | None = Field(default=None, alias="reopen_gap")
    flap_start: Annotated[int, Field(ge=0, le=100)] | None = None
    flap_stop: Annotated[int, Field(ge=1, le=100)] | None = None


class Replay(_Order):
    """Fold the results from `from` to `to` (now without) again, late ones included."""

    begin: Moment = Field(alias="from")
    end: Moment | None = Field(default=None, alias="to")
    policy: PolicyOverride = PolicyOverride()


class Annulment(_Order):
    """Fold the monitor as if the results from `from` to `to` had never been, those of a region or all."""

    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    region: Slug | None = None


class Undo(_Order):
    """Take a correction back."""


class Ordered(BaseModel):
    """The order is in the log; read the correction until it is `done`."""

    id: Annotated[str, Field(examples=["k3j9x0q2m5ab"])]


class RecordIncident(BaseModel):
    """An incident as it was, or as it is since."""

    id: str
    state: IncidentState
    severity: Severity
    opened_at: Iso
    resolved_at: Iso | None


class RecordState(BaseModel):
    """The record around the correction: incidents, and the milliseconds by status of the hours that it touches."""

    incidents: list[RecordIncident]
    ms: dict[Status, int]


class CorrectionDetail(BaseModel):
    """Who ordered what and why, and what it changed: `after` is null until it is done."""

    id: str
    kind: CorrectionKind
    done: bool
    ordered_at: Iso
    begin: Iso
    end: Iso
    by: str
    reason: str
    region: str | None
    policy: dict[str, int]
    undoes: str | None
    before: RecordState
    after: RecordState | None


class CorrectionList(BaseModel):
    """The newest corrections of a monitor, the newest first."""

    corrections: list[CorrectionDetail]


@router.post("/replays", operation_id="replay", status_code=202, responses=problems(*ORDER))
async def replay(context: CurrentContext, caller: Writer, slug: str, order: Replay, response: Response) -> Ordered:
    """Recompute statuses, incidents and uptime from the stored results, under another policy if one is given."""
    end = order.end or datetime.now(tz=LATEST.tzinfo)
    policy = PolicyChange(**dict(order.policy))
    span = _span(order.begin, end)
    _check_flapping(policy, found_monitor(context, caller, slug).document.policy)
    return await _send(context, caller, slug, response, CorrectionKind.REPLAY, span, order.reason, policy=policy)


@router.post("/annulments", operation_id="annul", status_code=202, responses=problems(*ORDER))
async def annul(context: CurrentContext, caller: Writer, slug: str, order: Annulment, response: Response) -> Ordered:
    """Take false data out of the record. The results stay stored as evidence, and count nowhere."""
    span = _span(order.begin, order.end)
    region = order.region or ""
    return await _send(context, caller, slug, response, CorrectionKind.ANNUL, span, order.reason, region=region)


@router.post("/corrections/{correction}/undo", operation_id="undo", status_code=202, responses=problems(*ORDER))
async def undo(
    context: CurrentContext, caller: Writer, slug: str, correction: CorrectionId, order: Undo, response: Response
) -> Ordered:
    """Take a replay or an annulment back: the record is again what it was without it."""
    undone = (await _read(context, caller, slug, correction, limit=1))[0]
    if undone["kind"] == CorrectionKind.UNDO:
        raise invalid(
            [FieldProblem(detail="an undo is not undone; order the correction again", parameter="correction")]
        )
    span = (undone["begin"], undone["end"])
    return await _send(context, caller, slug, response, CorrectionKind.UNDO, span, order.reason, undoes=correction)


@router.get("/corrections", operation_id="list_corrections", responses=problems(*READ))
async def list_corrections(context: CurrentContext, caller: HistoryReader, slug: str) -> CorrectionList:
    """What people have changed of the record: who, when, why, before and after."""
    rows = await _read(context, caller, slug, "", limit=MAX_LISTED)
    return CorrectionList(corrections=[_detail(row) for row in rows])


@router.get("/corrections/{correction}", operation_id="read_correction", responses=problems(*READ))
async def read_correction(
    context: CurrentContext, caller: HistoryReader, slug: str, correction: CorrectionId
) -> CorrectionDetail:
    """One correction. It appears a moment after it was ordered, and is `done` when all of it can be read."""
    return _detail((await _read(context, caller, slug, correction, limit=1))[0])


def _span(begin: datetime, end: datetime) -> tuple[int, int]:
    """Int ms. Raises ProblemError for a span that is empty or not over yet."""
    now, since, until = time.time_ns() // 1_000_000, _ms(begin), _ms(end)
    if since >= until:
        raise invalid([FieldProblem(detail="the span must begin before it ends", pointer="#/from")])
    if until > now:
        raise invalid([FieldProblem(detail="only what has been can be corrected", pointer="#/to")])
    return since, until


def _check_flapping(change: PolicyChange, policy: Policy) -> None:
    """Raises ProblemError for thresholds that no policy may have; a change's `flap_start` of 0 is no flap detection."""
    start = policy.flap_start if change.flap_start is None else change.flap_start
    stop = policy.flap_stop if change.flap_stop is None else change.flap_stop
    try:
        check_flapping(start or None, stop)
    except ValueError as error:
        raise invalid([FieldProblem(detail=str(error), pointer="#/policy/flap_stop")]) from None


def _expect_kept(context: Context, monitor: Monitor, kind: CorrectionKind, since: int) -> None:
    """Raises ProblemError where results that a correction from `since` on reads may be gone: it would miss them.

    It needs one day and the longest run of results before the day (UTC) in which it begins; what it reads beyond that,
    of a monitor that is checked seldom, only tells how that one flapped.
    """
    kept_days = context.settings.retention_days
    allowed_days = max(0, kept_days - 2 - ceil((LONGEST_RUN + 1) * monitor.silence_ms / DAY_MS))
    if since < time.time_ns() // 1_000_000 - allowed_days * DAY_MS:
        told = f"results are kept for {kept_days} days; of this monitor the last {allowed_days} can be corrected"
        place = {"parameter": "correction"} if kind is CorrectionKind.UNDO else {"pointer": "#/from"}
        raise invalid([FieldProblem(detail=told, **place)])


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def _send(
    context: Context,
    caller: Caller,
    slug: str,
    response: Response,
    kind: CorrectionKind,
    span: tuple[int, int],
    reason: str,
    **more: Any,
) -> Ordered:
    entry = found_monitor(context, caller, slug)
    _expect_kept(context, entry.document, kind, span[0])
    monitor, now = entry.id, time.time_ns() // 1_000_000
    order = CorrectionOrdered(secrets.token_hex(6), monitor, kind, now, *span, caller.by, reason, **more)
    partition = partition_of(monitor, context.settings.partitions)
    await append(context, CHECK_RESULTS, partition, monitor, encode(order))
    response.headers["Location"] = f"/v1/monitors/{slug}/corrections/{order.id}"
    return Ordered(id=order.id)


async def _read(context: Context, caller: Caller, slug: str, correction: str, limit: int) -> list[store.Row]:
    """The newest rows; the one of `correction` where it is named. Raises ProblemError where there is none."""
    monitor = known_monitor(context, caller, slug)
    rows = await store.rows(context, PACKAGE, "corrections", {"monitor": monitor, "id": correction, "limit": limit})
    if correction and not rows:
        raise ProblemError(ProblemKind.NOT_FOUND, f"{slug} has no correction {correction}")
    return rows


def _detail(row: store.Row) -> CorrectionDetail:
    return CorrectionDetail(
        id=row["id"],
        kind=row["kind"],
        done=row["done"],
        ordered_at=iso(row["ordered"]),
        begin=iso(row["begin"]),
        end=iso(row["end"]),
        by=row["by"],
        reason=row["reason"],
        region=row["region"] or None,
        policy=orjson.loads(row["policy"]),
        undoes=row["undoes"] or None,
        before=_state(row["before"]),
        after=_state(row["after"]) if row["done"] else None,
    )


def _state(told: str) -> RecordState:
    history = orjson.loads(told)
    return RecordState(
        incidents=[
            RecordIncident(
                id=incident["id"],
                state=incident["state"],
                severity=incident["severity"],
                opened_at=iso(incident["opened_at"]),
                resolved_at=iso(incident["resolved_at"]) if incident.get("resolved_at") else None,
            )
            for incident in history["incidents"]
        ],
        ms={status: ms for status, ms in zip(Status, history["spans_ms"], strict=True) if ms},
    )
