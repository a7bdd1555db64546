"""Subcommands of `pulse` that check: `check`, `probe`."""

import asyncio
import gc
import signal
from typing import Final

import typer
import uvloop

from infra.cli import Exit, fail
from infra.kafka import KafkaNotConfigured
from infra.locks import FolderInUse, lock
from infra.logs import configure_logs
from infra.ports import PortTaken
from infra.quiet import quieten
from infra.settings import get_settings
from probes.check_command import check_command
from probes.emit import spool_folder
from probes.own_health import InvalidCanary
from probes.service import ProbeService

COLLECT_GARBAGE_AFTER: Final = 20_000
"""Objects. A check leaves no rings of references; by default Python looks for them every few checks."""


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    app.command("check")(check_command)
    app.command("probe")(probe_command)


def probe_command() -> None:
    """Run one probe of a region; as many share its monitors as there are.

    Example: PULSE_KAFKA=kafka:9092 PULSE_REGION=eu-west PULSE_PROBE=probe-a pulse probe
    """
    settings = get_settings()
    configure_logs("probe", settings.log_level)
    quieten("aiokafka")
    gc.set_threshold(COLLECT_GARBAGE_AFTER)
    try:
        lock(spool_folder(settings), "give this probe another name with PULSE_PROBE")
        uvloop.run(_probe())
    except (KafkaNotConfigured, PortTaken, InvalidCanary, FolderInUse) as error:
        fail(str(error), Exit.USAGE)


async def _probe() -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await ProbeService(get_settings()).run(stop)
