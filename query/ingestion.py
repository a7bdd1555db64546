"""`POST /v1/results`: check results of other people's probes and tools, into the log like our own.

A result's identity is (monitor, region, scheduled_at): sending a batch again changes nothing.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from infra.kafka import partition_of
from query.context import Context, CurrentContext
from query.encodings import decoded
from query.keys import Caller, requires
from query.limits import Places, RatePolicy, limited
from query.management.writes import append
from query.problems import FieldProblem, ProblemError, ProblemKind, problems
from query.turns import Turn
from query.uptime import DAY_MS
from schemas import events
from schemas.enums import Outcome, Reason
from schemas.events import CheckBatch, CheckResult, Component, Failure
from schemas.moments import format_moment
from schemas.monitors import SLUG_PATTERN, KeyScope, monitor_id
from schemas.topics import CHECK_RESULTS

MAX_BYTES: Final = 5 << 20
MAX_RESULTS: Final = 10_000
MAX_RECORD_BYTES: Final = 500_000
"""Of one record of the log, well under what a broker takes by default."""
MAX_RESULT_BYTES: Final = 16_000
MAX_AT_ONCE: Final = 8
"""Requests that are read, judged and written at the same time; each holds its batch in memory."""
MAX_AT_ONCE_OF_A_KEY: Final = 4
BODY_LIMIT_S: Final = 20.0
"""For a body to arrive: who sends it slowly holds a place that others wait for."""
SLICE: Final = 100
"""Results that are judged before other requests have their turn: a millisecond or two."""
MAX_AHEAD_MS: Final = 60_000
MAX_TEXT: Final = 300
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class PushedResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a check saw. `monitor` is a slug of the workspace; times are int ms since the epoch.

    `total_us` is the sum of the phases where it is not told; one that is 0 counts in no latency.
    """

    monitor: str
    scheduled_at: events.TimeMs
    outcome: Outcome
    reason: Reason | None = None
    started_at: events.TimeMs | None = None
    status_code: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    dns_us: events.DurationUs = 0
    connect_us: events.DurationUs = 0
    tls_us: events.DurationUs = 0
    ttfb_us: events.DurationUs = 0
    transfer_us: events.DurationUs = 0
    total_us: events.DurationUs = 0
    message: str = ""
    failures: tuple[Failure, ...] = ()
    components: tuple[Component, ...] = ()


class PushedBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Results of one region; each is decoded by itself, so that one that is wrong does not take the others along."""

    region: Annotated[str, msgspec.Meta(pattern=SLUG_PATTERN)]
    results: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(min_length=1, max_length=MAX_RESULTS)]


class Accepted(BaseModel):
    """Kafka has the accepted results; those in `errors` were left out."""

    accepted: Annotated[int, Field(examples=[998])]
    rejected: Annotated[int, Field(examples=[2])]
    errors: Annotated[list[FieldProblem], Field(description="The first 100 of them.")]


router: Final = APIRouter(prefix="/v1", tags=["ingestion"], max_body_size=MAX_BYTES)
_places: Final = Places(MAX_AT_ONCE, MAX_AT_ONCE_OF_A_KEY, "batches")
_pusher: Final = limited(RatePolicy("results", quota=600, window_s=60), requires(KeyScope.PUSH))
_batches: Final = msgspec.json.Decoder(PushedBatch)
_results: Final = msgspec.json.Decoder(PushedResult)


def _document_of(kind: type) -> dict[str, Any]:
    """The JSON schema of a struct, whole in itself: OpenAPI's references reach only its own components."""
    _, schemas = msgspec.json.schema_components([kind], ref_template="{name}")

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(item) for item in part]
        if not isinstance(part, dict):
            return part
        return whole(schemas[part["$ref"]]) if "$ref" in part else {name: whole(value) for name, value in part.items()}

    return dict(whole(schemas[kind.__name__]))


