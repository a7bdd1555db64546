"""`pulse query` as a process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from pydantic import SecretStr

from infra.settings import Settings

START_LIMIT_S = 60


def wait_until(condition: Callable[[], bool], what: str, within_s: float = 30) -> None:
    """Look again and again until `condition` holds; fail with `what` was awaited."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"after {within_s} s still not: {what}"
        time.sleep(0.05)


def is_ready(client: httpx.Client) -> bool:
    """Whether it answers, and misses nothing."""
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running_query(settings: Settings, until: Callable[[httpx.Client], bool] = is_ready) -> Iterator[httpx.Client]:
    """A client of the running service, once it is ready (or what `until` says); SIGTERM must end it well."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    environment = {
        f"PULSE_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in given.items()
    }
    process = subprocess.Popen([sys.executable, "-m", "infra.cli", "query"], env=os.environ | environment)
    try:
        with httpx.Client(base_url=f"http://{settings.http}", timeout=20, trust_env=False) as client:

            def ready() -> bool:
                assert process.poll() is None, "the query service ended"
                return until(client)

            wait_until(ready, "the query service is ready", START_LIMIT_S)
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM), "SIGTERM did not end it well"
    finally:
        process.kill()
        process.wait()
