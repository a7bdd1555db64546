"""The tables: created once, for one node or a cluster, kept as long as the settings say, and deaf to repeats."""

import asyncio
import json
import random
import re
import subprocess
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from infra.clickhouse import OneNodeOnly, load_migrations, migrate, sql_account
from infra.settings import Settings
from tests.infra.gateway import Gateway, start

CLUSTER = Settings(clickhouse_cluster="watch")
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = start(tmp_path_factory.mktemp("tables") / "data")
    yield gateway
    gateway.kill()


def _migrate(gateway: Gateway, database: str, **settings: Any) -> list[str]:
    return asyncio.run(migrate(Settings(clickhouse=SecretStr(gateway.settings_url(database)), **settings)))


def _statements(settings: Settings) -> list[str]:
    return [statement for migration in load_migrations(settings) for statement in migration.statements]


def test_no_mark_is_left_in_any_statement() -> None:
    for settings in (Settings(), CLUSTER):
        assert not [statement for statement in _statements(settings) if re.search(r"\{[a-z_ ]+\}", statement)]


def test_one_node_has_nothing_of_a_cluster() -> None:
    text = "\n".join(_statements(Settings()))

    assert not re.search(r"ON CLUSTER|Replicated|Distributed|_local", text)


def test_on_a_cluster_every_table_is_replicated_and_distributed() -> None:
    statements = _statements(CLUSTER)
    created = {
        match[1]: statement
        for statement in statements
        if (match := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement))
    }

    for statement in statements:
        assert "ON CLUSTER 'watch'" in statement
    for name, statement in created.items():
        if name.endswith("_local"):
            assert re.search(r"ENGINE = (Replicated\w+MergeTree|Null)", statement), name
            assert name.removesuffix("_local") in created
        else:
            assert f"Distributed('watch', currentDatabase(), '{name}_local', cityHash64(" in statement


IN_A_THROW_AWAY_ENGINE = """
import os, re, sys
from infra.embedded.clickhouse.engine import load_chdb
from infra.clickhouse import load_migrations
from infra.settings import Settings

connection = load_chdb().connect(sys.argv[1] + "/store?config-file=" + sys.argv[1] + "/config.xml")
run = lambda sql: bytes(connection.query(sql, "TSV").bytes()).decode()
run("CREATE DATABASE pulse ENGINE = Atomic")
run("USE pulse")
for migration in load_migrations(Settings(clickhouse_cluster="watch")):
    for statement in migration.statements:
        run(statement.replace("ON CLUSTER 'watch'", ""))
print(run("SELECT name, engine FROM system.tables WHERE database = 'pulse' ORDER BY name FORMAT JSONCompact"))
sys.stdout.flush()
os._exit(0)  # replicated tables would wait for their keeper
"""
KEEPER_CONFIG = """
<clickhouse>
  <zookeeper><implementation>testkeeper</implementation></zookeeper>
  <interserver_http_port>9009</interserver_http_port>
  <tcp_port>9000</tcp_port>
  <default_replica_path>/tables/{database}/{table}/{shard}</default_replica_path>
  <macros><shard>1</shard><replica>one</replica></macros>
  <remote_servers><watch><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard></watch></remote_servers>
</clickhouse>
"""


