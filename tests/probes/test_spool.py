"""Results on disk: in order, bounded, and whole after a crash."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.cli import Exit
from infra.locks import lock
from infra.settings import Settings
from probes import spool as spool_module
from probes.emit import spool_folder
from probes.spool import Frame, Spool


def frame(number: int, size: int = 10) -> Frame:
    return Frame(partition=number % 8, results=1, value=f"{number:010}".encode().ljust(size, b"."))


def drained(spool: Spool, at_once: int = 3) -> list[Frame]:
    frames: list[Frame] = []
    while spool:
        oldest = spool.oldest(at_once)
        frames += oldest
        spool.delivered(len(oldest))
    return frames


@pytest.fixture(autouse=True)
def _small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 100)


def test_frames_come_out_in_the_order_in_which_they_went_in(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    for number in range(0, 50, 5):
        spool.append([frame(n) for n in range(number, number + 5)])

    assert spool.results == 50
    assert drained(spool) == [frame(n) for n in range(50)]
    assert not spool
    assert list(tmp_path.iterdir()) == []


def test_frames_may_be_added_while_others_are_taken_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append([frame(0), frame(1)])
    taken = spool.oldest(1)
    spool.append([frame(2)])
    spool.delivered(len(taken))

    assert taken + drained(spool) == [frame(0), frame(1), frame(2)]


def test_a_new_process_finds_what_the_last_one_left(tmp_path: Path) -> None:
    Spool(tmp_path, 1 << 20).append([frame(n) for n in range(20)])

    spool = Spool(tmp_path, 1 << 20)
    spool.append([frame(20)])

    assert spool.results == 21
    assert drained(spool) == [frame(n) for n in range(21)]


@contextmanager
def _room_for(file_bytes: int) -> Iterator[None]:
    """A disk that takes so much of a file and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_the_disk_does_not_take_does_not_wait_there(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    (tmp_path / "spool").rmdir()
    with pytest.raises(OSError, match="No such file"):
        spool.append([frame(0)])

    assert not spool
    assert spool.oldest(1) == []


def test_what_a_full_disk_cut_off_takes_nothing_with_it_that_comes_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append([frame(0)])
    with pytest.raises(OSError, match="File too large"), _room_for(40):
        spool.append([frame(1, size=20_000)])
    spool.append([frame(2)])

    assert drained(spool) == [frame(0), frame(2)]


@pytest.mark.parametrize("cut", range(1, 27))
def test_what_a_crash_cut_off_is_left_out_and_the_rest_is_whole(tmp_path: Path, cut: int) -> None:
    Spool(tmp_path, 1 << 20).append([frame(0), frame(1)])
    (path,) = tmp_path.glob("*.frames")
    path.write_bytes(path.read_bytes()[:-cut])

    spool = Spool(tmp_path, 1 << 20)
    spool.append([frame(2)])

    assert drained(spool) == [frame(0), frame(2)]


def test_damaged_bytes_are_never_delivered(tmp_path: Path) -> None:
    Spool(tmp_path, 1 << 20).append([frame(0), frame(1)])
    (path,) = tmp_path.glob("*.frames")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    assert drained(Spool(tmp_path, 1 << 20)) == [frame(0)]


def test_the_oldest_make_room_and_are_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    for number in range(100):
        spool.append([frame(number)])

    assert spool.size_bytes <= 1_000
    assert spool.lost_results + spool.results == 100
    kept = drained(spool)
    assert kept == [frame(n) for n in range(100 - len(kept), 100)]


def test_room_is_made_while_the_oldest_are_being_delivered(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 300)
    spool.append([frame(n) for n in range(5)])
    taken = spool.oldest(2)
    for number in range(5, 30):
        spool.append([frame(number)])
    spool.delivered(len(taken))

    kept = drained(spool)
    assert kept == [frame(n) for n in range(30 - len(kept), 30)]
    assert spool.lost_results + len(kept) == 30, "what made room is not taken for delivered"


def test_a_second_probe_of_the_same_name_leaves_the_first_ones_results_alone(tmp_path: Path) -> None:
    settings = Settings(kafka="127.0.0.1:1", data=tmp_path)
    held = lock(spool_folder(settings), "")

    environment = os.environ | {"PULSE_KAFKA": "127.0.0.1:1", "PULSE_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "infra.cli", "probe"]
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    os.close(held)

    assert second.returncode == Exit.USAGE
    assert f"in use by process {os.getpid()}" in second.stderr
    assert "PULSE_PROBE" in second.stderr
