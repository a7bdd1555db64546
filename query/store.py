"""Questions to ClickHouse that a request waits for: bounded in time there and here, answered with rows or a problem."""

import asyncio
from functools import cache
from importlib.resources import files
from typing import Any, Final

from aiohttp import ClientError
from clickhouse_connect.driver.exceptions import ClickHouseError

from infra.logs import get_logger
from query.connections import Away
from query.context import Context
from query.problems import ProblemError, ProblemKind

MAX_EXECUTION_S: Final = 10
MAX_RAW_BYTES: Final = 500_000_000
GRACE_S: Final = 2
RETRY_AFTER_S: Final = 5
TOO_MUCH: Final = frozenset({158, 159, 160, 241, 307, 396})
"""ClickHouse's codes: too many rows, timeout exceeded, too slow, memory limit exceeded, too many bytes."""

FAILURES: Final = (Away, ClickHouseError, ClientError, TimeoutError, OSError)

_log = get_logger(__name__)

Row = dict[str, Any]


async def rows(context: Context, package: str, name: str, parameters: Row, **marks: str) -> list[Row]:
    """The rows of `sql/<name>.sql` of a package, by column name. Raises ProblemError."""
    try:
        asking = context.clickhouse.get().query(sql(package, name, **marks), parameters=parameters, settings=limits())
        result = await asyncio.wait_for(asking, MAX_EXECUTION_S + GRACE_S)
    except FAILURES as error:
        raise refusal(error) from None
    return list(result.named_results())


async def raw(context: Context, package: str, name: str, parameters: Row, output_format: str) -> bytes:
    """The rows of a question as ClickHouse writes them in a format. Raises ProblemError."""
    settings = limits() | {"max_memory_usage": MAX_RAW_BYTES, "date_time_output_format": "iso"}
    try:
        asking = context.clickhouse.get().raw_query(sql(package, name), parameters, settings, fmt=output_format)
        return await asyncio.wait_for(asking, MAX_EXECUTION_S + GRACE_S)
    except FAILURES as error:
        raise refusal(error) from None


def limits() -> dict[str, Any]:
    """What ClickHouse is told with each question."""
    return {
        "max_execution_time": MAX_EXECUTION_S,
        "timeout_overflow_mode": "throw",
        "readonly": 2,
        "cancel_http_readonly_queries_on_client_close": 1,
    }


def refusal(error: Exception) -> ProblemError:
    """The problem that a failed question is. What took too long ClickHouse itself says; one that is silent hangs."""
    if getattr(error, "code", None) in TOO_MUCH:
        return ProblemError(
            ProblemKind.QUERY_TOO_EXPENSIVE,
            f"this takes more than {MAX_EXECUTION_S} s or too much memory; ask for a shorter window or a wider step",
        )
    _log.error("the store did not answer", error=str(error) or type(error).__name__)
    return ProblemError(
        ProblemKind.STORE_AWAY,
        f"ClickHouse did not answer; try again in {RETRY_AFTER_S} s",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


@cache
def sql(package: str, name: str, **marks: str) -> str:
    """The text of `sql/<name>.sql` of a package, with SQL in the place of its marks.

    It is without comments, through which the client would read word by word at each question.
    """
    lines = files(package).joinpath("sql", f"{name}.sql").read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    for mark, value in marks.items():
        text = text.replace(f"{{{mark}}}", value)
    return text
