"""The `pulse` command. Its subcommands come from the entry points `pulse.commands`, so that it imports no service."""

from enum import IntEnum
from importlib.metadata import entry_points
from typing import NoReturn

import typer
from rich.console import Console


class Exit(IntEnum):
    """Exit codes of every subcommand."""

    FINE = 0
    NOT_FINE = 1
    USAGE = 2
    UNREACHABLE = 3


def fail(message: str, code: Exit = Exit.NOT_FINE) -> NoReturn:
    """Say on stderr what is wrong and what to do, and leave."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(message, style="red", markup=False)
    raise typer.Exit(code)


def build() -> typer.Typer:
    """The command with all its subcommands: each entry point is a `register(app)`."""
    app = typer.Typer(
        name="pulse",
        help="Watch HTTP services, and tell their users honestly how they are.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    for entry in sorted(entry_points(group="pulse.commands"), key=lambda entry: entry.name):
        entry.load()(app)
    return app


def main() -> None:
    """The console script."""
    build()(prog_name="pulse")


if __name__ == "__main__":
    main()
