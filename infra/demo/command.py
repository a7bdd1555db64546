"""`pulse demo`: break the sample app in one of six ways, and mend it again."""

import httpx
import typer

from infra.cli import Exit, fail, output
from infra.demo.switch import WHAT_HAPPENS, Switch
from infra.settings import get_settings


def register(app: typer.Typer) -> None:
    """Add `pulse demo`."""
    demo = typer.Typer(
        no_args_is_help=True,
        help="Break the sample app of `pulse up --demo`, and mend it. Example: pulse demo break cache",
    )
    demo.command("break")(break_command)
    demo.command("mend")(mend_command)
    app.add_typer(demo, name="demo")


def break_command(what: Switch) -> None:
    """Break one thing, for real. Example: pulse demo break cache"""
    _post(f"/_demo/break/{what}")
    output().print(f"broken: {what} ({WHAT_HAPPENS[what]}).\nMend it with: pulse demo mend")


def mend_command() -> None:
    """Mend everything that was broken. Example: pulse demo mend"""
    _post("/_demo/mend")
    output().print("mended")


def _post(path: str) -> None:
    url = f"http://127.0.0.1:{get_settings().demo_port}{path}"
    try:
        httpx.post(url, timeout=15, trust_env=False).raise_for_status()
    except httpx.HTTPError:
        fail(f"The sample app does not answer at {url}: start it with `pulse up --demo`.", Exit.UNREACHABLE)
