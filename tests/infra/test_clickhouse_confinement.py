"""The role `pulse_sql`: what a stranger's SQL may reach, and what it may not, however it is spelled."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.embedded.clickhouse.confinement import ROLE, confined
from infra.embedded.clickhouse.errors import EngineError
from infra.embedded.clickhouse.statements import read_statement
from infra.settings import Settings
from tests.infra.gateway import Gateway, start

INSIDE = frozenset({"system", "default", "pulse", "check_results", "components", "stream_state"})
FUNCTIONS = frozenset({"numbers", "merge", "file", "url", "view", "remote"})


def allowed(sql: str) -> str:
    return confined(read_statement(sql.encode()), INSIDE, FUNCTIONS).text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT count() FROM pulse_results WHERE outcome != 'up' AND match(message, '\\\\d+')",
        "WITH bad AS (SELECT * FROM pulse_incidents) SELECT count() FROM bad",
        "FROM pulse_results SELECT monitor, quantile(0.9)(total_us) GROUP BY ALL",
        "SELECT number::UInt8, [1, 2][1], x -> x + 1, 1e-3, 0xff, 'a' || 'b' FROM numbers(3)",
        "SELECT hour, arrayMap((a, b) -> a / b, histogram, histogram) FROM pulse_latency_hourly",
        "SELECT 'it''s in components, or check_results'",
    ],
)
def test_what_is_allowed_stays_as_it_was(sql: str) -> None:
    assert allowed(sql) == sql


def test_what_runs_has_no_comments() -> None:
    assert allowed("SELECT/* a */1 -- b\n, 2 // c\n>=3 ;") == "SELECT 1 , 2 >=3"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO pulse_results SELECT 1",
        "DROP VIEW pulse_results",
        "SHOW TABLES",
        "DESCRIBE TABLE pulse_results",
        "EXPLAIN SELECT 1",
        "SET max_threads = 1",
        "SELECT * FROM (EXPLAIN SELECT 1)",
        "SELECT 1 SETTINGS max_threads = 1",
        "SELECT 1 FROM (SELECT 1 SETTINGS max_threads = 1)",
        "SELECT * FROM check_results",
        "SELECT * FROM `check_results`",
        'SELECT * FROM "CHECK_RESULTS"',
        "SELECT * FROM 'check_results'",
        r"SELECT * FROM 'check\x5fresults'",
        r"SELECT * FROM 'check\N_results'",
        r"SELECT * FROM pulse_results, 'check_re\sults'",
        "SELECT * FROM $$check_results$$",
        r'SELECT * FROM "check\x5fresults"',
        "SELECT * FROM “check_results”",
        r"SELECT * FROM “check\x5fresults”",
        "SELECT * FROM pulse /* */ . check_results",
        "SELECT * FROM pulse_results, components",
        "SELECT 1 IN check_results",
        "SELECT * FROM system.tables",
        "SELECT * FROM {db:Identifier}.tables",
        "SELECT * FROM merge('pulse', 'check')",
        "SELECT * FROM view(SELECT 1)",
        "SELECT * FROM file('/etc/hostname')",
        "SELECT file('/etc/hostname')",
        "SELECT arrayMap(file, ['/etc/hostname'])",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM remote('127.0.0.1', pulse_results)",
        "SELECT dictGet('d', 'a', 1)",
        "SELECT joinGet('pulse.check_results', 'a', 1)",
        "SELECT hasColumnInTable('pulse', 'check_results', 'a')",
        "SELECT aiGenerate('x')",
        "SELECT getServerSetting('x')",
        "SELECT sleep(3)",
        "SELECT @@version",
        "SELECT 1 INTO OUTFILE 'x'",
        "SELECT 'open",
        "SELECT 1abc.x",
    ],
)
def test_what_leads_elsewhere_is_refused(sql: str) -> None:
    with pytest.raises(EngineError, match="497"):
        allowed(sql)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = start(tmp_path_factory.mktemp("confined") / "data")
    asyncio.run(migrate(Settings(clickhouse=SecretStr(gateway.settings_url()))))
    gateway.post("INSERT INTO pulse.current_status (monitor, version, status) VALUES ('default/api', 1, 'up')")
    gateway.post("CREATE DATABASE other ENGINE = Atomic")
    gateway.post("CREATE TABLE other.secrets ENGINE = MergeTree ORDER BY a AS SELECT 'secret' AS a")
    yield gateway
    gateway.kill()


def ask(gateway: Gateway, sql: str, **settings: str | int) -> httpx.Response:
    return gateway.post(sql, user="reader", database="pulse", role=ROLE, **settings)


@pytest.mark.engines
def test_the_views_can_be_read(gateway: Gateway) -> None:
    assert ask(gateway, "SELECT monitor, status FROM pulse_current_status").text == "default/api\tup\n"
    views = [name for (name,) in gateway.rows("SELECT name FROM system.tables WHERE name LIKE 'pulse\\_%'")]
    assert len(views) >= 11
    for view in views:
        assert ask(gateway, f"SELECT * FROM {view} LIMIT 1").status_code == 200


@pytest.mark.engines
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM other.secrets",
        "SELECT * FROM current_status",
        "SELECT * FROM 'current_status'",
        "SELECT name FROM system.tables",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM stream_state",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM `/etc/passwd`",
        "SELECT * FROM pulse_current_status SETTINGS max_execution_time = 1000",
        "SELECT 1; SELECT 2",
        "SELECT 1 INTO OUTFILE '/tmp/never'",
        "INSERT INTO pulse_current_status VALUES (1)",
        "INSERT INTO current_status FORMAT CSV\n1",
    ],
)
def test_the_engine_shows_nothing_else(gateway: Gateway, sql: str) -> None:
    response = ask(gateway, sql)

    assert response.status_code != 200, response.text
    assert "secret" not in response.text.replace("secrets", "")


@pytest.mark.engines
def test_limits_can_be_lowered_only(gateway: Gateway) -> None:
    many = "SELECT number FROM numbers(1000)"
    assert ask(gateway, many, max_result_rows=1000).status_code == 200
    assert ask(gateway, many, max_result_rows=10).headers["x-clickhouse-exception-code"] == "396"
    assert ask(gateway, "SELECT 1", max_execution_time=100_000).headers["x-clickhouse-exception-code"] == "452"
