"""Everybody's own SQL over the views `pulse_*`, as an account that can do nothing else.

A ClickHouse server that was set up with `pulse migrate --sql-account` shows each workspace its own rows. The embedded
engine cannot tell workspaces apart, so there it is refused as soon as a second workspace has had a monitor.
"""

import asyncio
import time
from typing import Annotated, Any, Final

import orjson
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import DatabaseError
from fastapi import APIRouter, Depends

from infra.clickhouse import open_client
from infra.embedded.clickhouse.confinement import ROLE
from query import store
from query.analytics.common import PACKAGE
from query.analytics.models import SqlAnswer, SqlQuestion
from query.context import Context, CurrentContext
from query.keys import Caller, requires
from query.limits import RatePolicy, limited
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from query.times import iso
from schemas.monitors import KeyScope

LIMITS: Final[dict[str, Any]] = {
    "max_execution_time": store.MAX_EXECUTION_S,
    "max_result_rows": 10_000,
    "max_result_bytes": 8 << 20,
    "max_rows_to_read": 200_000_000,
    "max_memory_usage": 256 << 20,
}
ISOLATED: Final = "SELECT getSettingOrDefault('SQL_pulse_isolated', 0)"
_NOT_THE_QUESTION: Final = frozenset({192, 193, 194, 202, 241, 439, 516})
"""ClickHouse's codes: no such user, wrong password, authentication failed, too many queries, memory, threads."""

SqlCaller = Annotated[
    Caller, Depends(limited(RatePolicy("analytics-sql", quota=60, window_s=60), requires(KeyScope.SQL)))
]

router: Final = APIRouter()


@router.post("/sql", operation_id="run_sql", responses=problems(ProblemKind.BAD_REQUEST, ProblemKind.TOO_LARGE))
async def run_sql(context: CurrentContext, caller: SqlCaller, question: SqlQuestion) -> SqlAnswer:
    """One SELECT over the views `pulse_*`, restricted to the caller's workspace: 10,000 rows and 10 s at most.

    Off until the installation sets PULSE_CLICKHOUSE_SQL. Write no FORMAT and no SETTINGS.
    """
    if context.settings.clickhouse_sql is None:
        raise ProblemError(ProblemKind.FORBIDDEN, "this installation does not offer SQL: PULSE_CLICKHOUSE_SQL is unset")
    account = context.settings.model_copy(update={"clickhouse": context.settings.clickhouse_sql})
    try:
        async with open_client(account, show_clickhouse_errors="scrub") as client:
            settings = LIMITS | await _isolation(context, client, caller)
            asking = client.raw_query(
                question.query, settings=settings, fmt="JSONCompact", transport_settings={"role": ROLE}
            )
            answer = orjson.loads(await asyncio.wait_for(asking, store.MAX_EXECUTION_S + store.GRACE_S))
    except store.FAILURES as error:
        raise _refusal(error) from None
    return SqlAnswer(
        source="pulse_*",
        as_of=iso(time.time_ns() // 1_000_000),
        columns=answer["meta"],
        rows=answer["data"],
        rows_read=answer["statistics"]["rows_read"],
        elapsed_ms=answer["statistics"]["elapsed"] * 1000,
    )


async def _isolation(context: Context, client: AsyncClient, caller: Caller) -> dict[str, Any]:
    """What makes the account see this workspace only. Raises ProblemError where nothing can."""
    if int(await client.raw_query(ISOLATED)):
        return {"readonly": 1, "SQL_pulse_workspace": caller.workspace}
    (found,) = await store.rows(context, PACKAGE, "other_workspaces", {"prefix": f"{caller.workspace}/"})
    if found["others"]:
        raise ProblemError(
            ProblemKind.FORBIDDEN,
            "this installation has several workspaces, and its ClickHouse does not keep them apart: "
            "set up the account of `pulse migrate --sql-account`",
        )
    return {}


def _refusal(error: Exception) -> ProblemError:
    """What is wrong with the question is the caller's to know; the rest is as for every question."""
    code = getattr(error, "code", None)
    if isinstance(error, DatabaseError) and code is not None and code not in _NOT_THE_QUESTION | store.TOO_MUCH:
        told = str(error).partition("DB::Exception: ")[2] or str(error)
        return invalid([FieldProblem(detail=told[:1_000], pointer="#/query")])
    return store.refusal(error)
