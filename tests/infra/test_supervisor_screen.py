"""What a person sees of `pulse up`, and that nothing ends because nobody looks any more."""

import os
import subprocess
import sys


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
