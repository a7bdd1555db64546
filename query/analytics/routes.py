"""`/v1/analytics`: what the rollups and the raw results say about any window."""

from typing import Final

from fastapi import APIRouter

from query.analytics import compare, components, exports, incidents, latency, results, sql, uptime
from query.problems import ProblemKind, problems

router: Final = APIRouter(
    prefix="/v1/analytics",
    tags=["analytics"],
    responses=problems(
        ProblemKind.NO_KEY,
        ProblemKind.FORBIDDEN,
        ProblemKind.NOT_FOUND,
        ProblemKind.INVALID,
        ProblemKind.QUERY_TOO_EXPENSIVE,
        ProblemKind.TOO_MANY_REQUESTS,
        ProblemKind.LOG_AWAY,
        ProblemKind.STORE_AWAY,
    ),
)
for part in (uptime, compare, latency, incidents, components, results, exports, sql):
    router.include_router(part.router)
