"""The probe as a service: monitors in, checks on time, results out, and an orderly end."""

import asyncio
import resource
from collections import Counter
from contextlib import suppress
from typing import Final

from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY

from infra.logs import get_logger
from infra.metrics import serve_metrics
from infra.settings import Settings
from probes.check import check, untold
from probes.compiled import CompiledMonitor, Compiler
from probes.emit import Emitter, kafka_emitter
from probes.fetch import Fetcher
from probes.lag import LagMeter
from probes.metrics import ProbeMetrics
from probes.monitors import MonitorFeed, MonitorTable
from probes.own_health import OwnNetwork, parse_canary
from probes.schedule import Limits, Schedule
from probes.secrets import Secrets
from schemas.enums import Reason
from schemas.events import CheckResult

FINISH_CHECKS_S: Final = 4.0
LEAVE_GROUP_S: Final = 2.0
LAST_DELIVERY_S: Final = 3.0
RECONNECT_S: Final = 2.0
SPARE_FILES: Final = 200
MACOS_FILES: Final = 10_240
_log = get_logger(__name__)


class ProbeService:
    """One probe of one region."""

    def __init__(self, settings: Settings, emitter: Emitter | None = None) -> None:
        self.lag = LagMeter()
        self.emitter = emitter or kafka_emitter(settings)
        self.fetcher = Fetcher(allow=settings.probe_allow, deny=settings.probe_deny)
        limits = Limits(min(settings.probe_in_flight, open_files() - SPARE_FILES), settings.probe_in_flight_per_target)
        self.schedule: Schedule[CompiledMonitor] = Schedule(settings.region, self._check, self._missed, limits)
        compiler = Compiler(self.fetcher, Secrets(settings.probe_secrets))
        self.table = MonitorTable(settings.region, compiler, self.schedule)
        self.network = OwnNetwork([parse_canary(text) for text in settings.probe_canaries])
        self.results: Counter[tuple[str, str]] = Counter()
        self._feed = MonitorFeed(settings, self.table)
        self._settings = settings

    async def run(self, stop: asyncio.Event) -> None:
        """Probe until `stop` is set; then finish checks, flush, and leave the group, in at most 10 s."""
        metrics = ProbeMetrics(self)
        REGISTRY.register(metrics)
        host, port = self._settings.metrics_host, self._settings.probe_metrics_port
        try:
            async with serve_metrics(host, port, "PULSE_PROBE_METRICS_PORT", self.problem):
                await self._probe(stop)
        finally:
            REGISTRY.unregister(metrics)

    async def _probe(self, stop: asyncio.Event) -> None:
        self.schedule.start()
        delivering = asyncio.create_task(self.emitter.run())
        following = asyncio.create_task(self._follow())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((delivering, following, stopping), return_when=asyncio.FIRST_COMPLETED)
        following.cancel()  # first of all, so that others take over while the last checks end
        await self.schedule.stop(FINISH_CHECKS_S)
        delivering.cancel()
        stopping.cancel()
        ended, _ = await asyncio.wait((following, delivering), timeout=LEAVE_GROUP_S)
        await self.emitter.close(LAST_DELIVERY_S)
        await self.fetcher.close()
        for task in ended:
            if not task.cancelled():
                task.result()

    async def _follow(self) -> None:
        """Follow `monitors`; while Kafka is away, go on with what is known."""
        while True:
            try:
                await self._feed.run()
            except (KafkaError, OSError) as error:
                _log.warning("kafka does not answer; monitors stay as they are", error=str(error))
            await asyncio.sleep(RECONNECT_S)

    async def _check(self, monitor: CompiledMonitor, scheduled_at: int) -> None:
        try:
            result = await check(monitor, scheduled_at, self.lag, self.network)
        except asyncio.CancelledError:
            self._emit(monitor, untold(monitor, scheduled_at, Reason.PROBE_OFFLINE, "the probe was stopped meanwhile"))
            raise
        self._emit(monitor, result)

    def _missed(self, monitor: CompiledMonitor, scheduled_at: int) -> None:
        message = "the check could not start within its interval: the probe had too much to do, or its machine slept"
        self._emit(monitor, untold(monitor, scheduled_at, Reason.PROBE_OVERLOADED, message))

    def _emit(self, monitor: CompiledMonitor, result: CheckResult) -> None:
        self.results[result.outcome, result.reason] += 1
        self.emitter.add(result, monitor.partition)

    def problem(self) -> str | None:
        """What /healthz says."""
        waiting = self.emitter.spool.results
        if waiting:
            return f"Kafka does not answer; {waiting} results wait on disk"
        return self.network.verdict if self.network.offline else None


def open_files() -> int:
    """How many files this process may have open, after asking for all that it may ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for more in (hard, MACOS_FILES):  # macOS refuses its own hard limit, which is infinite
        if soft < more <= hard:
            with suppress(ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
                return more
    return soft if soft != resource.RLIM_INFINITY else 1 << 20
