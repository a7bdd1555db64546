"""What the commands print, on a terminal of the usual 80 columns."""

from io import StringIO

import pytest
from rich.console import Console

from query.management.show import show_incidents, show_keys, show_maintenances, show_monitors


def on_a_terminal() -> Console:
    return Console(file=StringIO(), width=80, highlight=False)


def printed(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_that_an_incident_shows_its_whole_minute_and_how_long_it_lasted() -> None:
    console = on_a_terminal()
    incident = {
        "state": "resolved",
        "severity": "degraded",
        "monitor": "payments-service",
        "opened_at": "2026-11-27T08:26:31.250+01:00",
        "duration_ms": 13_000,
        "message": "503 Service Unavailable: database is down (fail)",
    }

    show_incidents(console, [incident, incident | {"duration_ms": 12_000_000}])

    assert printed(console).count("2026-11-27 07:26") == 2
    assert "< 1 min" in printed(console)
    assert "3 h 20 min" in printed(console)


def test_that_a_key_without_an_end_is_good_for_ever() -> None:
    console = on_a_terminal()
    key = {"id": "k1", "name": "deploys", "scopes": ["write"], "created_at": "2026-11-27T07:26:31Z"}

    show_keys(console, [key | {"created_by": "admin", "expires_at": None}])
    show_keys(console, [key | {"created_by": "admin", "expires_at": "2027-02-25T07:26:31Z"}])

    assert "never" in printed(console)
    assert "2027-02-25 07:26" in printed(console)


def test_that_what_has_to_be_typed_again_is_whole_where_there_is_little_room() -> None:
    console = on_a_terminal()
    key = {"id": "hIzNyApSill1", "name": "for the pipeline of everything", "scopes": ["analytics:sql", "write"]}
    times = {"created_at": "2026-11-27T07:26:31Z", "expires_at": "2027-02-25T07:26:31Z"}
    slug = "everything-moves-to-the-other-data-centr-20901201-0200"
    maintenance = {"slug": slug, "title": "Everything moves", "state": "upcoming", "monitors": ["api", "web"]}

    show_keys(console, [key | times | {"created_by": "key:xM8yEQ1Tabcd"}])
    show_maintenances(console, [maintenance | {"starts_at": "2090-12-01T02:00Z", "ends_at": "2090-12-01T04:00Z"}])

    assert "hIzNyApSill1" in printed(console)
    assert "…" not in printed(console)


def test_that_a_monitor_is_one_line_whatever_its_name_has(capsys: pytest.CaptureFixture[str]) -> None:
    monitor = {"status": "up", "slug": "api", "title": "Our\nAPI\x1b[2J\n", "since": None, "uptime_24h": 1.0}

    show_monitors(on_a_terminal(), [monitor])

    _, line = capsys.readouterr().out.splitlines()
    assert "Our API [2J" in line
