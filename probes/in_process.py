"""Checks of an ASGI application inside this process: the same request, the same judgement, no network."""

import importlib
import sys
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self
from warnings import catch_warnings, simplefilter

from probes.compiled import build_request
from probes.fetch import BODY_LIMIT_BYTES, Fetched, Phases, Response
from probes.judge import compile_rules, judge
from probes.schedule import wall_clock_ms
from probes.secrets import MissingSecret, Revealer, Secrets
from probes.text import Redactor
from schemas.enums import Reason
from schemas.events import CheckResult
from schemas.monitors import DEFAULT_WORKSPACE, Monitor, monitor_id

with catch_warnings():  # of its use of httpx, which in the tests of others may be an error
    simplefilter("ignore")
    from starlette.testclient import TestClient

OF_A_DEPLOYMENT = frozenset({"latency", "certificate_days"})
"""What an application inside a test has no say in."""


class AppNotFound(LookupError):
    """There is no such application; the message says what was looked for."""


def load_app(reference: str) -> Any:
    """The application that `package.module:app` names. Raises AppNotFound."""
    module_name, colon, attribute = reference.partition(":")
    if not colon:
        raise AppNotFound(f"{reference!r} names no application; write module:app, like main:app")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        app: Any = importlib.import_module(module_name)
        for name in attribute.split("."):
            app = getattr(app, name)
    except ModuleNotFoundError as error:
        raise AppNotFound(f"cannot import {module_name}: {error}") from error
    except AttributeError as error:
        raise AppNotFound(f"{module_name} has no {attribute}") from error
    return app


class AppUnderTest:
    """An application between its startup and its shutdown, as a context manager."""

    def __init__(self, app: Any) -> None:
        self._client = TestClient(app, raise_server_exceptions=False)

    def __enter__(self) -> Self:
        self._client.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, trace)

    def check(self, monitor: Monitor) -> CheckResult:
        """One check, less what belongs to a deployment: latency and certificates."""
        name = monitor_id(DEFAULT_WORKSPACE, monitor.slug)
        rules = compile_rules(name, 0, [a for a in monitor.assertions if a.subject not in OF_A_DEPLOYMENT], None)
        reveal = Revealer(Secrets(None), DEFAULT_WORKSPACE)
        now = int(wall_clock_ms())
        fetched = self._fetch(monitor, reveal)
        return judge(fetched, rules, scheduled_at=now, started_at=now, redact=Redactor(reveal.revealed))

    def _fetch(self, monitor: Monitor, reveal: Revealer) -> Fetched:
        try:
            request = build_request(monitor.model_copy(update={"client_certificate": None}), reveal)
        except MissingSecret as error:
            return Fetched(Reason.BAD_REQUEST, str(error))
        self._client.cookies.clear()  # no check has those of another
        started_ns = perf_counter_ns()
        answer = self._client.request(
            request.method,
            str(request.url),
            headers=dict(request.headers),
            content=request.body,
            follow_redirects=request.follow_redirects,
        )
        total_us = (perf_counter_ns() - started_ns) // 1_000
        body = answer.content
        response = Response(
            status=answer.status_code,
            reason_phrase=answer.reason_phrase,
            http_version="1.1",
            headers=[(name.lower(), value) for name, value in answer.headers.multi_items()],
            body=body[:BODY_LIMIT_BYTES],
            body_truncated=len(body) > BODY_LIMIT_BYTES,
            redirects=len(answer.history),
            certificate_expires_at=0,
        )
        return Fetched(Reason.OK, "", response, Phases(ttfb_us=total_us, total_us=total_us), "in this process")
