"""What `pulse up` refuses before it starts anything, and what it hands to its services."""

import asyncio
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from infra.running import DataLock
from infra.settings import Settings
from infra.supervisor.admin_key import admin_key
from infra.supervisor.leash import Leash
from infra.supervisor.screen import Screen
from infra.supervisor.topology import OWN_NETWORKS, Topology
from infra.supervisor.up import Supervisor

pytestmark = pytest.mark.engines


def pulse_up(data: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`pulse up`, which is to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", "up", "--headless"],
        env=dict(os.environ) | {"PULSE_DATA": str(data)} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("setting", ["PULSE_HTTP", "PULSE_EMBEDDED_KAFKA_PORT", "PULSE_EMBEDDED_CLICKHOUSE_PORT"])
def test_a_taken_port_is_told_with_its_setting(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        value = f"127.0.0.1:{port}" if setting == "PULSE_HTTP" else str(port)
        ports = {"PULSE_HTTP": "127.0.0.1:0", "PULSE_EMBEDDED_KAFKA_PORT": "0", "PULSE_EMBEDDED_CLICKHOUSE_PORT": "0"}

        ended = pulse_up(tmp_path, **ports | {setting: value})

    assert ended.returncode == 1
    assert f"127.0.0.1:{port} is taken by another program" in ended.stderr
    assert f"set {setting} to a free port" in ended.stderr


@dataclass(slots=True)
class StartsNothing(Supervisor):
    """Waits, as one does that runs."""

    async def _start(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(("before", "stops"), [(signal.SIG_IGN, False), (signal.SIG_DFL, True)])
def test_a_terminal_that_closes_stops_everything_unless_nohup_was_asked_for(
    tmp_path: Path, before: signal.Handlers, stops: bool
) -> None:
    async def scenario() -> None:
        running = asyncio.create_task(supervisor.run())
        while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            await asyncio.sleep(0)
        assert (signal.getsignal(signal.SIGHUP) is not before) is stops
        os.kill(os.getpid(), signal.SIGTERM)
        await running

    was = signal.signal(signal.SIGHUP, before)
    try:
        with DataLock(tmp_path) as lock, Leash() as leash, Screen(headless=True) as screen:
            supervisor = StartsNothing(Settings(), False, screen, lock, leash)
            asyncio.run(scenario())
    finally:
        signal.signal(signal.SIGHUP, was)


def test_a_data_folder_in_use_is_refused(tmp_path: Path) -> None:
    with DataLock(tmp_path):
        ended = pulse_up(tmp_path)

    assert ended.returncode == 1
    assert f"in use by process {os.getpid()}" in ended.stderr


def test_the_admin_key_is_made_once_for_this_user_only(tmp_path: Path) -> None:
    key = admin_key(tmp_path)

    assert re.fullmatch(r"pulse_[a-z0-9]{8,32}_[A-Za-z0-9_-]{43}", key)
    assert admin_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "admin-key").stat().st_mode) == 0o600


def topology(tmp_path: Path) -> Topology:
    settings = Settings(kafka="127.0.0.1:1", clickhouse=SecretStr("http://u:p@127.0.0.1:2/pulse"), demo_port=4321)
    return Topology(settings, tmp_path, "pulse_key")


def test_the_probe_may_check_this_machine_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert topology(tmp_path).probe().environment["PULSE_PROBE_ALLOW"] == OWN_NETWORKS

    monkeypatch.setenv("PULSE_PROBE_ALLOW", "10.1.0.0/16")

    assert topology(tmp_path).probe().environment["PULSE_PROBE_ALLOW"] == "10.1.0.0/16"


def test_own_networks_hold_no_metadata_address(tmp_path: Path) -> None:
    allowed = Settings(probe_allow=OWN_NETWORKS).probe_allow  # type: ignore[arg-type]

    assert not [network for network in allowed if "169.254.169.254" in str(network)]
    assert len(allowed) == 6


def test_services_are_told_the_engines_and_the_key(tmp_path: Path) -> None:
    environment = topology(tmp_path).query().environment

    assert environment["PULSE_KAFKA"] == "127.0.0.1:1"
    assert environment["PULSE_CLICKHOUSE"] == "http://u:p@127.0.0.1:2/pulse"
    assert environment["PULSE_ADMIN_KEY"] == environment["PULSE_API_KEY"] == "pulse_key"


@pytest.mark.parametrize("service", ["clickhouse", "probe", "stream", "query"])
def test_services_start_in_a_folder_that_has_modules_named_as_ours(tmp_path: Path, service: str) -> None:
    for name in ("infra", "probes", "query", "schemas", "stream"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('this is the user's')")
    command = getattr(topology(tmp_path), service)().command

    ended = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr


def test_the_demo_is_watched_at_its_port(tmp_path: Path) -> None:
    *_, path, _yes = topology(tmp_path).apply_demo()

    text = Path(path).read_text()
    assert "http://127.0.0.1:4321/health" in text
    assert "18000" not in text