def _body_document() -> dict[str, Any]:
    schema = _document_of(PushedBatch)
    schema["properties"]["results"]["items"] = _document_of(PushedResult)
    example = {
        "region": "office",
        "results": [{"monitor": "api", "scheduled_at": 1_795_464_000_000, "outcome": "up", "total_us": 12_345}],
    }
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


@router.post(
    "/results",
    operation_id="push_results",
    status_code=202,
    responses=problems(
        ProblemKind.BAD_REQUEST,
        ProblemKind.NO_KEY,
        ProblemKind.FORBIDDEN,
        ProblemKind.TOO_SLOW,
        ProblemKind.TOO_LARGE,
        ProblemKind.UNSUPPORTED,
        ProblemKind.INVALID,
        ProblemKind.TOO_MANY_REQUESTS,
        ProblemKind.LOG_AWAY,
        ProblemKind.BUSY,
    ),
    openapi_extra={"requestBody": _body_document()},
)
async def push_results(
    request: Request,
    response: Response,
    context: CurrentContext,
    caller: Annotated[Caller, Depends(_pusher)],
    content_encoding: Annotated[str, Header(description="gzip, zstd, or none.")] = "",
) -> Accepted:
    """Push up to 10,000 results or 5 MB. Answered once Kafka has them; send the same batch again after a 503.

    What arrives more than ten minutes late is kept, but changes no status unless a replay takes it in.
    """
    with _places.hold(caller.by):  # before the body is read
        packed = await _body(request)
        batch = _parse(await asyncio.to_thread(decoded, packed, content_encoding, MAX_BYTES))
        accepted, errors = await _judge(context, caller, batch)
        if not accepted:
            raise ProblemError(ProblemKind.INVALID, "no result of the batch can be taken", errors[:100])
        await _write(context, caller, batch.region, accepted)
    return Accepted(accepted=len(accepted), rejected=len(errors), errors=errors[:100])


async def _body(request: Request) -> bytes:
    try:
        return await asyncio.wait_for(request.body(), BODY_LIMIT_S)
    except TimeoutError:
        raise ProblemError(ProblemKind.TOO_SLOW, f"the body did not arrive within {BODY_LIMIT_S:.0f} s") from None
    except ClientDisconnect:
        raise ProblemError(ProblemKind.BAD_REQUEST, "the body ended too early") from None


def _parse(body: bytes) -> PushedBatch:
    try:
        return _batches.decode(body)
    except msgspec.ValidationError as error:
        raise ProblemError(ProblemKind.INVALID, str(error), [_field_problem(error, "")]) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(ProblemKind.BAD_REQUEST, f"the body is not JSON: {error}") from None


class Taken(NamedTuple):
    """A result that can be taken, as it goes into the log."""

    monitor: str
    scheduled_at: int
    encoded: bytes


async def _judge(context: Context, caller: Caller, batch: PushedBatch) -> tuple[list[Taken], list[FieldProblem]]:
    """The results that can be taken, and what is wrong with the others."""
    now = time.time_ns() // 1_000_000
    oldest = now - context.settings.retention_days * DAY_MS
    accepted: list[Taken] = []
    errors: list[FieldProblem] = []
    turn = Turn(SLICE)
    for index, raw in enumerate(batch.results):
        try:
            result = _accept(context, caller.workspace, _decode(raw), oldest, now + MAX_AHEAD_MS)
            accepted.append(Taken(result.monitor, result.scheduled_at, msgspec.json.encode(result)))
        except (*events.UNREADABLE, _Refused) as refused:
            errors.append(_field_problem(refused, f"/results/{index}"))
        await turn.used()
    return accepted, errors


class _Refused(ValueError):
    """A result that cannot be taken; the message ends like msgspec's with the place."""


def _decode(raw: msgspec.Raw) -> PushedResult:
    if len(memoryview(raw)) > MAX_RESULT_BYTES:
        raise _Refused(f"a result has {MAX_RESULT_BYTES} bytes at most")
    return _results.decode(raw)


