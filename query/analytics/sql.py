"""Everybody's own SQL over the views `pulse_*`, as an account that can do nothing else.

A ClickHouse server that was set up with `pulse migrate --sql-account` shows each workspace its own rows. The embedded
engine cannot tell workspaces apart, so there it is refused as soon as a second workspace has had a monitor.
"""

import time
from typing import Annotated, Any, Final

import httpx
import orjson
from clickhouse_connect.driver.exceptions import DatabaseError
from fastapi import APIRouter, Depends

from infra.clickhouse import address_of
from infra.embedded.clickhouse.confinement import ROLE
from infra.settings import Settings
from query import store
from query.analytics.common import PACKAGE
from query.analytics.models import SqlAnswer, SqlQuestion
from query.context import Context, CurrentContext
from query.keys import Caller, requires
from query.limits import RatePolicy, limited
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from query.times import iso
from schemas.monitors import KeyScope

LIMITS: Final[dict[str, str | int]] = {
    "max_execution_time": store.MAX_EXECUTION_S,
    "max_result_rows": 10_000,
    "max_result_bytes": 8 << 20,
    "max_rows_to_read": 200_000_000,
    "max_memory_usage": 256 << 20,
}
ISOLATED: Final = "SELECT getSettingOrDefault('SQL_pulse_isolated', 0) AS isolated"
MAX_TOLD: Final = 1_000
_NOT_THE_QUESTION: Final = frozenset({192, 193, 194, 202, 439, 516})
"""ClickHouse's codes: no such user, wrong password, authentication failed, too many queries, no threads."""

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
    async with _client(account) as client:
        isolation = await _isolation(context, client, caller)
        answer = await _ask(client, question.query.rstrip("; \t\r\n"), LIMITS | isolation)
    return SqlAnswer(
        source="pulse_*",
        as_of=iso(time.time_ns() // 1_000_000),
        columns=answer["meta"],
        rows=answer["data"],
        rows_read=answer["statistics"]["rows_read"],
        elapsed_ms=answer["statistics"]["elapsed"] * 1000,
    )


def _client(account: Settings) -> httpx.AsyncClient:
    """Plain HTTP: clickhouse-connect refuses to lower a read-only account's limits, which the server allows."""
    address = address_of(account)
    return httpx.AsyncClient(
        base_url=f"{'https' if address.secure else 'http'}://{address.host}:{address.port}",
        auth=httpx.BasicAuth(address.username, address.password),
        params={"database": address.database, "role": ROLE, "wait_end_of_query": 1},
        timeout=store.MAX_EXECUTION_S + store.GRACE_S,
        trust_env=False,
    )


async def _isolation(context: Context, client: httpx.AsyncClient, caller: Caller) -> dict[str, str | int]:
    """What makes the account see this workspace only. Raises ProblemError where nothing can."""
    ((isolated,),) = (await _ask(client, ISOLATED, {}))["data"]
    if int(isolated):
        return {"readonly": 1, "SQL_pulse_workspace": caller.workspace}
    (found,) = await store.rows(context, PACKAGE, "other_workspaces", {"prefix": f"{caller.workspace}/"})
    if found["others"]:
        raise ProblemError(
            ProblemKind.FORBIDDEN,
            "this installation has several workspaces, and its ClickHouse does not keep them apart: "
            "set up the account of `pulse migrate --sql-account`",
        )
    return {}


async def _ask(client: httpx.AsyncClient, query: str, settings: dict[str, str | int]) -> dict[str, Any]:
    """The answer as ClickHouse's JSONCompact. Raises ProblemError."""
    try:
        response = await client.post("/", content=f"{query}\nFORMAT JSONCompact", params=settings)
    except httpx.HTTPError as error:
        raise store.refusal(error) from None
    if response.status_code != httpx.codes.OK:
        raise _refusal(int(response.headers.get("x-clickhouse-exception-code", 0)), response.text)
    try:
        answer: dict[str, Any] = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:  # an answer that broke off, or that something follows
        raise store.refusal(error) from None
    return answer


def _refusal(code: int, text: str) -> ProblemError:
    """What is wrong with the question is the caller's to know; the rest is as for every question."""
    if not code or code in _NOT_THE_QUESTION | store.TOO_MUCH:
        return store.refusal(DatabaseError(text, code=code))
    told = text.partition("DB::Exception: ")[2].rpartition(" (version ")[0]
    return invalid([FieldProblem(detail=told[:MAX_TOLD], pointer="#/query")])
