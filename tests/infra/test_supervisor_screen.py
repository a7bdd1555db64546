"""What a person sees of `pulse up`, and that nothing ends because nobody looks any more."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from infra.supervisor.screen import Screen, notes


def test_events_that_nobody_reads_any_more_end_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    lines = [
        "from infra.supervisor.screen import Screen",
        "screen = Screen(True)",
        "screen.say('a')",
        "screen.say('b')",
    ]

    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], stdout=writer, stderr=subprocess.PIPE, check=False)

    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_what_was_said_last_is_shown_whole_on_a_narrow_terminal() -> None:
    output = io.StringIO()
    terminal = Console(file=output, width=80, height=24, force_terminal=True, color_system=None, soft_wrap=True)
    with Screen(headless=False, console=terminal) as screen:
        screen.say(f"stream ended with exit code 71, restarting: {'another log, ' * 5} so run pulse epoch new")
        screen.show([], {}, [])

    assert "so run pulse epoch new" in " ".join(output.getvalue().split())


def test_the_command_to_try_can_be_typed_where_the_environment_is_not_on_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(Path(sys.executable).parents[2])

    (to_try,) = (line for line in notes("http://127.0.0.1:1/docs", False, Path(".pulse"), False) if "try" in line)

    words = to_try.split(",")[0].split()
    assert words[2:] == ["apply", "-f", "pulse.yaml"]
    assert shutil.which(words[1])