@pytest.mark.engines
def test_the_engine_takes_the_clusters_form_of_every_statement(tmp_path: Path) -> None:
    (tmp_path / "config.xml").write_text(KEEPER_CONFIG)
    command = [sys.executable, "-c", textwrap.dedent(IN_A_THROW_AWAY_ENGINE), str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    engines = dict(json.loads(done.stdout)["data"])
    assert engines["check_results"] == "Distributed"
    assert engines["check_results_local"] == "ReplicatedReplacingMergeTree"
    assert engines["uptime_daily_local"] == "ReplicatedReplacingMergeTree"
    assert engines["uptime_hourly_mv"] == "MaterializedView"


@pytest.mark.engines
def test_migrating_again_changes_nothing(gateway: Gateway) -> None:
    first = _migrate(gateway, "again")
    gateway.post("INSERT INTO again.monitor_versions (monitor, version) VALUES ('w/m', 1)")

    assert first == sorted(first)
    assert len(first) >= 3
    assert _migrate(gateway, "again") == []
    assert gateway.rows("SELECT count() FROM again.monitor_versions") == [["1"]]


@pytest.mark.engines
def test_raw_results_are_kept_as_long_as_the_setting_says(gateway: Gateway) -> None:
    _migrate(gateway, "kept", retention_days=400)
    for days in (1, 100):
        gateway.post(
            f"INSERT INTO kept.check_results (monitor, scheduled_at) SELECT 'w/m', now() - toIntervalDay({days})"
        )
    count = "SELECT count() FROM kept.check_results"
    assert gateway.rows(count) == [["2"]]

    _migrate(gateway, "kept")
    table = "SELECT engine_full FROM system.tables WHERE database = 'kept' AND name = 'check_results'"
    assert "toIntervalDay(400)" in gateway.rows(table)[0][0]

    _migrate(gateway, "kept", retention_days=30)

    _wait_until(
        lambda: gateway.post("OPTIMIZE TABLE kept.check_results FINAL").is_success and gateway.rows(count) == [["1"]]
    )


@pytest.mark.engines
def test_a_month_that_nothing_is_written_to_becomes_one_part(gateway: Gateway) -> None:
    _migrate(gateway, "months")
    for table in ("latency_hourly", "uptime_hourly", "uptime_daily"):
        ((created,),) = gateway.rows(f"SHOW CREATE TABLE months.{table}")
        assert "min_age_to_force_merge_seconds = 86400" in created
        gateway.post(f"ALTER TABLE months.{table} MODIFY SETTING min_age_to_force_merge_seconds = 1")
        for version in range(3):
            row = f"('w/m', '2026-01-01', {version})"
            gateway.post(f"INSERT INTO months.{table} (monitor, bucket, version) VALUES {row}")

    january = "FROM system.parts WHERE active AND database = 'months' AND partition = '202601'"
    _wait_until(lambda: gateway.rows(f"SELECT uniq(table), count(), sum(rows) {january}") == [["3", "3", "3"]])


# Every table against an oracle: the newest version of each identity, whatever came twice and in which order.

NAMES = ["w/api", "w/site", "o/api"]


def _value(kind: str, randomly: random.Random) -> Any:
    if kind.startswith("Nullable("):
        return None if randomly.random() < 0.3 else _value(kind[9:-1], randomly)
    if kind.startswith("LowCardinality("):
        return _value(kind[15:-1], randomly)
    if kind.startswith("Array("):
        return [_value(kind[6:-1], randomly) for _ in range(randomly.randrange(4))]
    if kind.startswith("Tuple("):
        fields = re.findall(r"(\w+) (String|DateTime64\(3, 'UTC'\))", kind)
        return {name: _value(inner, randomly) for name, inner in fields}
    if kind.startswith("Enum8("):
        return randomly.choice(re.findall(r"'(\w+)'", kind))
    if kind.startswith("DateTime"):
        step_s = 3600 if kind.startswith("DateTime(") else 7
        return (int(time.time()) - 20 * 86400) // 86400 * 86400 + step_s * randomly.randrange(24)
    if kind == "Bool":
        return randomly.random() < 0.5
    if kind.startswith(("UInt", "Int")):
        return randomly.randrange(120)
    assert kind == "String", kind
    return randomly.choice(NAMES)


class Table:
    """What a table is, and rows for it: contents are a function of identity and version, as the stream's are."""

    def __init__(self, gateway: Gateway, name: str, identity: list[str] | None = None) -> None:
        self.name = name
        self._gateway = gateway
        self.columns = dict(
            gateway.rows(f"SELECT name, type FROM system.columns WHERE database = 'pulse' AND table = '{name}'")
        )
        self.columns = {column: kind.replace("\\'", "'") for column, kind in self.columns.items()}
        (key, engine), *_ = gateway.rows(
            f"SELECT sorting_key, engine_full FROM system.tables WHERE database = 'pulse' AND name = '{name}'"
        )
        self.identity = identity or key.split(", ")
        self.versioned = identity is not None or "(version)" in engine

    def rows(self, seed: int, identities: int = 60, versions: int = 5) -> list[dict[str, Any]]:
        """Several versions of several identities; no version twice."""
        randomly = random.Random(seed)
        found = {}
        for _ in range(identities):
            key = {column: _value(self.columns[column], randomly) for column in self.identity}
            for _ in range(versions if self.versioned else 1):
                version = {"version": randomly.randrange(1 << 40)} if self.versioned else {}
                content = random.Random(json.dumps([key, version]))
                row = {column: _value(kind, content) for column, kind in self.columns.items()} | version | key
                found[json.dumps([key, version])] = row
        return list(found.values())

    def newest(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What counts."""
        best: dict[str, dict[str, Any]] = {}
        for row in sorted(rows, key=lambda row: row.get("version", 0)):
            best[json.dumps([row[column] for column in self.identity])] = row
        return list(best.values())

    def insert(self, rows: list[dict[str, Any]], into: str | None = None) -> None:
        """One batch."""
        lines = "\n".join(json.dumps(row) for row in rows)
        response = self._gateway.post(f"INSERT INTO pulse.{into or self.name} FORMAT JSONEachRow\n{lines}")
        assert response.status_code == 200, response.text

    def deliver(self, rows: list[dict[str, Any]], seed: int, merge: Callable[[], object]) -> None:
        """Each row one to three times, in any order, in batches of any size, with merges between."""
        randomly = random.Random(seed)
        deliveries = [row for row in rows for _ in range(randomly.randint(1, 3))]
        randomly.shuffle(deliveries)
        while deliveries:
            size = randomly.choice([1, 5, 40])
            self.insert(deliveries[:size])
            deliveries = deliveries[size:]
            if randomly.random() < 0.2:
                merge()


@pytest.fixture(scope="module")
def migrated(gateway: Gateway) -> Gateway:
    _migrate(gateway, "pulse")
    return gateway


def _differences(gateway: Gateway, found: str, expected: str) -> int:
    one, other = (
        f"SELECT count() FROM (SELECT * FROM ({left}) EXCEPT SELECT * FROM ({right}))"
        for left, right in ((found, expected), (expected, found))
    )
    counts = f"SELECT (SELECT count() FROM ({found})) = (SELECT count() FROM ({expected}))"
    return int(gateway.rows(one)[0][0]) + int(gateway.rows(other)[0][0]) + (gateway.rows(counts) != [["1"]])


def _expect(gateway: Gateway, table: Table, rows: list[dict[str, Any]], target: str) -> None:
    """Fill the oracle, and compare `target` with it, before and after all is merged."""
    gateway.post("DROP TABLE IF EXISTS pulse.oracle")
    gateway.post(f"CREATE TABLE pulse.oracle AS pulse.{target} ENGINE = Memory")
    table.insert(rows, into="oracle")
    found, expected = f"SELECT * FROM pulse.{target} FINAL", "SELECT * FROM pulse.oracle"

    assert int(gateway.rows(f"SELECT count() FROM pulse.{target} FINAL")[0][0]) > 0
    assert _differences(gateway, found, expected) == 0
    gateway.post(f"OPTIMIZE TABLE pulse.{target} FINAL")
    assert _differences(gateway, f"SELECT * FROM pulse.{target}", expected) == 0


TABLES = sorted(
    match[1]
    for statement in _statements(Settings())
    if (match := re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement)) and "ENGINE = Replacing" in statement
)
FED_BY_VIEWS = {"uptime_hourly", "uptime_daily", "incident_timeline"}


@pytest.mark.engines
@pytest.mark.parametrize("name", sorted(set(TABLES) - FED_BY_VIEWS))
def test_a_table_is_deaf_to_repeats_and_order(migrated: Gateway, name: str) -> None:
    table = Table(migrated, name)
    rows = table.rows(seed=1)

    table.deliver(rows, seed=2, merge=lambda: migrated.post(f"OPTIMIZE TABLE pulse.{name}"))

    _expect(migrated, table, table.newest(rows), name)


@pytest.mark.engines
def test_uptime_by_hour_and_day_is_deaf_to_repeats_and_order(migrated: Gateway) -> None:
    buckets = Table(migrated, "uptime_buckets", identity=["monitor", "step", "bucket"])
    rows = buckets.rows(seed=3)

    buckets.deliver(rows, seed=4, merge=lambda: migrated.post("OPTIMIZE TABLE pulse.uptime_hourly FINAL"))

    for step, target in (("hour", "uptime_hourly"), ("day", "uptime_daily")):
        newest = [row for row in buckets.newest(rows) if row["step"] == step]
        _expect(migrated, buckets, [{k: v for k, v in row.items() if k != "step"} for row in newest], target)
    months: defaultdict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for row in buckets.newest(rows):
        if row["step"] == "day":
            begin = datetime.fromtimestamp(row["bucket"], UTC).replace(day=1, hour=0)
            month = months[row["monitor"], int(begin.timestamp())]
            month[:] = [month[0] + row["up_ms"], month[1] + row["down_ms"]]
    assert migrated.rows(
        "SELECT monitor, toUnixTimestamp(month), up_ms, down_ms FROM pulse.uptime_monthly ORDER BY monitor, month"
    ) == [[monitor, str(month), str(up), str(down)] for (monitor, month), (up, down) in sorted(months.items())]


@pytest.mark.engines
def test_an_incidents_timeline_is_that_of_its_newest_version(migrated: Gateway) -> None:
    migrated.post("TRUNCATE TABLE pulse.incidents")
    migrated.post("TRUNCATE TABLE pulse.incident_timeline")
    incidents = Table(migrated, "incidents")
    rows = incidents.rows(seed=5)

    incidents.deliver(rows, seed=6, merge=lambda: migrated.post("OPTIMIZE TABLE pulse.incident_timeline FINAL"))

    found = migrated.rows(
        "SELECT monitor, id, kind, toUnixTimestamp(timeline.at), message "
        "FROM pulse.incident_timeline AS timeline FINAL "
        "INNER JOIN pulse.incidents AS incidents FINAL "
        "ON incidents.monitor = timeline.monitor AND id = incident AND incidents.version = timeline.version "
        "ORDER BY monitor, id, position"
    )
    newest = sorted(incidents.newest(rows), key=lambda row: (row["monitor"], row["id"]))
    assert found == [
        [row["monitor"], row["id"], entry["kind"], str(entry["at"]), entry["message"]]
        for row in newest
        for entry in row["entries"]
    ]


@pytest.mark.engines
def test_status_history_tells_until_when(migrated: Gateway) -> None:
    migrated.post("TRUNCATE TABLE pulse.status_changes")
    migrated.post(
        "INSERT INTO pulse.status_changes (monitor, at, version, status, withdrawn) VALUES "
        "('w/a', 100, 1, 'up', false), ('w/a', 200, 2, 'down', false), ('w/a', 200, 5, 'down', true), "
        "('w/a', 300, 3, 'degraded', false), ('w/b', 250, 4, 'up', false)"
    )

    rows = migrated.rows(
        "SELECT monitor, status, toUnixTimestamp(at), toUnixTimestamp(until) FROM pulse.status_history "
        "ORDER BY monitor, at"
    )

    assert rows == [["w/a", "up", "100", "300"], ["w/a", "degraded", "300", r"\N"], ["w/b", "up", "250", r"\N"]]


@pytest.mark.engines
def test_minutes_count_each_result_once_in_its_newest_version(migrated: Gateway) -> None:
    migrated.post("TRUNCATE TABLE pulse.check_results")
    results = Table(migrated, "check_results")
    yesterday = int(time.time()) - 86_400
    identities = {
        at: yesterday + place * 13 for place, at in enumerate({row["scheduled_at"] for row in results.rows(7)})
    }
    rows = [row | {"scheduled_at": identities[row["scheduled_at"]]} for row in results.rows(seed=7)]

    results.deliver(rows, seed=8, merge=lambda: migrated.post("OPTIMIZE TABLE pulse.check_results"))

    minutes: defaultdict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in results.newest(rows):
        minutes[row["monitor"], row["region"], row["scheduled_at"] // 60 * 60].append(row)
    expected = []
    for (monitor, region, minute), inside in sorted(minutes.items()):
        answers = [row for row in inside if row["outcome"] in ("up", "degraded") and not row["overloaded"]]
        measured = [row["total_us"] for row in answers if row["total_us"]]
        downs = sum(row["outcome"] == "down" for row in inside)
        largest = str(max(measured)) if measured else r"\N"
        expected.append([monitor, region, str(minute), str(len(inside)), str(downs), largest])
    assert expected == migrated.rows(
        "SELECT monitor, region, toUnixTimestamp(minute), checks, down, max_total_us FROM pulse.results_minutely "
        "ORDER BY monitor, region, minute"
    )


# The views for everybody.

VIEWS = {
    "pulse_component_status": ("components", "NOT gone"),
    "pulse_current_status": ("current_status", "NOT deleted"),
    "pulse_incidents": ("incidents", "1"),
    "pulse_latency_hourly": ("latency_hourly", "checks > 0"),
    "pulse_results": ("check_results", "1"),
    "pulse_uptime_daily": ("uptime_daily", "1"),
    "pulse_uptime_hourly": ("uptime_hourly", "1"),
}


@pytest.mark.engines
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_the_newest_versions_of_its_table(migrated: Gateway, view: str) -> None:
    name, condition = VIEWS[view]
    migrated.post(f"TRUNCATE TABLE pulse.{name}")
    table = Table(migrated, name)
    rows = table.rows(seed=9)
    table.deliver(rows, seed=10, merge=lambda: migrated.post(f"OPTIMIZE TABLE pulse.{name}"))
    migrated.post("DROP TABLE IF EXISTS pulse.oracle")
    migrated.post(f"CREATE TABLE pulse.oracle AS pulse.{name} ENGINE = Memory")
    table.insert(table.newest(rows), into="oracle")

    shared = sorted(table.columns.keys() & Table(migrated, view, identity=["monitor"]).columns.keys())

    columns = ", ".join(f"toString({column})" for column in shared)
    assert {"monitor"} < set(shared)
    assert int(migrated.rows(f"SELECT count() FROM pulse.{view}")[0][0]) > 0
    expected = f"SELECT {columns} FROM pulse.oracle WHERE {condition}"
    assert _differences(migrated, f"SELECT {columns} FROM pulse.{view}", expected) == 0


@pytest.mark.engines
def test_the_views_say_whose_each_row_is_and_what_each_column_means(migrated: Gateway) -> None:
    found = migrated.rows(
        "SELECT table, groupArray(name), countIf(comment = '') FROM (SELECT * FROM system.columns "
        "WHERE database = 'pulse' AND startsWith(table, 'pulse_') ORDER BY position) GROUP BY table"
    )

    assert {view for view, *_ in found} > set(VIEWS)
    for view, columns, undocumented in found:
        assert columns.startswith("['workspace','monitor',"), view
        assert undocumented == "0", view
    assert migrated.rows("SELECT name FROM system.tables WHERE startsWith(name, 'pulse_') AND comment = ''") == []


@pytest.mark.engines
def test_deleted_monitors_are_not_in_the_view(migrated: Gateway) -> None:
    migrated.post("TRUNCATE TABLE pulse.monitor_versions")
    migrated.post(
        """INSERT INTO pulse.monitor_versions (monitor, version, document) VALUES
        ('w/a', 1, '{"url": "http://old"}'), ('w/a', 5, '{"url": "http://a", "paused": true}'),
        ('w/gone', 2, '{"url": "http://b"}'), ('w/gone', 3, '')"""
    )

    rows = migrated.rows("SELECT workspace, monitor, slug, url, paused, version FROM pulse.pulse_monitors")

    assert rows == [["w", "w/a", "a", "http://a", "true", "5"]]


@pytest.mark.engines
def test_a_monitor_is_what_its_newest_record_says_although_versions_count_from_0_again_in_a_new_log(
    migrated: Gateway,
) -> None:
    migrated.post("TRUNCATE TABLE pulse.monitor_versions")
    migrated.post(
        """INSERT INTO pulse.monitor_versions (monitor, version, at, document) VALUES
        ('w/a', 7, '2026-01-01 00:00:00', '{"url": "http://old"}'),
        ('w/a', 2, '2026-02-01 00:00:00', '{"url": "http://new"}')"""
    )

    assert migrated.rows("SELECT url, version FROM pulse.pulse_monitors") == [["http://new", "2"]]


@pytest.mark.engines
def test_the_engine_can_read_every_statement_for_a_server(migrated: Gateway) -> None:
    account = sql_account(Settings(clickhouse=SecretStr("http://u:p@host/pulse")), "secret")
    assert not [statement for statement in account if re.search(r"\{[a-z_ ]+\}", statement)]

    for statement in [*account, *_statements(CLUSTER)]:
        response = migrated.post(f"EXPLAIN AST {statement}")
        assert response.status_code == 200, f"{statement}: {response.text}"


def test_the_account_sees_only_rows_of_the_workspace_that_is_named() -> None:
    account = sql_account(Settings(clickhouse=SecretStr("http://u:p@host/pulse")), "secret")
    granted = {match[1] for each in account if (match := re.match(r"GRANT SELECT ON pulse\.(\w+)", each))}
    filtered = {match[1] for each in account if (match := re.match(r"CREATE ROW POLICY .* ON pulse\.(\w+)", each))}
    created = [re.match(r"CREATE (TABLE|VIEW) IF NOT EXISTS (\w+)", statement) for statement in _statements(Settings())]

    views = {found[2] for found in created if found is not None and found[1] == "VIEW"}
    assert granted - filtered == granted & views
    assert filtered == granted - views
    assert {"check_results", "uptime_monthly", "pulse_results"} < granted
    assert not granted & {"maintenance_windows", "stream_state", "migrations"}
    with pytest.raises(OneNodeOnly):
        sql_account(CLUSTER, "secret")


def _wait_until(true: Callable[[], bool], limit_s: float = 30) -> None:
    give_up_at = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.05)
