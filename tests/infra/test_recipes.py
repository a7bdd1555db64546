"""The worker recipes tell a living worker from a dead one, with the real Arq, Celery and Dramatiq over a real Redis."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """The address of a Redis that ends with the context."""
    server = shutil.which("redis-server")
    if server is None:
        message = "no redis-server: install it, for example with apt-get install redis-server"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    (port,) = free_ports(1)
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with _running([*command, "--loglevel", "warning"], dict(os.environ)):
        yield f"redis://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextmanager
def _app(name: str, redis_url: str) -> Iterator[str]:
    """The address of a recipe's endpoint."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "uvicorn", f"infra.demo.recipes.worker_{name}:app", "--port", str(port)]
    with _running([*command, "--log-level", "warning"], dict(os.environ) | {"REDIS_URL": redis_url}):
        yield f"http://127.0.0.1:{port}/health/worker"


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
    own_url = f"{redis_url}/{list(WORKERS).index(name)}"

    with _app(name, own_url) as url:
        with _running([sys.executable, "-m", *WORKERS[name]], dict(os.environ) | {"REDIS_URL": own_url}):
            _wait_for(url, ALIVE)
        _wait_for(url, DEAD)


@pytest.mark.parametrize("name", WORKERS)
def test_the_endpoint_answers_503_in_time_when_the_queue_itself_is_gone(name: str, tmp_path: Path) -> None:
    with ExitStack() as redis, _app(name, redis.enter_context(_redis(tmp_path))) as url:
        _wait_for(url, DEAD)
        redis.close()

        assert _answer(url) == DEAD


@pytest.mark.parametrize("name", ["celery", "dramatiq"])
def test_the_endpoint_of_an_app_that_never_saw_its_queue_answers_503_in_time(name: str) -> None:
    (port,) = free_ports(1)

    with _app(name, f"redis://127.0.0.1:{port}") as url:
        _wait_for(url, DEAD)