def _accept(context: Context, workspace: str, pushed: PushedResult, oldest: int, newest: int) -> CheckResult:
    identity = monitor_id(workspace, pushed.monitor)
    entry = context.catalog.monitor(identity)
    if entry is None:
        raise _Refused(f"there is no monitor {pushed.monitor[:64]!r} - at `$.monitor`")
    if not oldest <= pushed.scheduled_at <= newest:
        begin, end = format_moment(oldest), format_moment(newest)
        raise _Refused(f"results are taken of {begin} to {end}, as ms since the epoch - at `$.scheduled_at`")
    return CheckResult(
        monitor=identity,
        scheduled_at=pushed.scheduled_at,
        started_at=pushed.scheduled_at if pushed.started_at is None else pushed.started_at,
        monitor_version=entry.version,
        outcome=pushed.outcome,
        reason=_reason(pushed),
        status_code=pushed.status_code,
        dns_us=pushed.dns_us,
        connect_us=pushed.connect_us,
        tls_us=pushed.tls_us,
        ttfb_us=pushed.ttfb_us,
        transfer_us=pushed.transfer_us,
        total_us=pushed.total_us or _sum_us(pushed),
        message=_clean(pushed.message),
        failures=tuple(
            Failure(_clean(f.test), f.severity, _clean(f.expected), _clean(f.seen), _clean(f.message))
            for f in pushed.failures
        ),
        components=tuple(Component(_clean(c.name), c.outcome, _clean(c.message)) for c in pushed.components),
    )


def _sum_us(pushed: PushedResult) -> int:
    phases_us = pushed.dns_us, pushed.connect_us, pushed.tls_us, pushed.ttfb_us, pushed.transfer_us
    return min(sum(phases_us), events.LONGEST_US)


def _reason(pushed: PushedResult) -> Reason:
    if pushed.reason is None and pushed.outcome is not Outcome.UP:
        raise _Refused("a result that is not up has a reason - at `$.reason`")
    reason = pushed.reason or Reason.OK
    if (reason is Reason.OK) != (pushed.outcome is Outcome.UP):
        raise _Refused("`ok` is the reason of `up`, and of nothing else - at `$.reason`")
    return reason


def _clean(text: str) -> str:
    return _CONTROLS.sub("\ufffd", text[:MAX_TEXT])


def _field_problem(error: Exception, prefix: str) -> FieldProblem:
    """msgspec names a place as `$.results[3].total_us` at the end of its message."""
    detail, _, place = str(error).partition(" - at `$")
    steps = re.findall(r"\w+|(?<=\[)\d+(?=\])", place)
    return FieldProblem(detail=detail, pointer="#" + prefix + "".join(f"/{step}" for step in steps))


async def _write(context: Context, caller: Caller, region: str, results: Iterable[Taken]) -> None:
    """Append the results, those of a partition in records of their own. Raises ProblemError: send them again."""
    by_partition: defaultdict[int, list[Taken]] = defaultdict(list)
    for result in sorted(results, key=attrgetter("scheduled_at")):  # the newest first would be folded again and again
        by_partition[partition_of(result.monitor, context.settings.partitions)].append(result)
    now = time.time_ns() // 1_000_000
    appending = [
        append(context, CHECK_RESULTS, partition, part[0].monitor, _record(caller.by, region, now, part))
        for partition, whole in by_partition.items()
        for part in _parts(whole)
    ]
    for outcome in await asyncio.gather(*appending, return_exceptions=True):
        if isinstance(outcome, BaseException):  # only now: what is still under way is still in memory
            raise outcome


def _record(by: str, region: str, now: int, part: list[Taken]) -> bytes:
    """A batch of results that are encoded already."""
    encoded: Any = tuple(msgspec.Raw(taken.encoded) for taken in part)
    return events.encode(CheckBatch(by, region, now, encoded))


def _parts(results: list[Taken]) -> Iterator[list[Taken]]:
    """The results in as few records as may be, none above MAX_RECORD_BYTES."""
    part: list[Taken] = []
    size = 0
    for result in results:
        if part and size + len(result.encoded) > MAX_RECORD_BYTES:
            yield part
            part, size = [], 0
        part.append(result)
        size += len(result.encoded)
    yield part
