"""The status page in a real browser."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from query.assets import asset_url
from query.reads import Bucket, ComponentState, Latency
from query.uptime import DAY_MS, HOUR_MS
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Severity, Status
from schemas.events import Evidence, Failure, Incident, TimelineEntry
from tests.browser.chromium import Chromium
from tests.engines import free_ports
from tests.query.filled import Filled

pytestmark = pytest.mark.browser

DARK = "--blink-settings=preferredColorScheme=0"
NOW = time.time_ns() // 1_000_000


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    return Chromium.found(tmp_path)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The app at an address of loopback."""
    (port,) = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def shop() -> Filled:
    """A page with everything that can be on one."""
    filled = Filled()
    filled.facts.read_at, filled.facts.trouble = NOW, ""
    names = {"api": "Public API", "checkout": "Checkout", "search": "Search", "mail": "Mail delivery", "docs": "Docs"}
    for slug, name in names.items():
        monitor = filled.monitor(slug, name=name)
        filled.up_for_90_days(monitor, NOW - HOUR_MS)
        filled.status(monitor, Status.UP, NOW)
    filled.facts.take_latencies(dict.fromkeys(filled.catalog.monitors.entries, Latency(2_880, 38.2, 88.0, 240.5)))
    filled.page("acme", *names, title="Acme", description="What our customers use, checked every 30 seconds.")
    _break_checkout(filled)
    _degrade_search(filled)
    filled.status("default/mail", Status.UNKNOWN, NOW, Reason.NO_RESULTS, version=2)
    _maintain_docs(filled)
    return filled


def _maintain_docs(filled: Filled) -> None:
    filled.status("default/docs", Status.MAINTENANCE, NOW, version=2)
    moved = "The documentation moves to new servers. Pages may be missing meanwhile."
    begins_in_hours = {"server-move": (-1, moved), "database-upgrade": (50, ""), "cache-upgrade": (80, "")}
    for slug, (hours, description) in begins_in_hours.items():
        begin = NOW + hours * HOUR_MS
        fields = {"title": slug.replace("-", " ").capitalize(), "description": description}
        cancelled = slug == "cache-upgrade"
        filled.maintenance(slug, begin, begin + 3 * HOUR_MS, "docs", "search", at=NOW, cancelled=cancelled, **fields)
    begin = NOW - 5 * DAY_MS
    filled.maintenance("old-move", begin, begin + HOUR_MS, "docs", title="First part of the move")


