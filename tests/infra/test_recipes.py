"""The worker recipes tell a living worker from a dead one, with the real Arq, Celery and Dramatiq over a real Redis."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.engines import free_ports

pytestmark = pytest.mark.engines

WORKERS = {
    "arq": ["arq", "infra.demo.recipes.worker_arq.WorkerSettings"],
    "celery": ["celery", "-A", "infra.demo.recipes.worker_celery:celery", "worker", "--pool=solo", "--loglevel=error"],
    "dramatiq": ["dramatiq", "infra.demo.recipes.worker_dramatiq", "--processes=1", "--threads=1"],
}
ALIVE = (200, {"status": "healthy", "worker": "ok"})
DEAD = (503, {"status": "unhealthy", "worker": "fail"})


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process and the children of its own session: dramatiq's workers are such."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = shutil.which("redis-server")
    if server is None:
        message = "no redis-server: install it, for example with apt-get install redis-server"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    (port,) = free_ports(1)
    folder: Path = tmp_path_factory.mktemp("redis")
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _running([*command, "--loglevel", "warning"], dict(os.environ)):
        yield f"redis://127.0.0.1:{port}"


def _answer(url: str) -> tuple[int, object] | None:
    try:
        answer = httpx.get(url, timeout=10, trust_env=False, verify=False)
    except httpx.TransportError:
        return None
    return answer.status_code, answer.json()


def _wait_for(url: str, expected: tuple[int, object]) -> None:
    deadline = time.monotonic() + 60
    while (answer := _answer(url)) != expected:
        assert time.monotonic() < deadline, f"the last answer was {answer}"
        time.sleep(0.1)


@pytest.mark.parametrize("name", WORKERS)
def test_the_endpoint_answers_200_while_the_worker_lives_and_503_once_it_is_killed(name: str, redis_url: str) -> None:
    environment = dict(os.environ) | {"REDIS_URL": f"{redis_url}/{list(WORKERS).index(name)}"}
    (port,) = free_ports(1)
    server = [sys.executable, "-m", "uvicorn", f"infra.demo.recipes.worker_{name}:app", "--port", str(port)]
    url = f"http://127.0.0.1:{port}/health/worker"

    with _running([*server, "--log-level", "warning"], environment):
        with _running([sys.executable, "-m", *WORKERS[name]], environment):
            _wait_for(url, ALIVE)
        _wait_for(url, DEAD)
