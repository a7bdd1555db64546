"""Raw results as one file of any length: asked for in pieces that fit in memory, joined on their way out."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated, Any, Final, Literal, Protocol

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from query import store
from query.analytics.common import MAX_RAW_DAYS, PACKAGE, Monitors, wanted_monitors
from query.analytics.parquet import ParquetJoin
from query.context import Context, CurrentContext
from query.keys import Caller, requires
from query.limits import Places, RatePolicy, limited
from query.problems import ProblemError, ProblemKind, problems
from query.uptime import DAY_MS
from query.windows import From, To, window_ms
from schemas.monitors import KeyScope

MAX_AT_ONCE: Final = 4
"""Exports; each holds a piece in memory, here and in ClickHouse."""
MAX_AT_ONCE_OF_A_KEY: Final = 2
RESULTS_AT_ONCE: Final = 50_000
"""About what a piece has; the day of a monitor is never cut."""

END_OF_STREAM: Final = b"\xff\xff\xff\xff\x00\x00\x00\x00"
MESSAGE_HEAD_BYTES: Final = 8
"""Of a message of an Arrow stream: a mark, and the length of what describes it."""

router: Final = APIRouter()
_places: Final = Places(MAX_AT_ONCE, MAX_AT_ONCE_OF_A_KEY, "exports")
Exporter = Annotated[Caller, Depends(limited(RatePolicy("exports", quota=30, window_s=60), requires(KeyScope.READ)))]


async def _whole_or_broken(request: Request) -> None:
    """Raises ProblemError for HTTP/1.0, in which the end of an answer is that of its connection."""
    if request.scope["http_version"] == "1.0":
        raise ProblemError(
            ProblemKind.OLD_HTTP,
            "an export that breaks off looks whole over HTTP/1.0: use HTTP/1.1, in nginx by `proxy_http_version 1.1`",
        )


async def _place(caller: Exporter) -> AsyncIterator[None]:
    """Hold a place until the last byte is sent."""
    with _places.hold(caller.by):
        yield


class Join(Protocol):
    """Makes one file of several."""

    def add(self, file: bytes) -> bytes:
        """Take in a piece; the bytes to send."""

    def end(self) -> bytes:
        """The bytes after the last piece."""


class CsvJoin:
    """Lines; the names come once."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, file: bytes) -> bytes:
        """The lines, from the second piece on without the names."""
        begun, self._begun = self._begun, True
        return file.partition(b"\n")[2] if begun else file

    def end(self) -> bytes:
        """Nothing."""
        return b""


class ArrowJoin:
    """Batches; the schema, which is a stream's first message and has no body, comes once, as does the end."""

    def __init__(self) -> None:
        self._begun = False

    def add(self, file: bytes) -> bytes:
        """The batches, and before the first one the schema."""
        begun, self._begun = self._begun, True
        schema_bytes = MESSAGE_HEAD_BYTES + int.from_bytes(file[4:MESSAGE_HEAD_BYTES], "little")
        return file[schema_bytes if begun else 0 :].removesuffix(END_OF_STREAM)

    def end(self) -> bytes:
        """The end."""
        return END_OF_STREAM


@dataclass(frozen=True, slots=True)
class Form:
    """A form that results are exported in: ClickHouse's name for it, its media type, and how pieces are joined."""

    clickhouse: str
    media_type: str
    join: type[CsvJoin] | type[ArrowJoin] | type[ParquetJoin]


FORMS: Final = {
    "csv": Form("CSVWithNames", "text/csv", CsvJoin),
    "arrow": Form("ArrowStream", "application/vnd.apache.arrow.stream", ArrowJoin),
    "parquet": Form("Parquet", "application/vnd.apache.parquet", ParquetJoin),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """Results of the monitors from `first` to `last` (ids) in a part of the window (int ms)."""

    first: str
    last: str
    since: int
    until: int


@router.get(
    "/export.{form}",
    operation_id="export_results",
    response_class=StreamingResponse,
    dependencies=[Depends(_whole_or_broken), Depends(_place)],
    responses={
        200: {
            "content": {form.media_type: {"schema": {"type": "string"}} for form in FORMS.values()},
            "description": "Lines of CSV, an Arrow stream, or a Parquet file.",
        },
        **problems(ProblemKind.OLD_HTTP),
    },
)
async def export_results(
    context: CurrentContext,
    caller: Exporter,
    form: Literal["csv", "arrow", "parquet"],
    monitors: Monitors = [],  # noqa: B006
    begin: From = None,
    end: To = None,
) -> StreamingResponse:
    """Raw results, monitor by monitor in the order of time, in bounded memory for any number of them."""
    wanted = wanted_monitors(context, caller, monitors)
    since, until = window_ms(begin, end, default_days=7, largest_days=MAX_RAW_DAYS)
    chosen = {"prefix": f"{caller.workspace}/", "monitors": wanted if monitors else []}
    sizes = await store.rows(context, PACKAGE, "export_sizes", chosen | {"since": since, "until": until})
    pieces = pieces_of([(row["monitor"], row["day"], row["results"]) for row in sizes], since, until)
    first = await _ask(context, FORMS[form], chosen, next(pieces))
    return StreamingResponse(
        _joined(context, FORMS[form], chosen, first, pieces),
        media_type=FORMS[form].media_type,
        headers={"Content-Disposition": f'attachment; filename="results.{form}"'},
    )


def pieces_of(sizes: list[tuple[str, int, int]], since: int, until: int) -> Iterator[Piece]:
    """The window in pieces: some monitors whole, or some days of one; one that is empty where there is nothing.

    `sizes` are monitor, day (int ms) and number of results, in order.
    """
    first, last, results = "", "", 0
    for monitor, days in groupby(sizes, key=lambda size: size[0]):
        of_monitor = [(day, count) for _, day, count in days]
        whole = sum(count for _, count in of_monitor)
        if results and results + whole > RESULTS_AT_ONCE:
            yield Piece(first, last, since, until)
            results = 0
        if whole > RESULTS_AT_ONCE:
            yield from _days_of(monitor, of_monitor, since, until)
        else:
            first, last, results = monitor if not results else first, monitor, results + whole
    if results or not sizes:
        yield Piece(first, last, since, until)


def _days_of(monitor: str, sizes: list[tuple[int, int]], since: int, until: int) -> Iterator[Piece]:
    results = 0
    for day, count in sizes:
        if results and results + count > RESULTS_AT_ONCE:
            yield Piece(monitor, monitor, since, day)
            since, results = day, 0
        results += count
    yield Piece(monitor, monitor, since, min(until, sizes[-1][0] + DAY_MS))


async def _ask(context: Context, form: Form, chosen: dict[str, Any], piece: Piece) -> bytes:
    parameters = {"first": piece.first, "last": piece.last, "since": piece.since, "until": piece.until}
    return await store.raw(context, PACKAGE, "export", chosen | parameters, form.clickhouse)


async def _joined(
    context: Context, form: Form, chosen: dict[str, Any], first: bytes, pieces: Iterator[Piece]
) -> AsyncIterator[bytes]:
    join: Join = form.join()
    yield join.add(first)
    for piece in pieces:
        yield join.add(await _ask(context, form, chosen, piece))
    yield join.end()