def _break_checkout(filled: Filled) -> None:
    filled.status("default/checkout", Status.DOWN, NOW, Reason.HTTP_STATUS, version=2)
    earlier = NOW // DAY_MS * DAY_MS - 12 * DAY_MS
    spans = (22 * HOUR_MS, 0, 2 * HOUR_MS, 0, 0, 0)
    filled.facts.take_day("default/checkout", Bucket(earlier, earlier + DAY_MS, spans))
    filled.facts.take_incident(
        Incident(
            *("c-2", "default/checkout", 2, IncidentState.OPEN, Severity.DOWN, NOW - HOUR_MS, NOW - HOUR_MS),
            *(Reason.HTTP_STATUS, "HTTP 502 Bad Gateway"),
            regions=("eu", "us"),
            evidence=Evidence("HTTP/1.1 502 Bad Gateway"),
            entries=(
                TimelineEntry(EntryKind.OPENED, NOW - HOUR_MS, Status.DOWN, "HTTP 502 Bad Gateway from eu and us"),
                TimelineEntry(EntryKind.UPDATE, NOW - HOUR_MS // 2, Status.DOWN, "A deploy is rolled back.", "Ada"),
            ),
        )
    )


def _degrade_search(filled: Filled) -> None:
    filled.status("default/search", Status.DEGRADED, NOW, Reason.COMPONENT, version=2)
    components = (("cache", Outcome.DOWN, "connection refused"), ("database", Outcome.UP, ""))
    filled.facts.take_components(
        ("default/search", ComponentState(name, outcome, message, NOW)) for name, outcome, message in components
    )
    filled.facts.take_incident(
        Incident(
            *("s-1", "default/search", 1, IncidentState.RESOLVED, Severity.DEGRADED, NOW - 3 * DAY_MS),
            *(NOW - 3 * DAY_MS, Reason.ASSERTION, "", NOW - 3 * DAY_MS + HOUR_MS),
            failures=(Failure("$.cache equals ok", Severity.DEGRADED, "ok", "fail", ""),),
        )
    )


def test_without_its_script_the_page_tells_everything(chromium: Chromium) -> None:
    with serving(without_script(shop())) as url:
        seen = chromium.see(f"{url}/p/acme")

    for told in (
        "Checkout is down",
        "1 up, 1 degraded, 1 down, 1 unknown, 1 maintenance",
        "HTTP/1.1 502 Bad Gateway",
        "A deploy is rolled back.",
        "cache down: connection refused",
        "No check has reported for a while",
        "Search was degraded for 1 h",
        "expected ok , saw fail",
        "38 ms · 88 ms · 240 ms",
        "Server move In progress",
        "Docs Maintenance",
        "Database upgrade Planned",
        "Cache upgrade Cancelled",
        "First part of the move Completed",
    ):
        assert told in seen.text
    assert seen.html.count('<i class="') == 5 * 90


@pytest.mark.parametrize(
    ("name", "size", "flags"),
    [
        ("page-light.png", "1200,2600", ()),
        ("page-dark.png", "1200,2600", (DARK,)),
        ("page-narrow.png", "500,2600", ()),
    ],
)
def test_the_page_is_painted_and_its_picture_kept(
    chromium: Chromium, name: str, size: str, flags: tuple[str, ...]
) -> None:
    with serving(shop().app) as url:
        picture = chromium.picture(f"{url}/p/acme", name, size, *flags)

    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 50_000


def test_the_browser_has_nothing_to_complain_of(chromium: Chromium) -> None:
    with serving(shop().app) as url:
        seen = chromium.see(f"{url}/p/acme")

    assert seen.complaints == []


def test_an_open_page_follows_a_change_by_itself(chromium: Chromium) -> None:
    filled = shop()
    app = after_first_page(filled, lambda: filled.status("default/api", Status.DOWN, NOW, Reason.TIMEOUT, version=9))
    with serving(app) as url:
        seen = chromium.see(f"{url}/p/acme", "--virtual-time-budget=25000")

    assert "2 of 5 systems are down" in seen.text
    assert "<title>2 of 5 systems are down · Acme</title>" in seen.html
    assert seen.complaints == []


def test_a_change_is_read_aloud_and_leaves_the_reader_where_he_is(chromium: Chromium) -> None:
    """What is read aloud is what changes inside of an element that stays."""
    filled = shop()
    watching = """
        const region = document.querySelector("[aria-live]"), link = document.querySelector("footer a");
        link.focus();
        setInterval(() => {
            document.body.dataset.region = region.isConnected ? region.textContent.trim() : "replaced";
            document.body.dataset.focus = document.activeElement.textContent;
        }, 100);
    """
    app = after_first_page(filled, lambda: open_incident_of_api(filled))
    with serving(with_script(app, watching)) as url:
        seen = chromium.see(f"{url}/p/acme", "--virtual-time-budget=25000")

    assert 'data-region="2 of 5 systems are down' in seen.html
    assert 'data-focus="JSON"' in seen.html
    assert "Public API is down" in seen.text


def test_an_open_page_that_can_no_longer_be_refreshed_says_so(chromium: Chromium) -> None:
    filled = shop()
    with serving(after_first_page(filled, lambda: filled.delete_page("acme"))) as url:
        seen = chromium.see(f"{url}/p/acme", "--virtual-time-budget=25000")

    assert "This page cannot be refreshed. It says what was known on " in seen.text
    assert "Checkout is down" in seen.text


@pytest.mark.parametrize("size", ["500,900", "1280,900"])
def test_no_word_however_long_makes_the_page_wider_than_the_screen(chromium: Chromium, size: str) -> None:
    filled, long = Filled(), "x" * 150
    filled.monitor("api", name=long)
    filled.page("acme", "api", title=long, description=long)
    filled.status("default/api", Status.DOWN, NOW, Reason.COMPONENT)
    filled.facts.take_components([("default/api", ComponentState(long, Outcome.DOWN, long, NOW))])
    opened = IncidentState.OPEN, Severity.DOWN, NOW, NOW, Reason.COMPONENT, ""
    entries = (TimelineEntry(EntryKind.OPENED, NOW, Status.DOWN, long),)
    told = {"regions": (long,), "components": (long,), "failures": (Failure(long, Severity.DOWN, long, long, ""),)}
    filled.facts.take_incident(Incident("a-1", "default/api", 1, *opened, entries=entries, **told))
    filled.maintenance("upgrade", NOW, NOW + HOUR_MS, "api", title=long, description=long)
    measure = "document.body.dataset.over = document.documentElement.scrollWidth - window.innerWidth;"
    with serving(with_script(filled.app, measure)) as url:
        seen = chromium.see(f"{url}/p/acme", f"--window-size={size}")

    assert 'data-over="0"' in seen.html


def test_a_page_that_is_open_while_the_release_changes_loads_the_new_one_s_style(chromium: Chromium) -> None:
    current = asset_url("page.css").encode()
    with serving(of_another_release_first(shop(), current)) as url:
        seen = chromium.see(f"{url}/p/acme", "--virtual-time-budget=25000")

    assert current.decode() in seen.html
    assert "Checkout is down" in seen.text


def test_an_unknown_page_is_a_page_that_says_so(chromium: Chromium) -> None:
    with serving(shop().app) as url:
        seen = chromium.see(f"{url}/p/nowhere")

    assert "There is no status page here" in seen.text


def test_a_badge_is_a_picture_in_a_browser(chromium: Chromium) -> None:
    with serving(shop().app) as url:
        seen = chromium.see(f"{url}/badges/acme/checkout/status.svg")

    assert "Checkout: down" in seen.html


def without_script(filled: Filled) -> Any:
    """The service, whose script nobody can get."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/static/live.js":
            scope = {**scope, "path": "/p/"}
        await filled.app(scope, receive, send)

    return app


def with_script(app: Any, more: str) -> Any:
    """The service, to whose script something is added."""

    async def with_more(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/static/live.js":
            await app(scope, receive, send)
            return
        script = files("query").joinpath("static", "live.js").read_bytes() + more.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/javascript")]})
        await send({"type": "http.response.body", "body": script})

    return with_more


def of_another_release_first(filled: Filled, current: bytes) -> Any:
    """The service, whose first page names a stylesheet of another release."""
    pages_given = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal pages_given
        if scope["type"] != "http" or scope["path"] != "/p/acme":
            await filled.app(scope, receive, send)
            return
        pages_given += 1
        is_first = pages_given == 1

        async def other(message: Any) -> None:
            if is_first and "body" in message:
                message = {**message, "body": message["body"].replace(current, current[:-4] + b"0000")}
            await send(message)

        await filled.app({**scope, "headers": []}, receive, other)

    return app


def open_incident_of_api(filled: Filled) -> None:
    filled.status("default/api", Status.DOWN, NOW, Reason.TIMEOUT, version=9)
    opened = IncidentState.OPEN, Severity.DOWN, NOW, NOW
    filled.facts.take_incident(Incident("a-1", "default/api", 1, *opened, Reason.TIMEOUT, "no answer in 10 s"))


def after_first_page(filled: Filled, change: Callable[[], object]) -> Any:
    """The service, to which something happens once the page was given the first time."""
    pages_given = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal pages_given
        await filled.app(scope, receive, send)
        if scope["type"] == "http" and scope["path"] == "/p/acme":
            pages_given += 1
            if pages_given == 1:
                change()

    return app


def test_a_page_of_another_origin_fetches_the_status(chromium: Chromium, tmp_path: Path) -> None:
    recipe = files("infra.demo.recipes").joinpath("frontend.html").read_text("utf-8")
    page = tmp_path / "frontend.html"
    filled = shop()
    filled.facts.trouble, filled.facts.read_at = "ClickHouse cannot be read", NOW - HOUR_MS
    with serving(filled.app) as url:
        page.write_text(recipe.replace("https://pulse.example.com", url), "utf-8")
        seen = chromium.see(page.as_uri(), "--virtual-time-budget=5000")

    assert not seen.complaints
    for line in ("Public API: up", "Checkout: down", "Mail delivery: unknown", "Nothing newer than 20"):
        assert line in seen.text


def test_the_api_description_needs_nothing_but_the_service(chromium: Chromium) -> None:
    with serving(shop().app) as url:
        seen = chromium.see(
            f"{url}/docs", "--virtual-time-budget=10000", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        )

    assert not seen.complaints
    assert "Everything that the status page shows" in seen.text
    assert "Your own FastAPI app, as JSON through httpx or as HTML through Jinja2" in seen.text
