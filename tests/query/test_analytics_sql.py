"""`POST /v1/analytics/sql`: everybody's own SQL, over the views, over one's own rows, within limits."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.settings import Settings
from tests.infra.gateway import Gateway, start
from tests.query.management.service import Service, key_of_another_workspace, running_service, with_service


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    gateway = start(tmp_path_factory.mktemp("sql") / "data")
    asyncio.run(migrate(Settings(clickhouse=SecretStr(gateway.settings_url()))))
    gateway.post(
        "INSERT INTO pulse.uptime_buckets (monitor, step, bucket, version, up_ms, down_ms) "
        "SELECT 'default/api', 'day', today() - number, 1, 80000000, 6400000 FROM numbers(5)"
    )
    yield gateway
    gateway.kill()


def with_sql(gateway: Gateway, scenario: Callable[[Service], Awaitable[None]]) -> None:
    """The service with the account of the embedded engine."""

    async def run() -> None:
        account = gateway.settings_url().replace(f"default:{gateway.password}", f"reader:{gateway.reader_password}")
        settings = {"clickhouse": SecretStr(gateway.settings_url()), "clickhouse_sql": SecretStr(account)}
        async with running_service(**settings) as service:
            await scenario(service)

    asyncio.run(run())


async def ask(service: Service, query: str) -> httpx.Response:
    return await service.client.post("/v1/analytics/sql", json={"query": query})


@pytest.mark.engines
def test_a_select_answers_columns_and_rows(gateway: Gateway) -> None:
    async def scenario(service: Service) -> None:
        answer = await ask(
            service, "SELECT monitor, sum(down_ms) AS lost, NULL AS n FROM pulse_uptime_daily GROUP BY monitor -- all;"
        )
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert told["columns"][0] == {"name": "monitor", "type": "String"}
        assert told["rows"] == [["default/api", 32_000_000, None]]
        assert told["rows_read"] > 0
        assert told["source"] == "pulse_*"

    with_sql(gateway, scenario)


@pytest.mark.engines
@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT nonsense FROM pulse_results", "nonsense"),
        ("SELECT (1", "Syntax error"),
        ("SELECT 1; SELECT 2", "refused"),
        ("SELECT 1 FORMAT CSV", "Syntax error"),
        ("SELECT * FROM uptime_daily", "inside"),
        ("SELECT * FROM system.tables", "inside"),
        ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV')", "refused"),
        ("SELECT 1 SETTINGS max_execution_time = 100", "refused"),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", "refused"),
        ("DROP VIEW pulse_results", "refused"),
        ("SELECT {x:String}", "refused"),
    ],
)
def test_what_is_wrong_with_it_is_told(gateway: Gateway, query: str, why: str) -> None:
    async def scenario(service: Service) -> None:
        answer = await ask(service, query)
        assert answer.status_code == 422, answer.text
        [error] = answer.json()["errors"]
        assert error["pointer"] == "#/query"
        assert why in error["detail"]
        assert str(gateway.port) not in answer.text

    with_sql(gateway, scenario)


@pytest.mark.engines
def test_what_takes_too_much_is_too_expensive(gateway: Gateway) -> None:
    async def scenario(service: Service) -> None:
        for query in (
            "SELECT number FROM numbers(10001)",
            "SELECT count() FROM numbers(1000000000)",
            "SELECT groupArray(number) FROM numbers(100000000)",
        ):
            answer = await ask(service, query)
            assert answer.status_code == 422, answer.text
            assert answer.json()["type"] == "urn:pulse:problem:query-too-expensive"

    with_sql(gateway, scenario)


@pytest.mark.engines
def test_it_is_refused_where_workspaces_cannot_be_kept_apart(gateway: Gateway) -> None:
    async def scenario(service: Service) -> None:
        async with service.as_key(await key_of_another_workspace(service)) as stranger:
            gateway.post("INSERT INTO pulse.monitor_versions (monitor, version) VALUES ('default/api', 1)")
            answer = await stranger.post("/v1/analytics/sql", json={"query": "SELECT * FROM pulse_uptime_daily"})
        assert answer.status_code == 403
        assert "keep them apart" in answer.json()["detail"]
        assert (await ask(service, "SELECT 1")).status_code == 200

    with_sql(gateway, scenario)


def test_it_is_off_until_the_installation_says_otherwise() -> None:
    async def scenario(service: Service) -> None:
        answer = await ask(service, "SELECT 1")
        assert answer.status_code == 403
        assert "PULSE_CLICKHOUSE_SQL" in answer.json()["detail"]

    with_service(scenario)


def test_it_needs_its_own_scope() -> None:
    async def scenario(service: Service) -> None:
        async def status_with(*scopes: str) -> int:
            made = await service.client.post("/v1/keys", json={"scopes": scopes})
            async with service.as_key(made.json()["key"]) as client:
                answer = await client.post("/v1/analytics/sql", json={"query": "SELECT 1"})
            return answer.status_code

        assert await status_with("read", "write", "push") == 403
        assert await status_with("analytics:sql") == 503

    with_service(scenario, clickhouse_sql=SecretStr("http://reader:x@127.0.0.1:1/pulse"))


@pytest.mark.parametrize("body", [{}, {"query": ""}, {"query": "SELECT 1", "format": "CSV"}, {"query": "x" * 20_001}])
def test_a_body_that_is_none_is_told_so(body: dict[str, Any]) -> None:
    async def scenario(service: Service) -> None:
        assert (await service.client.post("/v1/analytics/sql", json=body)).status_code == 422

    with_service(scenario)
