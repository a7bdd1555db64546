"""The process behind `Leash`: reads `+pid` and `-pid` lines; at end of file stops the pids that it holds."""

import contextlib
import os
import signal
import sys
import time


def main() -> None:
    """Hold until the other side is gone, then SIGTERM, and SIGKILL for what does not heed it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    grace_s = float(sys.argv[1])
    held: set[int] = set()
    for line in sys.stdin:
        pid = int(line[1:])
        if line[0] == "+":
            held.add(pid)
        else:
            held.discard(pid)
    deadline = time.monotonic() + grace_s
    held = {pid for pid in held if signalled(pid, signal.SIGTERM)}
    while held and time.monotonic() < deadline:
        time.sleep(0.05)
        held = {pid for pid in held if signalled(pid, 0)}
    for pid in held:
        signalled(pid, signal.SIGKILL)


def signalled(pid: int, number: int) -> bool:
    """Send a signal (0: only look); False where there is no such process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


if __name__ == "__main__":
    main()
