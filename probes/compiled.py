"""A monitor made ready: its rules compiled and its request built, once a version."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

from probes.fetch import Fetched, Fetcher
from probes.judge import Rules, compile_rules
from probes.request import Request
from probes.secrets import MissingSecret, Revealer, Secrets
from probes.text import NOTHING_SECRET, Redactor
from schemas.enums import Reason
from schemas.monitors import Monitor
from schemas.urls import parse_url

Exchange = Callable[[], Awaitable[Fetched]]
"""What is done at the target, ready to be called; it never raises."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An exchange, and what must not be shown of it."""

    exchange: Exchange
    redact: Redactor = NOTHING_SECRET


@dataclass(frozen=True, slots=True)
class CompiledMonitor:
    """What the schedule runs. `prepare` is called at each check: secrets may have been rotated."""

    monitor: str
    version: int
    interval_ms: int
    target: Hashable
    partition: int
    rules: Rules
    prepare: Callable[[], Prepared]


class Compiler:
    """Compiles monitors for one probe."""

    def __init__(self, fetcher: Fetcher, secrets: Secrets) -> None:
        self._fetcher = fetcher
        self._secrets = secrets

    def compile(self, monitor_id: str, monitor: Monitor, *, version: int, partition: int) -> CompiledMonitor:
        """Raises ValueError when the monitor was written by something that did not check it."""
        url = parse_url(monitor.url)
        workspace = monitor_id.partition("/")[0]
        return CompiledMonitor(
            monitor_id,
            version,
            monitor.interval_ms,
            (url.host, url.port),
            partition,
            compile_rules(monitor_id, version, monitor.assertions, monitor.latency_threshold_ms),
            self._preparation(workspace, monitor),
        )

    def _preparation(self, workspace: str, monitor: Monitor) -> Callable[[], Prepared]:
        """Without secrets the request is built once and for all."""

        def prepare() -> Prepared:
            reveal = Revealer(self._secrets, workspace)
            try:
                request = build_request(monitor, reveal)
            except (MissingSecret, ValueError) as error:
                return Prepared(_failing(str(error)))
            exchange = self._exchange(request)
            return Prepared(exchange, Redactor(reveal.revealed)) if reveal.revealed else Prepared(exchange)

        if "${" in monitor.model_dump_json():
            return prepare
        prepared = prepare()
        return lambda: prepared

    def _exchange(self, request: Request) -> Exchange:
        fetch = self._fetcher.fetch
        return lambda: fetch(request)


def build_request(monitor: Monitor, reveal: Revealer) -> Request:
    """The monitor's request with its secrets in it. Raises MissingSecret, InvalidUrl."""
    return Request(
        method=monitor.method,
        url=parse_url(reveal(monitor.url)),
        headers=tuple((name, reveal(value)) for name, value in monitor.headers.items()),
        body=reveal(monitor.body).encode() if monitor.body is not None else b"",
        timeout_ms=monitor.timeout_ms,
        follow_redirects=monitor.follow_redirects,
        verify_tls=monitor.verify_tls,
    )


def _failing(message: str) -> Exchange:
    async def exchange() -> Fetched:
        return Fetched(Reason.BAD_REQUEST, message)

    return exchange
