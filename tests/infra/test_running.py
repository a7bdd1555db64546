"""What `pulse up` tells other terminals."""

import os
import stat
from pathlib import Path

import pytest

from infra.locks import FolderInUse
from infra.running import DataLock, Running, read_running
from infra.settings import Settings

RUNNING = Running(
    kafka="127.0.0.1:1",
    clickhouse="http://default:hush@127.0.0.1:2/pulse",
    http="127.0.0.1:3",
    api_key="pulse_abcdefgh_secret",
    demo_port=4,
    pids={"kafka": 5},
    started_at=6,
)


def test_settings_come_from_what_runs_on_the_folder(tmp_path: Path) -> None:
    with DataLock(tmp_path) as lock:
        lock.publish(RUNNING)

        settings = Settings(data=tmp_path)

    assert settings.kafka == "127.0.0.1:1"
    assert settings.clickhouse is not None
    assert settings.clickhouse.get_secret_value() == RUNNING.clickhouse
    assert settings.api_key is not None
    assert (settings.http, settings.demo_port) == ("127.0.0.1:3", 4)


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULSE_DATA", str(tmp_path))
    monkeypatch.setenv("PULSE_KAFKA", "kafka:9092")
    with DataLock(tmp_path) as lock:
        lock.publish(RUNNING)

        assert Settings().kafka == "kafka:9092"
        assert Settings().http == RUNNING.http


def test_what_a_crash_has_left_does_not_count(tmp_path: Path) -> None:
    with DataLock(tmp_path) as lock:
        lock.publish(RUNNING)
        left = (tmp_path / "run.json").read_bytes()
    (tmp_path / "run.json").write_bytes(left)

    assert read_running(tmp_path) is None
    assert Settings(data=tmp_path).kafka is None


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    with DataLock(tmp_path / "data") as lock:
        lock.publish(RUNNING)
        lock.publish(RUNNING)

        assert stat.S_IMODE((tmp_path / "data" / "run.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_an_orderly_end_removes_it(tmp_path: Path) -> None:
    with DataLock(tmp_path) as lock:
        lock.publish(RUNNING)

    assert not (tmp_path / "run.json").exists()


def test_a_folder_in_use_names_the_process(tmp_path: Path) -> None:
    with DataLock(tmp_path), pytest.raises(FolderInUse, match=rf"process {os.getpid()}.*PULSE_DATA"):
        DataLock(tmp_path)


def test_nothing_runs_where_there_is_no_folder(tmp_path: Path) -> None:
    assert read_running(tmp_path / "nowhere") is None
