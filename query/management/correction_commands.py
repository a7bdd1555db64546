"""Subcommands of `pulse` that change the record afterwards: replay, annul, undo, corrections."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from infra.cli import Exit, fail, output
from query.management import show
from query.management.client import Service, ServiceError
from query.management.commands import JsonOption, ask, name_in_address
from query.times import iso
from schemas.durations import parse_duration_ms
from schemas.moments import parse_moment

WAIT_S: Final = 120.0
POLL_S: Final = 0.3

MonitorOption = Annotated[str, typer.Option("--monitor", "-m", help="The monitor's slug.", callback=name_in_address)]
FromOption = Annotated[str, typer.Option("--from", help="Its begin: 2026-11-01T10:00Z, or 2h for two hours ago.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with it, and told in the timeline.")]


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    app.command("replay")(replay_command)
    app.command("annul")(annul_command)
    app.command("undo")(undo_command)
    app.command("corrections")(corrections_command)


def replay_command(
    monitor: MonitorOption,
    begin: FromOption,
    reason: ReasonOption = "no reason given",
    end: Annotated[str | None, typer.Option("--to", help="Its end; now without.")] = None,
    policy: Annotated[list[str] | None, typer.Option(help="What else holds, like confirmations=3; repeatable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a monitor's statuses, incidents and uptime from the stored results, under another policy if given.

    Exit code: 0 done, 1 refused or not done within two minutes, 2 wrong use, 3 no service.
    Example: pulse replay --monitor api --from 6h --policy confirmations=3 --reason "one failure woke us up"
    """
    body: dict[str, Any] = {"from": _moment("--from", begin), "policy": _policy(policy or []), "reason": reason}
    if end is not None:
        body["to"] = _moment("--to", end)
    _order(monitor, "replays", body, as_json)


def annul_command(
    monitor: MonitorOption,
    begin: FromOption,
    end: Annotated[str, typer.Option("--to", help="Its end, like --from.")],
    reason: ReasonOption,
    region: Annotated[str | None, typer.Option(help="Only the results of this region.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take false results out of the record: the monitor is judged as if they had never been.

    Exit code: 0 done, 1 refused or not done within two minutes, 2 wrong use, 3 no service.
    Example: pulse annul --monitor api --from 2026-11-01T10:00Z --to 2026-11-01T11:00Z --reason "our firewall"
    """
    body = {"from": _moment("--from", begin), "to": _moment("--to", end), "region": region, "reason": reason}
    _order(monitor, "annulments", body, as_json)


def undo_command(
    correction: Annotated[
        str, typer.Argument(help="The correction's id, from `pulse corrections`.", callback=name_in_address)
    ],
    monitor: MonitorOption,
    reason: ReasonOption,
    as_json: JsonOption = False,
) -> None:
    """Take a replay or an annulment back.

    Exit code: 0 done, 1 refused or not done within two minutes, 2 wrong use, 3 no service.
    Example: pulse undo k3j9x0q2m5ab --monitor api --reason "it was right after all"
    """
    _order(monitor, f"corrections/{correction}/undo", {"reason": reason}, as_json)


def corrections_command(monitor: MonitorOption, as_json: JsonOption = False) -> None:
    """Show what was changed of a monitor's record: who, when, why, before and after. Exit code: 0, 3 no service.

    Example: pulse corrections --monitor api
    """
    answer = ask(lambda service: service.get(f"/v1/monitors/{monitor}/corrections"))
    if as_json:
        show.print_json(answer)
    else:
        show.show_corrections(output(), answer["corrections"])


def _order(monitor: str, what: str, body: Mapping[str, Any], as_json: bool) -> None:
    async def run(service: Service) -> dict[str, Any]:
        ordered = await service.send("POST", f"/v1/monitors/{monitor}/{what}", json=body)
        return await _until_done(service, ordered.headers["location"])

    done = ask(run)
    if as_json:
        show.print_json(done)
    else:
        show.show_corrections(output(), [done])


async def _until_done(service: Service, path: str) -> dict[str, Any]:
    """The correction once all of it is written. Raises ServiceError when that takes too long.

    The order stands in the log: a service that is away for a moment must not look like a refusal, to be sent again.
    """
    gives_up_at = time.monotonic() + WAIT_S
    while time.monotonic() < gives_up_at:
        with suppress(ServiceError):
            correction: dict[str, Any] = await service.get(path)
            if correction["done"]:
                return correction
        await asyncio.sleep(POLL_S)
    identity = path.rpartition("/")[2]
    raise ServiceError(
        f"The order {identity} is in the log, but was not seen carried out within {WAIT_S:.0f} s: see `pulse lag`, "
        "and `pulse corrections` later.",
        Exit.NOT_FINE,
    )


def _moment(option: str, text: str) -> str:
    try:
        return iso(time.time_ns() // 1_000_000 - parse_duration_ms(text))
    except ValueError:
        pass
    try:
        return iso(parse_moment(text))
    except ValueError as error:
        fail(f"{option}: {error}, or a time ago like 2h", Exit.USAGE)


def _policy(settings: list[str]) -> dict[str, Any]:
    policy: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            fail(f"--policy: {setting!r} is not a setting like confirmations=3", Exit.USAGE)
        policy[name.strip()] = int(value) if value.strip().isdecimal() else value.strip()
    return policy
