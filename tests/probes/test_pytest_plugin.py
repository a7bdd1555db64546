"""`pytest --pulse` in a project with a FastAPI application."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.engines import free_ports

pytestmark = pytest.mark.engines

APP = """
from contextlib import asynccontextmanager
from fastapi import FastAPI, Response

@asynccontextmanager
async def lifespan(app):
    app.state.ready = True
    yield

app = FastAPI(lifespan=lifespan)

@app.get("/health")
def health():
    return {"status": "healthy" if app.state.ready else "fail", "database": "ok"}

@app.get("/orders")
def orders():
    return [{"id": 1, CURRENCY: "EUR"}]

@app.get("/broken")
def broken():
    raise RuntimeError("boom")
"""
MONITORS = """
monitors:
  - slug: api
    url: https://api.example.com/health
    latency_threshold: 1ms
    assertions:
      - {jsonpath: $.database, equals: ok}
      - {certificate_days: 14}
  - slug: orders
    url: https://api.example.com/orders
    assertions:
      - {jsonpath: "$[*].currency", matches: "^[A-Z]{3}$"}
  - slug: resting
    url: https://api.example.com/broken
    paused: true
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP.replace("CURRENCY", '"currency"'))
    (tmp_path / "pulse.yaml").write_text(MONITORS)
    (tmp_path / "test_own.py").write_text("def test_own():\n    assert True\n")
    return tmp_path


def run_pytest(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "probes.pytest_plugin", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(root), "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_monitor_is_a_test_of_the_application_and_warns_of_nothing(project: Path) -> None:
    done = run_pytest(project, "-v", "-W", "error", "--pulse", "--pulse-app", "main:app")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    assert "pulse.yaml::api PASSED" in done.stdout
    assert "resting" not in done.stdout


def test_a_schema_that_lost_a_field_fails_and_says_which(project: Path) -> None:
    (project / "main.py").write_text(APP.replace("CURRENCY", '"money"'))

    done = run_pytest(project, "--pulse", "--pulse-app", "main:app")

    assert done.returncode == 1
    assert "2 passed" in done.stdout
    assert "nothing matches $[*].currency" in done.stdout
    assert '[{"id":1,"money":"EUR"}]' in done.stdout


def test_a_project_with_a_module_named_as_ours_is_told_what_to_do(project: Path) -> None:
    (project / "schemas.py").write_text("class Order: ...\n")

    done = run_pytest(project, "--pulse", "--pulse-app", "main:app")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "a top-level module named schemas, infra or probes: move yours into a package" in done.stderr


def test_an_application_that_raises_is_down(project: Path) -> None:
    (project / "pulse.yaml").write_text(MONITORS.replace("paused: true", "paused: false"))

    done = run_pytest(project, "--pulse", "--pulse-app", "main:app", "-k", "resting")

    assert done.returncode == 1
    assert "the answer is 500" in done.stdout


def test_a_server_is_checked_at_its_url(project: Path) -> None:
    (port,) = free_ports(1)
    (project / "pulse.yaml").write_text("monitors:\n  - {slug: api, url: 'https://api.example.com/main.py'}\n")
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            done = run_pytest(project, "--pulse", "--pulse-url", f"http://127.0.0.1:{port}", "-k", "api")
        finally:
            server.terminate()

    assert done.returncode == 0, done.stdout


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.05)
        else:
            return


def test_without_the_option_nothing_changes(project: Path) -> None:
    assert "1 passed" in run_pytest(project).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pulse",), "--pulse needs one of"),
        (("--pulse", "--pulse-app", "a:b", "--pulse-url", "http://x"), "--pulse needs one of"),
        (("--pulse", "--pulse-app", "main:gone"), "main has no gone"),
        (("--pulse", "--pulse-app", "gone:app"), "cannot import gone"),
        (("--pulse", "--pulse-url", "ftp://x"), "--pulse-url"),
        (("--pulse", "--pulse-app", "main:app", "--pulse-file", "gone.yaml"), "gone.yaml"),
    ],
)
def test_wrong_use_is_told(project: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run_pytest(project, *arguments)

    assert done.returncode != 0
    assert message in done.stdout + done.stderr
