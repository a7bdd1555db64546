"""A read whose client has gone ends, here and in ClickHouse; a write does not."""

import asyncio
from typing import Any

import httpx
import pytest

from infra.clickhouse import open_client
from infra.settings import Settings
from query import store
from query.abandoned import EndAbandoned
from query.asgi import Receive, Scope, Send
from tests.query.management.live import listening_service
from tests.query.management.service import ADMIN_KEY


async def disconnected() -> dict[str, Any]:
    return {"type": "http.disconnect"}


async def nowhere(message: Any) -> None:
    raise AssertionError(message)


def ended_before_its_time(method: str, path: str) -> bool:
    """Whether a request that takes a few turns of the loop is cancelled when its client goes at once."""
    finished = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        finished.append(scope["path"])

    async def serve() -> None:
        await EndAbandoned(app)({"type": "http", "method": method, "path": path}, disconnected, nowhere)

    asyncio.run(serve())
    return not finished


def test_a_read_ends_when_its_client_has_gone_and_a_write_does_not() -> None:
    assert ended_before_its_time("GET", "/v1/monitors")
    assert not ended_before_its_time("POST", "/v1/monitors")


def test_an_error_below_comes_through() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    async def waiting() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    with pytest.raises(LookupError):
        asyncio.run(EndAbandoned(app)({"type": "http", "method": "GET", "path": "/v1/"}, waiting, nowhere))


@pytest.mark.engines
def test_clickhouse_stops_what_nobody_waits_for(engine_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = "SELECT sleepEachRow(0.1) AS nobody_waits FROM numbers(80) SETTINGS max_block_size = 1"
    monkeypatch.setattr(store, "sql", lambda package, name: asked)

    async def running(client: Any) -> int:
        found = await client.query(
            "SELECT count() FROM system.processes WHERE query LIKE '%nobody_waits%' AND query NOT LIKE '%processes%'"
        )
        return int(found.result_rows[0][0])

    async def scenario(port: int) -> None:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client,
            open_client(engine_settings) as clickhouse,
        ):
            asking = asyncio.create_task(client.get("/v1/incidents", timeout=30))
            while not await running(clickhouse):
                assert not asking.done(), asking.result().text
                await asyncio.sleep(0.01)
            asking.cancel()
            async with asyncio.timeout(4):  # the query takes 8 seconds
                while await running(clickhouse):
                    await asyncio.sleep(0.01)

    with listening_service(engine_settings.clickhouse) as (port, _):
        asyncio.run(scenario(port))
