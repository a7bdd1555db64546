"""Subcommands of `pulse` that talk to a service's `/v1`: apply, plan, status, incidents, keys."""

import asyncio
import re
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from infra.cli import Exit, fail, output
from infra.settings import get_settings
from query.management import show
from query.management.apply import Outcome, carry_out, make_plan, refusals
from query.management.client import Service, ServiceError, open_service
from query.management.plan import Plan
from query.times import iso
from schemas.documents import InvalidDocument, PulseDocument, load_document
from schemas.durations import parse_duration_ms
from schemas.monitors import KeyScope

FINE_STATUSES: Final = frozenset({"up", "maintenance", "paused"})

FileOption = Annotated[Path, typer.Option("--file", "-f", help="The document, like pulse.yaml.")]
PruneOption = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Delete what is on the service and not in the file; maintenances to come, if the file has `maintenances`.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

AnswerT = TypeVar("AnswerT")


def name_in_address(text: str) -> str:
    """A slug or an id as it is; the callback of what becomes part of an address. Raises typer.BadParameter."""
    if re.fullmatch(r"[A-Za-z0-9-]+", text) is None:
        raise typer.BadParameter("a slug or an id has letters, digits and hyphens")
    return text


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    app.command("apply")(apply_command)
    app.command("plan")(plan_command)
    app.command("status")(status_command)
    app.command("incidents")(incidents_command)
    keys = typer.Typer(help="Make, list and revoke API keys. Example: pulse keys list", no_args_is_help=True)
    keys.command("create")(create_key_command)
    keys.command("list")(list_keys_command)
    keys.command("revoke")(revoke_key_command)
    app.add_typer(keys, name="keys")


def plan_command(
    file: FileOption = Path("pulse.yaml"), prune: PruneOption = False, as_json: JsonOption = False
) -> None:
    """Show what `pulse apply` would change. Exit code: 0 nothing, 1 something, 2 the file has errors, 3 no service.

    Example: pulse plan -f pulse.yaml
    """
    document = _load(file, prune=prune)
    plan = ask(lambda service: make_plan(service, document, file, prune=prune))
    if as_json:
        show.print_json(show.plan_json(plan))
    else:
        show.show_plan(output(), plan)
    raise typer.Exit(Exit.FINE if plan.is_empty else Exit.NOT_FINE)


