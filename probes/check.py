"""One check: the exchange, its judgement, and an outcome whatever happens."""

from ipaddress import ip_network
from typing import Final

from infra.logs import get_logger
from infra.settings import get_settings
from probes.compiled import CompiledMonitor, Compiler
from probes.fetch import Fetcher
from probes.judge import judge
from probes.lag import LagMeter
from probes.own_health import OwnNetwork
from probes.schedule import wall_clock_ms
from probes.secrets import Secrets
from schemas.enums import Outcome, Reason
from schemas.events import CheckResult
from schemas.monitors import DEFAULT_WORKSPACE, Monitor, monitor_id

OWN_NETWORKS: Final = tuple(
    map(ip_network, ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
_log = get_logger(__name__)


async def check(
    monitor: CompiledMonitor, scheduled_at: int, lag: LagMeter, network: OwnNetwork | None = None
) -> CheckResult:
    """The result of one check; a failure of our own, and of our own `network`, becomes `unknown`."""
    started_at = int(wall_clock_ms())
    begun = lag.begin()
    try:
        prepared = monitor.prepare()
        fetched = await prepared.exchange()
        result = judge(
            fetched,
            monitor.rules,
            scheduled_at=scheduled_at,
            started_at=started_at,
            lag_us=int(lag.since(begun) * 1_000_000),
            redact=prepared.redact,
        )
        if network is not None and await network.is_to_blame(monitor.target, fetched.address, result):
            message = f"{network.verdict} (here: {result.message})"
            return untold(monitor, scheduled_at, Reason.PROBE_OFFLINE, message, started_at)
        return result
    except Exception as error:
        _log.exception("check failed", monitor=monitor.monitor)
        message = f"the probe failed at this check: {type(error).__name__}"
        return untold(monitor, scheduled_at, Reason.PROBE_ERROR, message, started_at)
    finally:
        lag.end()


async def check_once(monitor: Monitor) -> CheckResult:
    """A check from a person's own machine, where loopback and private networks may be checked; metadata never."""
    settings = get_settings()
    fetcher = Fetcher(allow=(*OWN_NETWORKS, *settings.probe_allow), deny=settings.probe_deny)
    try:
        compiled = Compiler(fetcher, Secrets(None)).compile(
            monitor_id(DEFAULT_WORKSPACE, monitor.slug), monitor, version=0, partition=0
        )
        return await check(compiled, int(wall_clock_ms()), LagMeter())
    finally:
        await fetcher.close()


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
