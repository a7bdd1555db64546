"""The leash: no child outlives us, however we end."""

import os
import signal
import subprocess
import sys

import psutil

from infra.supervisor.leash import Leash
from tests.end_to_end.product import wait_until

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
DEAF_SLEEPER = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)",
]
HOLDS_A_SLEEPER = f"""
import subprocess, time
from infra.supervisor.leash import Leash
leash = Leash(grace_s=0.5)
child = subprocess.Popen({SLEEPER!r}, start_new_session=True)
leash.hold(child.pid)
print(child.pid, leash._holder.pid, flush=True)
time.sleep(600)
"""


def test_what_is_held_is_stopped_at_the_end() -> None:
    with Leash(grace_s=0.5) as leash:
        child = subprocess.Popen(SLEEPER, start_new_session=True)
        leash.hold(child.pid)
        assert child.poll() is None

    assert child.wait() == -signal.SIGTERM


def test_what_was_released_is_left_alone() -> None:
    with Leash(grace_s=0.5) as leash:
        child = subprocess.Popen(SLEEPER, start_new_session=True)
        leash.hold(child.pid)
        leash.release(child.pid)

    assert child.poll() is None
    child.kill()
    child.wait()


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    with subprocess.Popen(DEAF_SLEEPER, stdout=subprocess.PIPE, start_new_session=True) as child:
        assert child.stdout is not None
        child.stdout.readline()  # from here on it is deaf
        with Leash(grace_s=0.5) as leash:
            leash.hold(child.pid)

        assert child.wait(10) == -signal.SIGKILL


def test_kill_9_leaves_no_orphan() -> None:
    parent = subprocess.Popen([sys.executable, "-c", HOLDS_A_SLEEPER], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert all(map(_runs, pids))

    parent.kill()
    parent.wait()

    wait_until(lambda: not any(map(_runs, pids)), "child and holder are gone", 20)
    parent.stdout.close()


def test_a_killed_holder_is_replaced_and_knows_all_pids() -> None:
    with Leash(grace_s=0.5) as leash:
        children = [subprocess.Popen(SLEEPER, start_new_session=True) for _ in range(2)]
        leash.hold(children[0].pid)
        os.kill(leash._holder.pid, signal.SIGKILL)
        leash._holder.wait()
        leash.hold(children[1].pid)

    assert [child.wait(10) for child in children] == [-signal.SIGTERM, -signal.SIGTERM]


def _runs(pid: int) -> bool:
    """There is such a process, and it is not one that only waits to be reaped."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
