"""ClickHouse: clients, and the migrations that `pulse migrate` runs."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.settings import Settings

_MIGRATION = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class ClickHouseNotConfigured(RuntimeError):
    """There is no PULSE_CLICKHOUSE and no `pulse up` to take it from."""

    def __init__(self) -> None:
        super().__init__(
            "No ClickHouse: set PULSE_CLICKHOUSE=https://user:password@host:8443/pulse, "
            "or start everything with `pulse up`."
        )


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of PULSE_CLICKHOUSE."""

    secure: bool
    host: str
    port: int
    username: str
    password: str
    database: str


def address_of(settings: Settings) -> Address:
    """Parse PULSE_CLICKHOUSE. Raises ClickHouseNotConfigured."""
    if settings.clickhouse is None:
        raise ClickHouseNotConfigured
    url = urlsplit(settings.clickhouse.get_secret_value())
    secure = url.scheme == "https"
    return Address(
        secure=secure,
        host=url.hostname or "127.0.0.1",
        port=url.port or (8443 if secure else 8123),
        username=unquote(url.username or "default"),
        password=unquote(url.password or ""),
        database=url.path.strip("/") or "pulse",
    )


@asynccontextmanager
async def open_client(settings: Settings, database: str | None = None, **options: Any) -> AsyncIterator[AsyncClient]:
    """A client of the installation's database. Raises ClickHouseNotConfigured, clickhouse_connect's errors."""
    address = address_of(settings)
    client = await clickhouse_connect.get_async_client(
        host=address.host,
        port=address.port,
        username=address.username,
        password=address.password,
        database=address.database if database is None else database,
        secure=address.secure,
        compress=address.host not in ("127.0.0.1", "localhost"),
        autogenerate_session_id=False,
        **options,
    )
    try:
        yield client
    finally:
        await client.close()


@dataclass(frozen=True, slots=True)
class Migration:
    """A numbered file of `schemas/sql`, and its statements."""

    number: int
    name: str
    statements: tuple[str, ...]


def load_migrations(cluster: str | None = None) -> list[Migration]:
    """The migrations in order, written for one node or for a cluster."""
    found = [path for path in files("schemas").joinpath("sql").iterdir() if _MIGRATION.fullmatch(path.name)]
    return [_load(path.name, path.read_text("utf-8"), cluster) for path in sorted(found, key=lambda path: path.name)]


def _load(name: str, text: str, cluster: str | None) -> Migration:
    for mark, value in (
        ("{replicated}", "Replicated" if cluster else ""),
        ("{on_cluster}", f"ON CLUSTER '{cluster}'" if cluster else ""),
    ):
        text = text.replace(mark, value)
    code = re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
    statements = tuple(part.strip() for part in code.split(";\n") if part.strip())
    return Migration(int(name[:4]), name, tuple(s.rstrip(";") for s in statements))


async def migrate(settings: Settings) -> list[str]:
    """Run the migrations that have not run yet; returns their names. Running it again changes nothing."""
    database = address_of(settings).database
    cluster = settings.clickhouse_cluster
    on_cluster = f"ON CLUSTER '{cluster}'" if cluster else ""
    async with open_client(settings, database="default") as client:
        await client.command(f"CREATE DATABASE IF NOT EXISTS {database} {on_cluster} ENGINE = Atomic")
    async with open_client(settings) as client:
        await client.command(
            f"CREATE TABLE IF NOT EXISTS migrations {on_cluster} (number UInt32, name String, "
            f"applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) "
            f"ENGINE = {'Replicated' if cluster else ''}ReplacingMergeTree ORDER BY number"
        )
        done = {row[0] for row in (await client.query("SELECT number FROM migrations")).result_rows}
        pending = [migration for migration in load_migrations(cluster) if migration.number not in done]
        for migration in pending:
            for statement in migration.statements:
                await client.command(statement)
            await client.insert("migrations", [[migration.number, migration.name]], ["number", "name"])
        return [migration.name for migration in pending]
