"""Subcommands of `pulse` that prepare and show an installation: `migrate`, `settings`, `schemas`."""

import asyncio
import json
import secrets
from importlib.metadata import version
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.table import Table

from infra.cli import Exit, fail, output
from infra.clickhouse import ClickHouseNotConfigured, OneNodeOnly, migrate, sql_account
from infra.kafka import KafkaNotConfigured, PartitionsDiffer, TopicNotConfigured, TopicNotCreated, provision_topics
from infra.settings import Settings, get_settings
from schemas.asyncapi import asyncapi_document


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    app.command("migrate")(migrate_command)
    app.command("settings")(settings_command)
    app.command("schemas")(schemas_command)


def migrate_command(
    account: Annotated[
        bool, typer.Option("--sql-account", help="Only print the SQL of the account for POST /v1/analytics/sql.")
    ] = False,
) -> None:
    """Create the topics and tables that are missing. Safe to run again.

    Example: PULSE_KAFKA=kafka:9092 PULSE_CLICKHOUSE=http://clickhouse:8123/pulse pulse migrate
    """
    settings = get_settings()
    try:
        if account:
            typer.echo(";\n\n".join(sql_account(settings, secrets.token_urlsafe(24))) + ";")
            return
        topics = asyncio.run(provision_topics(settings))
        migrations = asyncio.run(migrate(settings))
    except (KafkaNotConfigured, ClickHouseNotConfigured, OneNodeOnly) as error:
        fail(str(error), Exit.USAGE)
    except (PartitionsDiffer, TopicNotConfigured, TopicNotCreated) as error:
        fail(str(error))
    except (KafkaError, ClickHouseError, OSError) as error:
        fail(f"An engine cannot be reached or refuses: {error}", Exit.UNREACHABLE)
    output().print(f"topics created: {', '.join(topics) or 'none'}\nmigrations run: {', '.join(migrations) or 'none'}")


def settings_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print every setting, with secrets masked. Example: pulse settings --json"""
    values = get_settings().model_dump(mode="json")
    if as_json:
        typer.echo(json.dumps(values, indent=2))
        return
    table = Table("setting", "value", "what it is")
    for name, field in Settings.model_fields.items():
        table.add_row(f"PULSE_{name.upper()}", str(values[name]), field.description or "")
    output().print(table)


def schemas_command() -> None:
    """Print the AsyncAPI document of the log, for code generators and for people. Example: pulse schemas > log.json"""
    typer.echo(json.dumps(asyncapi_document(version("pulseapi")), indent=2))
