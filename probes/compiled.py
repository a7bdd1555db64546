"""A monitor made ready: its rules compiled and its request built, once a version."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from ssl import SSLContext
from typing import Final
from urllib.parse import quote, urlencode

import msgspec
from pydantic import JsonValue

from probes.fetch import Fetched, Fetcher
from probes.judge import Rules, compile_rules
from probes.kinds import KINDS
from probes.own_health import Target
from probes.request import BODY_LIMIT_BYTES, Request
from probes.secrets import MissingSecret, Revealer, Secrets
from probes.text import NOTHING_SECRET, Redactor
from probes.wire.tls import make_identity
from schemas.enums import Reason
from schemas.monitors import Monitor
from schemas.urls import CHECKED, HTTP, parse_url

ACCEPT: Final = "application/json, */*;q=0.9"
"""Some health endpoints answer in JSON only when asked."""

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
    target: Target
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
        url = parse_url(monitor.url, CHECKED)
        workspace = monitor_id.partition("/")[0]
        return CompiledMonitor(
            monitor_id,
            version,
            monitor.interval_ms,
            (url.host, url.port),
            partition,
            compile_rules(
                monitor_id,
                version,
                monitor.assertions,
                monitor.latency_threshold_ms,
                has_status=url.scheme in HTTP,
            ),
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
        return partial(KINDS[request.url.scheme], self._fetcher, request)


def build_request(monitor: Monitor, reveal: Revealer) -> Request:
    """The monitor's request with its secrets in it. Raises MissingSecret, InvalidUrl."""
    url = parse_url(reveal(monitor.url, lambda secret: quote(secret, safe="")), CHECKED)
    body, content_type = _body(monitor, reveal)
    headers = {name: reveal(value) for name, value in monitor.headers.items()}
    given = {name.lower() for name in headers}
    defaults = {"accept": ACCEPT, "content-type": content_type, "authorization": _authorization(monitor, reveal)}
    headers |= {name: value for name, value in defaults.items() if value and name not in given}
    return Request(
        method=monitor.method,
        url=url,
        headers=tuple(headers.items()),
        body=body,
        timeout_ms=monitor.timeout_ms,
        follow_redirects=monitor.follow_redirects,
        verify_tls=monitor.verify_tls,
        ip_version=monitor.ip_version,
        identity=_identity(monitor, reveal, url.scheme),
        body_limit_bytes=BODY_LIMIT_BYTES if _is_heard(monitor) else 0,
    )


def _identity(monitor: Monitor, reveal: Revealer, scheme: str) -> SSLContext | None:
    shown = monitor.client_certificate
    if shown is None:
        return None
    return make_identity(reveal(shown.certificate), reveal(shown.key), scheme, verify=monitor.verify_tls)


def _is_heard(monitor: Monitor) -> bool:
    """Over HTTP there is always an answer; else it is waited for where an assertion reads it."""
    return monitor.over_http or any(each.subject in ("body", "jsonpath") for each in monitor.assertions)


def _body(monitor: Monitor, reveal: Revealer) -> tuple[bytes, str]:
    """The body, and the content type that it has when no header gives one."""
    if "json_body" in monitor.model_fields_set:
        return msgspec.json.encode(_revealed(monitor.json_body, reveal)), "application/json"
    if monitor.form is not None:
        pairs = {name: reveal(value) for name, value in monitor.form.items()}
        return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    if monitor.body is not None:
        return reveal(monitor.body).encode(), "text/plain; charset=utf-8"
    return b"", ""


def _revealed(value: JsonValue, reveal: Revealer) -> JsonValue:
    if isinstance(value, str):
        return reveal(value)
    if isinstance(value, list):
        return [_revealed(each, reveal) for each in value]
    if isinstance(value, dict):
        return {name: _revealed(each, reveal) for name, each in value.items()}
    return value


def _authorization(monitor: Monitor, reveal: Revealer) -> str:
    if monitor.auth is None:
        return ""
    if monitor.auth.basic is not None:
        basic = monitor.auth.basic
        pair = b64encode(f"{basic.username}:{reveal(basic.password)}".encode()).decode()
        reveal.revealed.add(pair)
        return f"Basic {pair}"
    return f"Bearer {reveal(monitor.auth.bearer or '')}"


def _failing(message: str) -> Exchange:
    async def exchange() -> Fetched:
        return Fetched(Reason.BAD_REQUEST, message)

    return exchange
