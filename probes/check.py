"""One check: the exchange, its judgement, and an outcome whatever happens."""

import asyncio

from infra.logs import get_logger
from probes.compiled import CompiledMonitor
from probes.judge import judge
from probes.lag import LagMeter
from probes.schedule import wall_clock_ms
from schemas.enums import Outcome, Reason
from schemas.events import CheckResult

_log = get_logger(__name__)


async def check(monitor: CompiledMonitor, scheduled_at: int, lag: LagMeter | None = None) -> CheckResult:
    """The result of one check; an error of our own becomes `unknown`, and is logged."""
    started_at = int(wall_clock_ms())
    started_s = asyncio.get_running_loop().time()
    try:
        prepared = monitor.prepare()
        fetched = await prepared.exchange()
        return judge(
            fetched,
            monitor.rules,
            scheduled_at=scheduled_at,
            started_at=started_at,
            overloaded=lag is not None and lag.lagged_since(started_s),
            redact=prepared.redact,
        )
    except Exception as error:
        _log.exception("check failed", monitor=monitor.monitor)
        message = f"the probe failed at this check: {type(error).__name__}"
        return untold(monitor, scheduled_at, Reason.PROBE_ERROR, message, started_at)


def untold(
    monitor: CompiledMonitor, scheduled_at: int, reason: Reason, message: str, started_at: int | None = None
) -> CheckResult:
    """A result that says that the probe itself could not tell."""
    return CheckResult(
        monitor=monitor.monitor,
        scheduled_at=scheduled_at,
        started_at=int(wall_clock_ms()) if started_at is None else started_at,
        monitor_version=monitor.version,
        outcome=Outcome.UNKNOWN,
        reason=reason,
        message=message,
    )
