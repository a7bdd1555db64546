"""The account of `POST /v1/analytics/sql`, carried out by ClickHouse's own access control.

The embedded engine takes users from a file only, and no settings of one's own. So the statements become such a file for
its user `default`, and a setting that every engine has names the workspace.
"""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from infra.clickhouse import migrate, sql_account
from infra.settings import Settings
from tests.infra.gateway import Gateway, start

WORKSPACE: Final = "SQL_pulse_workspace"
STAND_IN: Final = "log_comment"
ROWS_OF_TWO_WORKSPACES: Final = """
INSERT INTO pulse.{table} (monitor, {more}) VALUES ('mine/api', {values}), ('others/api', {values})
"""
MORE: Final = {
    "check_results": ("scheduled_at", "now()"),
    "corrections": ("kind", "'annul'"),
    "monitor_versions": ("document", """'{"url": "https://api"}'"""),
    "latency_hourly": ("checks", "1"),
}
"""What a row needs beyond its monitor, lest it be too old or say nothing."""

AS_THE_ACCOUNT: Final = """
import json, sys
from infra.embedded.clickhouse.engine import load_chdb

folder, workspace, questions = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
connection = load_chdb().connect(f"{folder}/data/store?config-file={folder}/account.xml")

def ask(question):
    try:
        return bytes(connection.query(question.encode(), "TSV").bytes()).decode()
    except RuntimeError as error:
        return "refused: " + str(error)

ask(f"SET log_comment = '{workspace}'")
ask("SET readonly = 1")
print(json.dumps([ask(question) for question in questions]))
"""
CONFIG: Final = """<clickhouse>
  <timezone>UTC</timezone>
  <user_directories><users_xml><path>{folder}/users.xml</path></users_xml></user_directories>
</clickhouse>
"""
USERS: Final = """<clickhouse>
  <profiles><default>{limits}<constraints>{constraints}</constraints></default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <grants>{grants}</grants>
    <databases><pulse>{policies}</pulse></databases>
  </default></users>
</clickhouse>
"""

REFUSED: Final = {
    f"SELECT 1 SETTINGS {STAND_IN} = 'others'": "READONLY",
    f"SET {STAND_IN} = 'others'": "READONLY",
    "SELECT 1 SETTINGS max_execution_time = 60": "READONLY",
    "SELECT count() FROM numbers(200000001)": "TOO_MANY_ROWS",
    "SELECT number FROM numbers(10001)": "TOO_MANY_ROWS_OR_BYTES",
    "SELECT groupArray(number) FROM numbers(100000000)": "MEMORY_LIMIT_EXCEEDED",
    "SELECT * FROM pulse.maintenance_windows": "ACCESS_DENIED",
    "SELECT * FROM pulse.stream_state": "ACCESS_DENIED",
    "SELECT * FROM mergeTreeIndex('pulse', 'current_status')": "ACCESS_DENIED",
    "SELECT * FROM file('/etc/passwd', 'LineAsString', 'line String')": "ACCESS_DENIED",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString', 'line String')": "ACCESS_DENIED",
    "SELECT * FROM remote('127.0.0.1', pulse.current_status)": "ACCESS_DENIED",
    "INSERT INTO pulse.current_status (monitor) VALUES ('mine/new')": "ACCESS_DENIED",
    "ALTER TABLE pulse.current_status DELETE WHERE 1": "ACCESS_DENIED",
    "DROP TABLE pulse.current_status": "ACCESS_DENIED",
    "CREATE TABLE pulse.mine (a Int8) ENGINE = Memory": "ACCESS_DENIED",
}
CODE: Final = re.compile(r"\(([A-Z_]+)\)")


@pytest.fixture(scope="module")
def statements() -> list[str]:
    return sql_account(Settings(clickhouse=SecretStr("http://u:p@host/pulse")), "secret")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, statements: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("account")
    gateway = start(folder / "data")
    try:
        asyncio.run(migrate(Settings(clickhouse=SecretStr(gateway.settings_url()))))
        _fill(gateway, list(_policies(statements)))
    finally:
        gateway.stop()
    (folder / "users.xml").write_text(_users(statements))
    (folder / "account.xml").write_text(CONFIG.format(folder=folder))
    return folder


def _fill(gateway: Gateway, tables: list[str]) -> None:
    for table in tables:
        more, values = MORE.get(table, ("version", "1"))
        response = gateway.post(ROWS_OF_TWO_WORKSPACES.format(table=table, more=more, values=values))
        assert response.status_code == 200, response.text


def _policies(statements: list[str]) -> dict[str, str]:
    """The condition on each table's rows."""
    found = re.findall(
        r"CREATE ROW POLICY IF NOT EXISTS pulse_sql ON pulse\.(\w+)\s+USING (.+) TO pulse_sql", _text(statements)
    )
    return dict(found)


def _text(statements: list[str]) -> str:
    return ";\n".join(statements)


def _users(statements: list[str]) -> str:
    limits = re.findall(r"(max_\w+) = (\d+) (?:MAX \d+|CONST)", _text(statements))
    highest = re.findall(r"(max_\w+) = \d+ MAX (\d+)", _text(statements))
    granted = re.findall(r"(GRANT SELECT ON pulse\.\w+) TO pulse_sql", _text(statements))
    policies = _policies(statements)
    assert len(limits) > len(highest) > 3
    assert len(granted) > len(policies) > 5
    return USERS.format(
        limits="".join(f"<{name}>{value}</{name}>" for name, value in limits),
        constraints="".join(f"<{name}><max>{value}</max></{name}>" for name, value in highest),
        grants="".join(f"<query>{grant}</query>" for grant in granted),
        policies="".join(
            f"<{table}><filter>{condition.replace(WORKSPACE, STAND_IN)}</filter></{table}>"
            for table, condition in policies.items()
        ),
    )


def _ask(folder: Path, workspace: str, questions: list[str]) -> list[str]:
    command = [sys.executable, "-c", AS_THE_ACCOUNT, str(folder), workspace, json.dumps(questions)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    answers: list[str] = json.loads(done.stdout)
    return answers


@pytest.mark.engines
def test_every_view_and_table_shows_the_rows_of_the_workspace_that_is_named(
    folder: Path, statements: list[str]
) -> None:
    readable = re.findall(r"GRANT SELECT ON (pulse\.\w+)", _text(statements))

    for workspace in ("mine", "others"):
        whose = "SELECT arraySort(groupUniqArray(substringIndex(monitor, '/', 1))) FROM {}"
        shown = dict(zip(readable, _ask(folder, workspace, [whose.format(name) for name in readable]), strict=True))
        assert shown == dict.fromkeys(readable, f"['{workspace}']\n")
    assert set(_ask(folder, "no", [f"SELECT count() FROM {name}" for name in readable])) == {"0\n"}


@pytest.mark.engines
def test_it_can_do_nothing_else(folder: Path) -> None:
    answers = dict(zip(REFUSED, _ask(folder, "mine", list(REFUSED)), strict=True))

    assert {question: CODE.findall(answer)[-1:] for question, answer in answers.items()} == {
        question: [code] for question, code in REFUSED.items()
    }
