"""The dashboard over the views `pulse_*`: the account that reads nothing else can answer every panel."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.embedded.clickhouse.confinement import ROLE
from infra.settings import Settings
from tests.infra.gateway import Gateway, start

DASHBOARD = json.loads((Path(__file__).parents[2] / "infra/deploy/grafana/monitors.json").read_text("utf-8"))
QUERIES = {panel["title"]: target["rawSql"] for panel in DASHBOARD["panels"] for target in panel["targets"]}

ROWS = """
INSERT INTO current_status (monitor, version, status) VALUES ('default/api', 1, 'up');
INSERT INTO uptime_buckets (monitor, step, bucket, version, up_ms, down_ms) SELECT 'default/api', step, now(), 1, 9, 1
    FROM (SELECT arrayJoin(['hour', 'day']) AS step);
INSERT INTO latency_hourly (monitor, region, bucket, version, checks, histogram)
    SELECT 'default/api', 'eu', now(), 1, 4, arrayMap(bin -> if(bin = 40, 4, 0), range(128));
INSERT INTO check_results (monitor, region, scheduled_at, version, outcome, reason)
    VALUES ('default/api', 'eu', now(), 1, 'down', 'timeout');
INSERT INTO incidents (monitor, id, version, state, opened_at, resolved_at) VALUES
    ('default/api', 'old', 1, 'resolved', now() - INTERVAL 2 DAY, now() - INTERVAL 1 DAY),
    ('default/api', 'open', 1, 'open', now() - INTERVAL 1 DAY, NULL);
INSERT INTO status_changes (monitor, at, version, status) VALUES
    ('default/api', now() - INTERVAL 2 DAY, 1, 'down'), ('default/api', now() - INTERVAL 1 DAY, 1, 'up');
INSERT INTO components (monitor, component, version, outcome) VALUES ('default/api', 'db', 1, 'up');
INSERT INTO monitor_versions (monitor, version, document) VALUES ('default/api', 1, '{"url": "http://a"}');
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = start(tmp_path_factory.mktemp("dashboard") / "data")
    asyncio.run(migrate(Settings(clickhouse=SecretStr(gateway.settings_url()))))
    for statement in ROWS.strip().split(";\n"):
        response = gateway.post(statement.rstrip(";"), database="pulse")
        assert response.status_code == 200, response.text
    yield gateway
    gateway.kill()


def rows(gateway: Gateway, sql: str) -> list[str]:
    """The rows of a query with Grafana's marks, for two hours of the one monitor."""
    marks = {"$__fromTime": "(now() - INTERVAL 2 HOUR)", "$__toTime": "(now() + INTERVAL 1 MINUTE)"}
    for mark, value in (marks | {"${monitor:singlequote}": "'default/api'"}).items():
        sql = sql.replace(mark, value)
    assert "$" not in sql
    response = gateway.post(sql, user="reader", database="pulse", role=ROLE)
    assert response.status_code == 200, response.text
    return response.text.splitlines()


@pytest.mark.engines
@pytest.mark.parametrize("title", QUERIES)
def test_every_panel_shows_something(gateway: Gateway, title: str) -> None:
    assert rows(gateway, QUERIES[title])


@pytest.mark.engines
def test_the_window_begins_with_the_status_that_lasted_into_it(gateway: Gateway) -> None:
    (row,) = rows(gateway, QUERIES["Status over time"])
    at, *told = row.split("\t")
    begin = datetime.now(UTC) - timedelta(hours=2)

    assert told == ["default/api", "up"]
    assert begin - timedelta(minutes=1) < datetime.fromisoformat(f"{at}Z") <= begin


@pytest.mark.engines
def test_an_incident_that_is_still_open_is_in_every_window(gateway: Gateway) -> None:
    (row,) = rows(gateway, QUERIES["Incidents"])

    assert row.split("\t")[3] == "open"


@pytest.mark.engines
def test_monitors_can_be_chosen(gateway: Gateway) -> None:
    (choice,) = [each["query"] for each in DASHBOARD["templating"]["list"] if each["name"] == "monitor"]
    assert rows(gateway, choice) == ["default/api"]


def test_seconds_are_shown_as_seconds_whatever_the_panel_s_unit() -> None:
    for panel in DASHBOARD["panels"]:
        durations = set(re.findall(r"AS (\w+_s)\b", "".join(target["rawSql"] for target in panel["targets"])))
        overrides = {each["matcher"]["options"]: each["properties"] for each in panel["fieldConfig"]["overrides"]}
        assert overrides == {name: [{"id": "unit", "value": "s"}] for name in durations}, panel["title"]


def test_panels_read_nothing_but_the_views() -> None:
    read = {name for sql in QUERIES.values() for name in re.findall(r"(?:FROM|JOIN) (\w+)", sql)}

    assert len(read) >= 9
    assert all(name.startswith("pulse_") for name in read)
