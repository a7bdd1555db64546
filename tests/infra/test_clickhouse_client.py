"""The client that every service opens: where its requests go."""

import asyncio

import pytest
from clickhouse_connect.driver.exceptions import OperationalError
from pydantic import SecretStr

from infra.clickhouse import open_client
from infra.settings import Settings
from tests.engines import free_ports


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> int:
    """The port of the proxy that the environment names; nobody listens there."""
    (port,) = free_ports(1)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return port


async def _ask(host: str, port: int) -> None:
    async with open_client(Settings(clickhouse=SecretStr(f"http://{host}:{port}/pulse"))):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_not_asked_through_a_proxy(proxy: int, host: str) -> None:
    (port,) = free_ports(1)

    with pytest.raises(OperationalError, match=f"{host}:{port}"):
        asyncio.run(_ask(host, port))


def test_a_cluster_elsewhere_is_asked_as_the_environment_says(proxy: int) -> None:
    with pytest.raises(OperationalError, match=f"127.0.0.1:{proxy}"):
        asyncio.run(_ask("clickhouse.invalid", 8123))
