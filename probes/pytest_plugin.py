"""`pytest --pulse`: each monitor of pulse.yaml is a test, so that a schema regression fails before it is deployed.

    pytest --pulse --pulse-app main:app            the application, inside this process
    pytest --pulse --pulse-url http://localhost:8000   a server that runs somewhere

pytest loads this module in every run: it imports the rest when it is asked to.
"""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from probes.in_process import AppUnderTest
    from schemas.events import CheckResult
    from schemas.monitors import Monitor

APP_KEY = pytest.StashKey["AppUnderTest | None"]()
OPEN_KEY = pytest.StashKey[ExitStack]()
_SHADOWED = (
    "--pulse finds another module where its own should be ({}). It cannot run beside a top-level module named schemas, "
    "infra or probes: move yours into a package, or run --pulse-url in a folder that has pulse.yaml alone."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of `pytest --pulse`."""
    group = parser.getgroup("pulse", "PulseAPI: the monitors of pulse.yaml as tests")
    group.addoption("--pulse", action="store_true", help="Run each monitor of pulse.yaml as a test.")
    group.addoption("--pulse-file", default="pulse.yaml", help="The file of monitors (pulse.yaml).")
    group.addoption("--pulse-app", help="The ASGI application to check inside this process, module:app.")
    group.addoption("--pulse-url", help="The server to check instead, http://host:port.")


def pytest_configure(config: pytest.Config) -> None:
    """One target, or a clear refusal."""
    config.stash[OPEN_KEY] = ExitStack()
    config.stash[APP_KEY] = None
    if config.getoption("pulse") and bool(config.getoption("pulse_app")) == bool(config.getoption("pulse_url")):
        raise pytest.UsageError("--pulse needs one of --pulse-app module:app and --pulse-url http://host:port")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Shut the application down."""
    config.stash[OPEN_KEY].close()


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the monitors to the tests that were found."""
    if config.getoption("pulse"):
        path = Path(config.rootpath, config.getoption("pulse_file"))
        items.extend(PulseFile.from_parent(session, path=path).collect())


class PulseFile(pytest.File):
    """A pulse.yaml."""

    def collect(self) -> Iterator["MonitorItem"]:
        """A test a monitor over HTTP; those that are paused are left out."""
        try:
            from schemas.documents import InvalidDocument, load_document
        except ImportError as error:
            raise pytest.UsageError(_SHADOWED.format(error)) from None
        try:
            document = load_document(self.path)
        except (InvalidDocument, OSError) as error:
            raise pytest.UsageError(str(error)) from None
        for monitor in document.monitors:
            if not monitor.paused and monitor.over_http:
                yield MonitorItem.from_parent(self, name=monitor.slug, monitor=monitor)


class NotUp(Exception):
    """The check's outcome is not `up`; `result` says why."""

    def __init__(self, result: "CheckResult") -> None:
        super().__init__(result.message)
        self.result = result


class MonitorItem(pytest.Item):
    """One monitor."""

    def __init__(self, *, monitor: "Monitor", **options: Any) -> None:
        super().__init__(**options)
        self.monitor = monitor

    def runtest(self) -> None:
        """Check it once. Raises NotUp."""
        url = self.config.getoption("pulse_url")
        result = _check_at(url, self.monitor) if url else _app(self.config).check(self.monitor)
        if result.outcome != "up":
            raise NotUp(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """What a person needs to see, and no traceback into this plugin."""
        if not isinstance(excinfo.value, NotUp):
            return super().repr_failure(excinfo, style)
        result = excinfo.value.result
        lines = [f"{self.monitor.method} {self.monitor.url} is {result.outcome}: {result.reason}", result.message]
        lines += [f"  ✗ {failure.message}" for failure in result.failures if failure.message != result.message]
        lines += [f"  ● {part.name} is {part.outcome} {part.message}".rstrip() for part in result.components]
        if result.evidence and result.status_code:
            lines += ["", result.evidence.status_line, result.evidence.body]
        return "\n".join(lines)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the test stands."""
        return self.path, None, f"pulse: {self.name}"


def _app(config: pytest.Config) -> "AppUnderTest":
    """The application, started at its first test."""
    from probes.in_process import AppNotFound, AppUnderTest, load_app

    app = config.stash[APP_KEY]
    if app is None:
        try:
            app = AppUnderTest(load_app(config.getoption("pulse_app")))
        except AppNotFound as error:
            raise pytest.UsageError(str(error)) from None
        config.stash[APP_KEY] = config.stash[OPEN_KEY].enter_context(app)
    return app


def _check_at(url: str, monitor: "Monitor") -> "CheckResult":
    """The monitor's path at another origin."""
    from probes.check import check_once
    from schemas.urls import InvalidUrl, parse_url

    try:
        origin = parse_url(url)
    except InvalidUrl as error:
        raise pytest.UsageError(f"--pulse-url: {error}") from None
    moved = f"{origin.scheme}://{origin.authority}{parse_url(monitor.url).target}"
    return asyncio.run(check_once(monitor.model_copy(update={"url": moved})))
