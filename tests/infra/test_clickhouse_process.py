"""The gateway as a process: one a folder, clear refusals, a patient end, and nothing acknowledged is ever lost."""

import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.embedded.clickhouse.data_folder import MEMORY_BYTES
from tests.engines import free_ports
from tests.infra.gateway import Gateway, start

pytestmark = pytest.mark.engines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def gateway(folder: Path) -> Iterator[Gateway]:
    gateway = start(folder)
    yield gateway
    gateway.kill()


def _run(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infra.embedded.clickhouse", "--data", str(folder), "--port", str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_passwords_are_for_their_owner_only(gateway: Gateway) -> None:
    for name in ("password", "reader-password"):
        file = gateway.folder / name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(file.read_text()) >= 32
    assert gateway.password != gateway.reader_password
    assert stat.S_IMODE(gateway.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["R&D", "why?", "a < b", "Jörg 李"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    gateway = start(tmp_path / name / "data")

    sql = "SELECT value FROM system.server_settings WHERE name = 'max_server_memory_usage'"
    assert gateway.rows(sql) == [[str(MEMORY_BYTES)]]
    gateway.kill()
    assert (tmp_path / name / "data" / "store").is_dir()
    assert [folder.name for folder in tmp_path.iterdir()] == [name]


def test_a_second_process_on_the_folder_is_refused(gateway: Gateway) -> None:
    refused = _run(gateway.folder, free_ports(1)[0])

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"in use by process {gateway.process.pid}" in refused.stderr


def test_a_taken_port_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    refused = _run(tmp_path / "other", gateway.port)

    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "Address already in use" in refused.stderr


def test_a_folder_that_the_engine_cannot_open_is_an_error(folder: Path) -> None:
    folder.mkdir()
    (folder / "store").write_text("not a folder")

    failed = _run(folder, free_ports(1)[0])

    assert failed.returncode == 3
    assert str(folder / "store") in failed.stderr


def test_sigterm_lets_a_query_end_and_data_and_passwords_stay(gateway: Gateway, folder: Path) -> None:
    gateway.post("CREATE TABLE kept (a UInt8) ORDER BY a")
    password = gateway.password
    answers: list[str] = []
    sql = "INSERT INTO kept SELECT 7 + sleepEachRow(1) FROM numbers(2)"
    writer = threading.Thread(target=lambda: answers.append(str(gateway.post(sql).status_code)))
    writer.start()
    while gateway.rows("SELECT count() FROM system.processes WHERE query LIKE 'INSERT INTO kept%'") == [["0"]]:
        time.sleep(0.02)

    assert gateway.stop() == 0

    writer.join()
    assert answers == ["200"]
    again = start(folder)
    assert again.password == password
    assert again.rows("SELECT a FROM kept") == [["7"], ["7"]]
    assert again.stop() == 0


def test_sigterm_kills_what_does_not_end(gateway: Gateway) -> None:
    sql = "SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(sipHash64(number))"
    answers: list[httpx.Response] = []
    reader = threading.Thread(target=lambda: answers.append(gateway.post(sql)))
    reader.start()
    while gateway.rows("SELECT count() FROM system.processes WHERE query LIKE '%sipHash64(number))%'") == [["0"]]:
        time.sleep(0.02)

    assert gateway.stop() == 0

    reader.join()
    assert answers[0].headers["x-clickhouse-exception-code"] == "394"


ROWS_A_BATCH = 200


def _write_until_killed(gateway: Gateway, writer: int, acknowledged: set[tuple[int, int]]) -> None:
    batch = 0
    while True:
        rows = "".join(f"{writer}\t{batch}\t{row}\n" for row in range(ROWS_A_BATCH))
        try:
            response = gateway.post("INSERT INTO log FORMAT TSV\n" + rows)
        except httpx.TransportError:
            return
        assert response.status_code == 200, response.text
        acknowledged.add((writer, batch))
        batch += 1


def test_kill_9_loses_no_acknowledged_row(folder: Path) -> None:
    acknowledged: set[tuple[int, int]] = set()
    for life in range(4):
        gateway = start(folder)
        gateway.post(
            "CREATE TABLE IF NOT EXISTS log (writer UInt32, batch UInt32, row UInt32) ORDER BY (writer, batch)"
        )
        writers = [
            threading.Thread(target=_write_until_killed, args=(gateway, life * 10 + number, acknowledged))
            for number in range(4)
        ]
        before = len(acknowledged)
        for writer in writers:
            writer.start()
        while len(acknowledged) < before + 40:
            time.sleep(0.005)
        gateway.kill()
        for writer in writers:
            writer.join()

    gateway = start(folder)
    found = gateway.rows("SELECT writer, batch, count(), uniqExact(row) FROM log GROUP BY writer, batch")
    gateway.kill()

    stored = {(int(writer), int(batch)) for writer, batch, *_ in found}
    assert acknowledged <= stored
    assert {tuple(counts) for _, _, *counts in found} == {(str(ROWS_A_BATCH), str(ROWS_A_BATCH))}
    assert len(acknowledged) >= 160


def test_an_idle_gateway_is_small(gateway: Gateway) -> None:
    gateway.rows("SELECT 1")

    pages = int(Path(f"/proc/{gateway.process.pid}/statm").read_text().split()[1])

    assert pages * os.sysconf("SC_PAGE_SIZE") < 350 << 20
