"""What `/docs` shows by example: the recipes, which are files that the tests run, and a whole status document."""

from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Any, Final

import orjson
from fastapi import FastAPI

from query.answers import document_json
from query.maintenances import MaintenanceState
from query.status_document import (
    ComponentView,
    Day,
    GroupView,
    IncidentView,
    LatencySummary,
    MaintenanceView,
    MonitorView,
    PageView,
    StatusDocument,
    TimelineView,
    Uptime,
    Window,
)
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Severity, Status

RECIPES: Final = (
    ("Your own FastAPI app, as JSON through httpx or as HTML through Jinja2", "headless.py", "python"),
    ("The template that it renders", "headless.html", "html"),
    ("A page of your own that fetches the status; any origin may", "frontend.html", "html"),
)
ABOUT: Final = """\
Pages, badges, feeds and `/status` are public. `/v1` needs a key: `Authorization: Bearer pulse_…`, made by
`pulse keys create`. Times are ISO 8601 in UTC.

* Errors are [problems](https://www.rfc-editor.org/rfc/rfc9457): `detail` says what to do, `errors` each wrong field.
* A list goes a page at a time: send `next_cursor` as `cursor`.
* A write carries `If-Match` with the `ETag` of a read to change only that version.
* What is expensive is limited by key and by address: `RateLimit` says what is left, and a 429 or a 503 has
  `Retry-After`. Public answers are never limited.
"""
BEGAN: Final = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
NOW: Final = datetime(2026, 11, 23, 20, 31, tzinfo=UTC)


def description() -> str:
    """The API's description, in Markdown."""
    return "\n".join([ABOUT, "## Examples\n", _badges(), *(_recipe(*recipe) for recipe in RECIPES)])


def status_example() -> Any:
    """A status document, its 90 days cut to two."""
    return orjson.loads(document_json(_STATUS))


def install_examples(app: FastAPI) -> None:
    """Add them to the OpenAPI document: FastAPI itself would leave out every null of an example."""
    without_examples = app.openapi

    def openapi() -> dict[str, Any]:
        document = without_examples()
        answers = document["paths"]["/status/{slug}"]["get"]["responses"]
        answers["200"]["content"]["application/json"]["example"] = status_example()
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _badges() -> str:
    return (
        "### A badge in a README\n\n```markdown\n"
        "![status](https://pulse.example.com/badges/acme/status.svg)\n"
        "![uptime](https://pulse.example.com/badges/acme/api/uptime.svg?window=90d)\n```\n"
    )


def _recipe(title: str, name: str, language: str) -> str:
    text = files("infra.demo.recipes").joinpath(name).read_text("utf-8")
    return f"### {title}\n\n```{language}\n{text}```\n"


_MONITOR: Final = MonitorView(
    slug="api",
    name="Public API",
    status=Status.DEGRADED,
    since=BEGAN,
    reason=Reason.COMPONENT,
    cause="a part that it depends on has failed",
    message="cache: fail",
    known_until=NOW,
    components=[
        ComponentView("cache", Outcome.DOWN, "fail", BEGAN),
        ComponentView("database", Outcome.UP, "ok", BEGAN),
    ],
    days=[
        Day(date(2026, 11, 22), Status.UP, 1.0, {Status.UP: 86_400_000}, []),
        Day(date(2026, 11, 23), Status.DEGRADED, 1.0, {Status.UP: 72_000_000, Status.DEGRADED: 1_860_000}, ["i-42"]),
    ],
    uptime={window: Uptime(1.0, 0.998, 0) for window in Window},
    latency=LatencySummary(2_880, 38.2, 88.0, 240.5),
)
_INCIDENT: Final = IncidentView(
    id="i-42",
    monitor="api",
    monitor_name="Public API",
    state=IncidentState.OPEN,
    severity=Severity.DEGRADED,
    title="Public API is degraded",
    reason=Reason.COMPONENT,
    cause="a part that it depends on has failed",
    opened_at=BEGAN,
    resolved_at=None,
    duration_ms=1_860_000,
    regions=["eu"],
    components=["cache"],
    failures=[],
    answered="HTTP/1.1 503 Service Unavailable",
    timeline=[TimelineView(EntryKind.OPENED, BEGAN, Status.DEGRADED, "cache: fail")],
)
_MAINTENANCE: Final = MaintenanceView(
    slug="database-upgrade",
    title="Database upgrade",
    description="Orders may wait for a minute.",
    state=MaintenanceState.UPCOMING,
    starts_at=datetime(2026, 12, 1, 2, 0, tzinfo=UTC),
    ends_at=datetime(2026, 12, 1, 4, 0, tzinfo=UTC),
    monitors=["api"],
    monitor_names=["Public API"],
    version=7,
    updated_at=BEGAN,
)
_STATUS: Final = StatusDocument(
    version=1,
    page=PageView("acme", "Acme", "What our customers use.", "https://status.acme.dev/"),
    status=Status.DEGRADED,
    headline="Public API is degraded",
    groups=[GroupView("Shop", [_MONITOR])],
    incidents=[_INCIDENT],
    generated_at=NOW,
    stale_since=None,
    maintenances=[_MAINTENANCE],
)
