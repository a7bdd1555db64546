"""The `pulse` command. Its subcommands come from the entry points `pulse.commands`, so that it imports no service.

The name of an entry point is its subcommand's: a process imports what its own subcommand needs.
"""

import sys
from enum import IntEnum
from importlib.metadata import entry_points, version
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from infra.settings import InvalidSettings

WIDE: Final = 1_000
"""Columns."""


class Exit(IntEnum):
    """Exit codes of every subcommand."""

    FINE = 0
    NOT_FINE = 1
    USAGE = 2
    UNREACHABLE = 3


def fail(message: str, code: Exit = Exit.NOT_FINE) -> NoReturn:
    """Say on stderr what is wrong and what to do, and leave."""
    _say(message)
    raise typer.Exit(code)


def _say(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, style="red", markup=False)


def output(*, stderr: bool = False) -> Console:
    """Where people read: as wide as their terminal, or as the text needs where there is none."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def build(command: str | None = None) -> typer.Typer:
    """The command with the module that registers `command`, or with all of them: each is a `register(app)`."""
    app = typer.Typer(
        name="pulse",
        help="Watch HTTP services, and tell their users honestly how they are.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_root)  # keeps `pulse NAME` where a module registers one subcommand alone
    entries = entry_points(group="pulse.commands")
    wanted = {entry.value: entry for entry in entries if entry.name == command} or {e.value: e for e in entries}
    for _, entry in sorted(wanted.items()):
        entry.load()(app)
    return app


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pulse {version('pulseapi')}")
        raise typer.Exit


def _root(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """What belongs to no subcommand."""


def main() -> None:
    """The console script."""
    try:
        build(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="pulse")
    except InvalidSettings as error:
        _say(str(error))
        sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