def apply_command(
    file: FileOption = Path("pulse.yaml"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    prune: PruneOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the service's monitors, pages and maintenances be as the file says. Asks first, in a terminal.

    Exit code: 0 it is so now, 1 something was refused or not confirmed, 2 the file has errors, 3 no service.
    Example: pulse apply -f pulse.yaml --yes
    """
    document = _load(file, prune=prune)
    # The difference is for people; with --json stdout belongs to the program that reads it.
    console = output(stderr=as_json)

    async def run(service: Service) -> tuple[Plan, Outcome]:
        plan = await make_plan(service, document, file, prune=prune)
        show.show_plan(console, plan)
        if plan.is_empty or yes or not sys.stdin.isatty() or typer.confirm("Apply this?", err=as_json):
            return plan, await carry_out(service, plan)
        return plan, Outcome(made=0, refused=[])

    plan, outcome = ask(run)
    applied = outcome.made == plan.size
    if outcome.refused:
        left = f"{outcome.made} of {plan.size} changes were made; `pulse plan` shows what is left."
        told = "\n".join([*refusals(outcome, file), left])
        output(stderr=True).print(told, style="red", markup=False, soft_wrap=True)
    if as_json:
        show.print_json(show.plan_json(plan) | {"applied": applied, "made": outcome.made})
    elif applied and not plan.is_empty:
        console.print("Applied.", style="green")
    codes = [error.code for _, error in outcome.refused]
    raise typer.Exit(max(codes, default=Exit.FINE if applied else Exit.NOT_FINE))


def status_command(as_json: JsonOption = False) -> None:
    """Show every monitor: its status, since when, its uptime of 24 hours.

    Exit code: 0 all are up (or paused, or in maintenance), 1 something is not, 3 no service.
    Example: pulse status --json
    """
    monitors, system = ask(_status)
    if as_json:
        show.print_json({"monitors": monitors, "system": system})
    else:
        show.show_monitors(output(), monitors)
        show.show_system(output(stderr=True), system)
    fine = all(monitor["status"] in FINE_STATUSES for monitor in monitors)
    raise typer.Exit(Exit.FINE if fine else Exit.NOT_FINE)


def incidents_command(
    monitor: Annotated[str | None, typer.Option(help="Only of this monitor.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="At most so many, the newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show incidents, the newest first. Exit code: 0, 1 no such monitor, 3 no service.

    Example: pulse incidents --open
    """
    parameters: dict[str, str | int] = {"limit": limit}
    if monitor:
        parameters["monitor"] = monitor
    if only_open:
        parameters["state"] = "open"
    answer = ask(lambda service: service.get("/v1/incidents", **parameters))
    if as_json:
        show.print_json(answer)
    else:
        show.show_incidents(output(), answer["incidents"])


def create_key_command(
    scopes: Annotated[list[KeyScope], typer.Option("--scope", help="What it may do; may be given more than once.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    expires: Annotated[str | None, typer.Option(help="How long it is good, like 90d; for ever without.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key and print it: this is the only time that it is shown.

    Example: pulse keys create --name deploys --scope read --scope write --expires 90d
    """
    body: dict[str, Any] = {"name": name, "scopes": scopes, "expires_at": _expiry(expires)}
    made = ask(lambda service: service.send("POST", "/v1/keys", json=body)).json()
    if as_json:
        show.print_json(made)
        return
    typer.echo(made["key"])
    typer.echo("Keep it: it is not shown again.", err=True)


def list_keys_command(as_json: JsonOption = False) -> None:
    """Show the workspace's keys, without their secrets. Example: pulse keys list"""
    answer = ask(lambda service: service.get("/v1/keys"))
    if as_json:
        show.print_json(answer)
    else:
        show.show_keys(output(), answer["keys"])


def revoke_key_command(
    key: Annotated[str, typer.Argument(help="Its id, from `pulse keys list`, or the key itself.")],
) -> None:
    """Revoke a key: it opens nothing any more. Example: pulse keys revoke 6fJq0aBc1xYz"""
    # Who finds a key somewhere has its whole text, not its id.
    key_id = name_in_address(key.removeprefix("pulse_").partition("_")[0])
    ask(lambda service: service.send("DELETE", f"/v1/keys/{key_id}"))
    typer.echo(f"{key_id} is revoked.", err=True)


async def _status(service: Service) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The monitors, and how the installation does."""
    return await service.list("/v1/monitors", "monitors"), await service.get("/v1/system")


def _expiry(expires: str | None) -> str | None:
    if expires is None:
        return None
    try:
        return iso(time.time_ns() // 1_000_000 + parse_duration_ms(expires))
    except ValueError as error:
        fail(f"--expires: {error}", Exit.USAGE)


def _load(file: Path, *, prune: bool) -> PulseDocument:
    try:
        document = load_document(file)
    except InvalidDocument as invalid:
        fail(str(invalid), Exit.USAGE)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}. Name the document with -f.", Exit.USAGE)
    if prune and not document.model_fields_set:  # more likely cut short than meant
        fail(
            f"{file} says nothing, so that --prune deletes everything; if you want that, write `monitors: []`",
            Exit.USAGE,
        )
    return document


def ask(question: Callable[[Service], Awaitable[AnswerT]]) -> AnswerT:
    """Ask the service of the settings; ends the command with words and a code when it has no good answer."""

    async def run() -> AnswerT:
        async with open_service(get_settings()) as service:
            return await question(service)

    try:
        return asyncio.run(run())
    except ServiceError as error:
        fail(str(error), error.code)
    except InvalidDocument as invalid:
        fail(str(invalid), Exit.USAGE)
