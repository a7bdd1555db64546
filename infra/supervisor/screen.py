"""What a person sees of `pulse up`: one live screen on a terminal, a line an event elsewhere."""

import os
import shutil
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infra.supervisor.child import Child, State
from infra.supervisor.gauges import memory_bytes

RECENT_LINES: Final = 6
_STYLES: Final = {
    State.WAITING: "dim",
    State.STARTING: "yellow",
    State.RUNNING: "green",
    State.RESTARTING: "red",
    State.STOPPING: "yellow",
    State.STOPPED: "dim",
}


@dataclass(slots=True)
class Screen:
    """A context manager; `say` is for events, `show` for the state of everything."""

    headless: bool
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=RECENT_LINES))
    _live: Live | None = None

    def __enter__(self) -> "Screen":
        if self.console.is_terminal and not self.headless:
            self._live = Live(console=self.console, auto_refresh=False, screen=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def is_shown(self) -> bool:
        """Whether there is a screen to keep up to date."""
        return self._live is not None

    def say(self, line: str) -> None:
        """An event."""
        if self._live is None:
            with suppress(OSError, SystemExit):  # rich leaves where nobody reads; what runs does not end for that
                self.console.print(line, markup=False)
        else:
            self._recent.append(line)

    def say_unless_shown(self, lines: Sequence[str]) -> None:
        """What a screen shows all the time anyway."""
        if self._live is None:
            for line in lines:
                self.say(line)

    def show(self, children: Sequence[Child], doing: dict[str, str], notes: Sequence[str]) -> None:
        """The state of everything; nothing where there is no screen."""
        if self._live is not None:
            *older, newest = self._recent or [""]
            said = [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in older]
            whole = Text(newest, style="dim", overflow="fold", no_wrap=False)  # it may say what to do
            self._live.update(Group(_table(children, doing), *map(Text, notes), Text(), *said, whole), refresh=True)


def _table(children: Sequence[Child], doing: dict[str, str]) -> RenderableType:
    table = Table("service", "state", "pid", "memory", "restarts", "doing", "where", box=None, pad_edge=False)
    total = 0
    for child in children:
        memory = memory_bytes(child.pid)
        total += memory
        name = child.service.name
        table.add_row(
            name,
            Text(child.state, style=_STYLES[child.state]),
            str(child.pid or ""),
            _mebibytes(memory),
            str(child.restarts or ""),
            doing.get(name, ""),
            child.service.where,
        )
    table.add_row("", "", "", _mebibytes(total), "", "", "", style="bold")
    return table


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MB" if count else ""


def notes(page: str, demo: bool, folder: Path, own_networks: bool) -> list[str]:
    """The lines below the table: where to look, what is allowed, how to stop."""
    first_step = "demo break cache" if demo else "apply -f pulse.yaml"
    lines = ["", f"open       {page}", f"try        {_pulse()} {first_step}, in another terminal"]
    if own_networks:
        lines.append("checks     may reach private networks (PULSE_PROBE_ALLOW); cloud metadata never")
    lines.append(f"data       {folder}, logs in {folder / 'logs'}, the admin key in {folder / 'admin-key'}")
    lines.append("stop       Ctrl-C")
    return lines


def _pulse() -> str:
    """The command as a terminal beside this one takes it."""
    return "pulse" if shutil.which("pulse") else os.path.relpath(Path(sys.executable).with_name("pulse"))
