"""Subcommands of `pulse` about the stream: `stream`, `lag`, `epoch`."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import Error
from rich.table import Table

from infra.cli import Exit, fail, output
from infra.clickhouse import ClickHouseNotConfigured, address_of
from infra.kafka import KafkaNotConfigured, connection_options
from infra.settings import Settings, get_settings
from stream.epochs import LogMismatch
from stream.lag import Lag, measure_lag
from stream.operations import accept_gaps, start_epoch

T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.")]


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    app.command("stream")(stream_command)
    app.command("lag")(lag_command)
    epochs = typer.Typer(
        help="Decide what the stream does when log and store do not fit. Example: pulse epoch new --reason …"
    )
    epochs.command("new")(new_command)
    epochs.command("accept-gap")(accept_gap_command)
    app.add_typer(epochs, name="epoch")


def stream_command() -> None:
    """Run a stream worker: it turns check results into statuses, incidents and uptime.

    Example: PULSE_KAFKA=kafka:9092 PULSE_CLICKHOUSE=http://clickhouse:8123/pulse PULSE_STREAM=stream-0 pulse stream
    """
    from stream.app import run_worker  # Faust takes a second to import, and only this command needs it

    settings = get_settings()
    try:
        connection_options(settings)
        address_of(settings)
    except (KafkaNotConfigured, ClickHouseNotConfigured) as error:
        fail(str(error), Exit.USAGE)
    run_worker(settings)


def lag_command(as_json: AsJson = False) -> None:
    """How far the stream is behind the log, by partition. Example: pulse lag --json"""
    lags = _run(measure_lag)
    if as_json:
        typer.echo(json.dumps([lag.to_json() for lag in lags], indent=2))
        return
    _print_lags(lags)


def _print_lags(lags: list[Lag]) -> None:
    table = Table("partition", "log ends at", "durable up to", "events behind", "seconds behind")
    for lag in lags:
        seconds = "never written" if lag.seconds_behind is None else f"{lag.seconds_behind:.1f}"
        table.add_row(str(lag.partition), str(lag.end), str(lag.durable), str(lag.events_behind), seconds)
    output().print(table)


def new_command(reason: Reason) -> None:
    """Start a new epoch: from now on Kafka's present log counts, above everything that is stored.

    Stop the stream workers first. Example: pulse epoch new --reason "Kafka's disk was lost on 3 May"
    """
    epoch = _run(lambda settings: start_epoch(settings, reason))
    typer.echo(f"epoch {epoch.number} begins, over the log {epoch.log}; start the stream workers")


def accept_gap_command(reason: Reason) -> None:
    """Go on without events that Kafka's retention removed before they were folded.

    Stop the stream workers first. Example: pulse epoch accept-gap --reason "the stream stood for 9 days"
    """
    gaps = _run(lambda settings: accept_gaps(settings, reason))
    for gap in gaps:
        typer.echo(f"partition {gap.partition}: goes on at {gap.first}, {gap.missing} events are missing")
    if not gaps:
        typer.echo("no partition has a gap")


def _run(command: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    try:
        return asyncio.run(command(get_settings()))
    except (KafkaNotConfigured, ClickHouseNotConfigured) as error:
        fail(str(error), Exit.USAGE)
    except LogMismatch as error:
        fail(str(error))
    except (KafkaError, Error, OSError) as error:
        fail(f"cannot reach the engines: {error}", Exit.UNREACHABLE)
