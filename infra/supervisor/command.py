"""`pulse up`."""

import asyncio
import logging
import os
import sys
from importlib.util import find_spec
from typing import Annotated, NoReturn

import typer
from aiokafka.errors import KafkaError
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from infra.cli import Exit, fail
from infra.embedded.kafka import EmbeddedKafkaError
from infra.kafka import PartitionsDiffer, TopicNotConfigured, TopicNotCreated
from infra.locks import FolderInUse
from infra.ports import PortTaken
from infra.running import DataLock
from infra.settings import Settings, get_settings
from infra.supervisor.topology import ApplyFailed, NotReady

_REASONS = (
    EmbeddedKafkaError,
    FolderInUse,
    PortTaken,
    NotReady,
    ApplyFailed,
    PartitionsDiffer,
    TopicNotConfigured,
    TopicNotCreated,
)


def register(app: typer.Typer) -> None:
    """Add `pulse up`."""
    app.command("up")(up_command)


def up_command(
    demo: Annotated[bool, typer.Option("--demo", help="Also run the sample app, with its monitors and page.")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="No screen, a line an event.")] = False,
) -> None:
    """Run everything on this machine: engines, probe, stream worker, query service. Ctrl-C stops all.

    Example: pulse up --demo
    """
    if find_spec("psutil") is None:
        fail("`pulse up` needs the embedded engines: pip install 'pulseapi[embedded]'", Exit.USAGE)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # an engine that starts is awaited, not news
    try:
        _up(get_settings(), demo, headless)
    except _REASONS as error:
        _leave(Exit.NOT_FINE, str(error))
    except (KafkaError, ClickHouseError, OSError) as error:
        _leave(Exit.UNREACHABLE, f"An engine cannot be reached or refuses: {error}")
    _leave(Exit.FINE)


def _up(settings: Settings, demo: bool, headless: bool) -> None:
    from infra.supervisor.leash import Leash
    from infra.supervisor.screen import Screen
    from infra.supervisor.up import Supervisor

    folder = settings.data.absolute()
    loop = asyncio.new_event_loop()
    with DataLock(folder) as lock, Leash() as leash, Screen(headless) as screen:
        loop.run_until_complete(Supervisor(settings, demo, screen, lock, leash).run())


def _leave(code: Exit, message: str = "") -> NoReturn:
    """All is stopped by now; only a download may still be under way, and nobody waits for it."""
    if message:
        Console(stderr=True, highlight=False, soft_wrap=True).print(message, style="red", markup=False)
    sys.stdout.flush()
    os._exit(code)
