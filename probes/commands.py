"""Subcommands of `pulse` that check: `check`, `probe`."""

import typer

from probes.check_command import check_command


def register(app: typer.Typer) -> None:
    """Add this module's subcommands."""
    app.command("check")(check_command)
