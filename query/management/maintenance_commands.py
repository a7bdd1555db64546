"""`pulse maintenance`: start one now, plan one, end one, list them."""

import re
import time
from typing import Annotated, Any, Final

import typer

from infra.cli import Exit, fail, output
from query.maintenances import MaintenanceState
from query.management import show
from query.management.client import Service, ServiceError
from query.management.commands import JsonOption, ask, name_in_address
from schemas.durations import parse_duration_ms
from schemas.moments import format_moment, parse_moment

MAX_TITLE_IN_SLUG: Final = 40

MonitorsOption = Annotated[list[str], typer.Option("--monitor", help="Of which monitor; may be given more than once.")]
ForOption = Annotated[str, typer.Option("--for", help="How long it lasts, like 30m.")]
TitleOption = Annotated[str, typer.Option("--title", help="What the pages say.")]
DescriptionOption = Annotated[str, typer.Option(help="More about it, for the pages too.")]
SlugOption = Annotated[str, typer.Option(help="Its name in addresses; made of title and start without.")]


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    maintenance = typer.Typer(
        help="Start, plan, end and list maintenances. Example: pulse maintenance list", no_args_is_help=True
    )
    maintenance.command("start")(start_command)
    maintenance.command("plan")(plan_command)
    maintenance.command("end")(end_command)
    maintenance.command("list")(list_command)
    app.add_typer(maintenance, name="maintenance")


def start_command(
    monitors: MonitorsOption,
    lasts: ForOption,
    title: TitleOption,
    description: DescriptionOption = "",
    slug: SlugOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start a maintenance now. Exit code: 0 it runs, 1 it was refused, 2 wrong use, 3 no service.

    Example: pulse maintenance start --monitor api --for 30m --title "Database upgrade"
    """
    _announce(_now(), monitors, lasts, title, description, slug, as_json)


def plan_command(
    monitors: MonitorsOption,
    starts: Annotated[str, typer.Option("--at", help="When it starts, like 2026-12-01T02:00:00Z.")],
    lasts: ForOption,
    title: TitleOption,
    description: DescriptionOption = "",
    slug: SlugOption = "",
    as_json: JsonOption = False,
) -> None:
    """Plan a maintenance. Exit code: 0 it is announced, 1 it was refused, 2 wrong use, 3 no service.

    Example: pulse maintenance plan --monitor api --at 2026-12-01T02:00:00Z --for 2h --title "Database upgrade"
    """
    try:
        starts_at = parse_moment(starts)
    except ValueError as error:
        fail(f"--at: {error}", Exit.USAGE)
    _announce(starts_at, monitors, lasts, title, description, slug, as_json)


def end_command(
    slug: Annotated[str, typer.Argument(help="Which one, from `pulse maintenance list`.", callback=name_in_address)],
) -> None:
    """End a maintenance that runs, or cancel one that was planned. Exit code: 0, 1 it was over, 3 no service.

    Example: pulse maintenance end database-upgrade-20261201-0200
    """
    typer.echo(ask(lambda service: _end(service, slug)), err=True)


def list_command(
    state: Annotated[MaintenanceState | None, typer.Option(help="Only those that are this now.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many, the last to start first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show maintenances, the last to start first. Exit code: 0, 3 no service.

    Example: pulse maintenance list --state upcoming
    """
    parameters: dict[str, str | int] = {"limit": limit} | ({"state": state.value} if state else {})
    answer = ask(lambda service: service.get("/v1/maintenances", **parameters))
    if as_json:
        show.print_json(answer)
    else:
        show.show_maintenances(output(), answer["maintenances"])


def _announce(
    starts_at: int, monitors: list[str], lasts: str, title: str, description: str, slug: str, as_json: bool
) -> None:
    try:
        ends_at = starts_at + parse_duration_ms(lasts)
    except ValueError as error:
        fail(f"--for: {error}", Exit.USAGE)
    body: dict[str, Any] = {
        "slug": slug or _slug_of(title, starts_at),
        "title": title,
        "description": description,
        "monitors": monitors,
        "starts_at": format_moment(starts_at),
        "ends_at": format_moment(ends_at),
    }
    made = ask(lambda service: service.send("POST", "/v1/maintenances", json=body)).json()
    if as_json:
        show.print_json(made)
    else:
        typer.echo(made["slug"])
        typer.echo(f"End it with `pulse maintenance end {made['slug']}`.", err=True)


async def _end(service: Service, slug: str) -> str:
    """End or cancel the version that was read; returns what was done."""
    present = await service.get(f"/v1/maintenances/{slug}")
    change: dict[str, Any]
    match MaintenanceState(present["state"]):
        case MaintenanceState.UPCOMING:
            change, done = {"cancelled": True}, f"{slug} is cancelled."
        case MaintenanceState.ACTIVE:
            change, done = {"ends_at": format_moment(_now())}, f"{slug} has ended."
        case state:
            raise ServiceError(f"{slug} is {state}: there is nothing to end", Exit.NOT_FINE)
    headers = {"If-Match": f'"{present["version"]}"'}
    await service.send("PUT", f"/v1/maintenances/{slug}", json=present["maintenance"] | change, headers=headers)
    return done


def _slug_of(title: str, starts_at: int) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", title.lower())[:MAX_TITLE_IN_SLUG].strip("-") or "maintenance"
    minute = format_moment(starts_at)[:16].replace("-", "").replace(":", "").replace("T", "-")
    return f"{words}-{minute}"


def _now() -> int:
    return time.time_ns() // 1_000_000
