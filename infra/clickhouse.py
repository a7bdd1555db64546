"""ClickHouse: clients, and the migrations that `pulse migrate` runs."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver import httputil
from clickhouse_connect.driver import options as optional_packages
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.settings import Settings

# The embedded engine's package brings these along; no service uses them, and the client would load 80 MB of them.
for _unused in ("np", "pd", "pd_time_test", "arrow", "pl"):
    setattr(optional_packages, _unused, None)

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_proxy_for: Final = httputil.check_env_proxy


def _proxy_unless_here(scheme: str, host: str, port: int) -> str | None:
    """HTTP_PROXY and its kin are for hosts elsewhere; the client would send this machine's queries there, too."""
    return None if host in _THIS_MACHINE else _proxy_for(scheme, host, port)


httputil.check_env_proxy = _proxy_unless_here

_MIGRATION: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_SHARDED: Final = re.compile(r"(?<=CREATE TABLE IF NOT EXISTS )(\w+) \{sharded by (\w+)\}")
_CREATED: Final = re.compile(r"CREATE (?:TABLE|VIEW) IF NOT EXISTS (\w+)")
_READ: Final = re.compile(r"\b(?:FROM|JOIN) (\w+)")
_FOR_EVERYBODY: Final = "pulse_"
"""How the names of the views begin that everybody's own SQL may read."""
_MIGRATIONS_TABLE: Final = """
CREATE TABLE IF NOT EXISTS migrations {sharded by number}
    (number UInt32, name String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3))
ENGINE = {replicated}ReplacingMergeTree ORDER BY number
"""
_RETENTION: Final = (
    "ALTER TABLE check_results{local} {on_cluster} "
    "MODIFY TTL toDateTime(scheduled_at) + toIntervalDay({retention_days})"
)
_CLUSTER_SETTINGS: Final = {
    "distributed_foreground_insert": 1,  # acknowledged means stored on the shard
    "distributed_product_mode": "local",  # one monitor's rows are on one shard, so subqueries may stay there
}


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
        compress=address.host not in _THIS_MACHINE,
        autogenerate_session_id=False,
        settings=(_CLUSTER_SETTINGS if settings.clickhouse_cluster else {}) | options.pop("settings", {}),
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


def load_migrations(settings: Settings) -> list[Migration]:
    """The migrations in order, written for one node, or for the cluster that the settings name."""
    found = [path for path in files("schemas").joinpath("sql").iterdir() if _MIGRATION.fullmatch(path.name)]
    return [_load(path.name, path.read_text("utf-8"), settings) for path in sorted(found, key=lambda path: path.name)]


def _load(name: str, text: str, settings: Settings) -> Migration:
    statements = tuple(statement for part in _parts(text) for statement in _written(part, settings))
    return Migration(int(name[:4]), name, statements)


def _parts(text: str) -> list[str]:
    """The statements of a file, without comments."""
    code = re.sub(r"^\s*--.*$", "", text, flags=re.MULTILINE)
    return [part.strip().rstrip(";") for part in code.split(";\n") if part.strip()]


def _written(template: str, settings: Settings) -> list[str]:
    """A statement without its marks; on a cluster a table is two statements: its local part, and the whole."""
    cluster = settings.clickhouse_cluster
    on_cluster = f"ON CLUSTER '{cluster}'" if cluster else ""
    marks = {
        "{replicated}": "Replicated" if cluster else "",
        "{on_cluster}": on_cluster,
        "{local}": "_local" if cluster else "",
        "{retention_days}": str(settings.retention_days),
    }
    for mark, value in marks.items():
        template = template.replace(mark, value)
    table = _SHARDED.search(template)
    if table is None or not cluster:
        return [_SHARDED.sub(r"\1", template)]
    name, column = table.groups()
    return [
        _SHARDED.sub(rf"\1_local {on_cluster}", template),
        f"CREATE TABLE IF NOT EXISTS {name} {on_cluster} AS {name}_local "
        f"ENGINE = Distributed('{cluster}', currentDatabase(), '{name}_local', cityHash64({column}))",
    ]


class OneNodeOnly(RuntimeError):
    """Row policies of a Distributed table are not known to hold on every shard."""

    def __init__(self) -> None:
        super().__init__("The account for SQL can be made on one node only, not on PULSE_CLICKHOUSE_CLUSTER.")


def sql_account(settings: Settings, password: str) -> list[str]:
    """The statements that make the account of `POST /v1/analytics/sql` on a ClickHouse server.

    Raises OneNodeOnly, ClickHouseNotConfigured.
    """
    if settings.clickhouse_cluster:
        raise OneNodeOnly
    statements = [statement for each in load_migrations(settings) for statement in each.statements]
    created = {found[1]: statement for statement in statements if (found := _CREATED.match(statement))}
    read = sorted(_read_by_everybody(created))
    marks = {
        "{database}": [address_of(settings).database],
        "{password}": [password],
        "{readable}": read,
        "{table}": [name for name in read if created[name].startswith("CREATE TABLE")],
    }
    account = _parts(files("schemas").joinpath("sql", "account.sql").read_text("utf-8"))
    for mark, values in marks.items():
        account = [part.replace(mark, value) for part in account for value in (values if mark in part else [""])]
    return account


def _read_by_everybody(created: dict[str, str]) -> set[str]:
    """The views for everybody, and all that they stand on."""
    found: set[str] = set()
    wanted = {name for name in created if name.startswith(_FOR_EVERYBODY)}
    while wanted:
        found |= wanted
        wanted = {name for each in wanted for name in _READ.findall(created[each]) if name in created} - found
    return found


async def migrate(settings: Settings) -> list[str]:
    """Run the migrations that have not run yet; returns their names. Running it again changes nothing."""
    on_cluster = f"ON CLUSTER '{settings.clickhouse_cluster}'" if settings.clickhouse_cluster else ""
    database = address_of(settings).database
    async with open_client(settings, database="default") as client:
        await client.command(f"CREATE DATABASE IF NOT EXISTS `{database}` {on_cluster} ENGINE = Atomic")
    async with open_client(settings) as client:
        for statement in _written(_MIGRATIONS_TABLE, settings):
            await client.command(statement)
        done = {row[0] for row in (await client.query("SELECT number FROM migrations")).result_rows}
        pending = [migration for migration in load_migrations(settings) if migration.number not in done]
        for migration in pending:
            for statement in migration.statements:
                await client.command(statement)
            await client.insert("migrations", [[migration.number, migration.name]], ["number", "name"])
        await _keep_results_for(client, settings)
        return [migration.name for migration in pending]


async def _keep_results_for(client: AsyncClient, settings: Settings) -> None:
    """Bring the retention of raw results to the setting, where one is made and it was another one.

    Whoever migrates without it may just not know it: the default in its place would delete what is older.
    """
    if "retention_days" not in settings.model_fields_set:
        return
    table, alter = _written("check_results{local}", settings)[0], _written(_RETENTION, settings)[0]
    ttl = f"toIntervalDay({settings.retention_days})"
    query = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    if ttl not in (await client.query(query, parameters={"table": table})).result_rows[0][0]:
        await client.command(alter)
