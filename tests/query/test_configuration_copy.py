"""The copy of the configuration: whole or not at all, and only until the log itself was read."""

import asyncio
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from query.configuration_copy import AFTER_CHANGE_S, ConfigurationCopy, Copy, NotWhole, read_copy, write_copy
from query.context import Context
from schemas.monitors import Key, KeyScope, Record
from tests.query.filled import Filled

KAFKA = "127.0.0.1:1"


def copy_path(folder: Path) -> Path:
    return folder / "query" / "configuration"


def installation(folder: Path, kafka: str = KAFKA) -> Filled:
    """An installation whose engines are away."""
    return Filled(data=folder, kafka=kafka, clickhouse="http://127.0.0.1:1/pulse")


def restarted(folder: Path, kafka: str = KAFKA) -> Filled:
    """The same, over what the one before has left on disk."""
    filled = installation(folder, kafka)
    filled.catalog.caught_up.clear()
    ConfigurationCopy(filled.context.settings, filled.catalog).stand_in()
    return filled


def left_behind(filled: Filled) -> None:
    """Write the copy, as the service does once it has read the log."""

    async def scenario() -> None:
        copy = ConfigurationCopy(filled.context.settings, filled.catalog)
        keeping = asyncio.create_task(copy.keep())
        while not copy_path(filled.context.settings.data).exists():
            await asyncio.sleep(0.01)
        keeping.cancel()

    asyncio.run(scenario())


@pytest.fixture
def before(tmp_path: Path) -> Filled:
    """A service that has read its configuration, and left the copy."""
    filled = installation(tmp_path)
    filled.monitor("api", name="Public API")
    filled.page("acme", "api", title="Acme", domains=["status.acme.test"])
    left_behind(filled)
    return filled


def test_a_restarted_service_shows_its_pages_before_the_log_can_be_read(before: Filled, tmp_path: Path) -> None:
    after = restarted(tmp_path)

    page = after.get("/p/acme")
    assert page.status_code == 200
    assert "Public API" in page.text
    assert "Nothing could be read" in page.text
    assert after.get("/", headers={"host": "status.acme.test"}).status_code == 200
    assert after.get("/badges/acme/api/status.json").json()["message"] == "unknown"
    assert "is a copy of 20" in after.catalog.trouble
    assert [*after.catalog.monitors.of_workspace("default")] == [*before.catalog.monitors.of_workspace("default")]


def test_what_the_log_says_replaces_the_copy_at_once_and_whole(before: Filled, tmp_path: Path) -> None:
    after = restarted(tmp_path)
    assert after.get("/p/acme").status_code == 200

    after.monitor("shop")
    after.page("other", "shop", domains=["status.acme.test"])
    assert [after.get(f"/status/{slug}").status_code for slug in ("acme", "other")] == [200, 503]
    after.catalog.settle()
    after.catalog.caught_up.set()

    assert [after.get(f"/status/{slug}").status_code for slug in ("acme", "other")] == [404, 200]
    assert after.catalog.monitor("default/api") is None
    page = after.catalog.page_of_domain("status.acme.test")
    assert page is not None
    assert page.id == "other"


def test_what_the_log_says_too_is_told_to_nobody(before: Filled, tmp_path: Path) -> None:
    after = restarted(tmp_path)
    told: list[str] = []
    after.catalog.on_change(lambda topic, changed: told.append(changed))
    after.monitor("api", name="Public API")
    after.page("acme", "api", title="Renamed")
    after.catalog.settle()

    assert "acme" in told
    assert after.get("/status/acme").json()["page"]["title"] == "Renamed"


def test_keys_are_not_in_it_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    filled = installation(tmp_path)
    key = Key(id="abcdefgh", secret_sha256="0" * 64, scopes=[KeyScope.READ])
    filled.put(filled.catalog.keys, key.id, Record[Key](workspace="default", by="ada", at=1, document=key).to_log())
    left_behind(filled)

    assert b"abcdefgh" not in copy_path(tmp_path).read_bytes()
    assert stat.S_IMODE(copy_path(tmp_path).stat().st_mode) == 0o600
    assert restarted(tmp_path).catalog.key("abcdefgh") is None


def test_the_copy_of_another_installation_is_not_shown(before: Filled, tmp_path: Path) -> None:
    assert restarted(tmp_path, kafka="elsewhere:9092").get("/status/acme").status_code == 503


@pytest.mark.parametrize("damage", [b"", b"\0\0\0\0", None, "half", "bit"])
def test_a_damaged_copy_is_as_good_as_none(before: Filled, tmp_path: Path, damage: bytes | str | None) -> None:
    path = copy_path(tmp_path)
    content = path.read_bytes()
    path.unlink()
    if damage == "half":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "bit":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif isinstance(damage, bytes):
        path.write_bytes(damage)

    after = restarted(tmp_path)

    assert after.get("/status/acme").status_code == 503
    assert "were not read" in after.catalog.trouble


def test_where_nothing_can_be_written_the_service_runs_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "query").write_text("in the way")
    context = Context.of(installation(tmp_path).context.settings)

    async def scenario() -> None:
        async with context.running():
            context.catalog.caught_up.set()
            while "cannot be reached" not in context.clickhouse.trouble + context.producer.trouble:
                await asyncio.sleep(0.01)

    asyncio.run(scenario())


def test_a_change_is_in_the_copy_soon(before: Filled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.configuration_copy.AFTER_CHANGE_S", 0.01)

    async def scenario() -> None:
        copy = ConfigurationCopy(before.context.settings, before.catalog)
        keeping = asyncio.create_task(copy.keep())
        before.page("second")
        while "second" not in {name for name, *_ in told_pages(tmp_path)}:
            await asyncio.sleep(0.01)
        keeping.cancel()

    assert AFTER_CHANGE_S < 10
    asyncio.run(scenario())


def told_pages(folder: Path) -> list[tuple[str, int, bytes]]:
    copy = read_copy(copy_path(folder))
    assert copy is not None
    return copy.records["pages"]


WRITER = """
import itertools, sys
from pathlib import Path
from query.configuration_copy import Copy, write_copy
for number in itertools.count():
    write_copy(Path(sys.argv[1]), Copy("kafka", number, {"pages": [("acme", number, b"x" * 200_000)] * 5}))
"""


def test_a_writer_that_is_killed_leaves_the_copy_before_or_the_new_one(tmp_path: Path) -> None:
    path = copy_path(tmp_path)
    newest = -1
    for round_number in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        try:
            while not path.exists() or path.stat().st_ino == newest:
                assert process.poll() is None
                time.sleep(0.0001)
            time.sleep(round_number * 0.003)  # somewhere in a later writing
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        newest = path.stat().st_ino

        copy = read_copy(path)

        assert copy is not None
        assert {version for _, version, _ in copy.records["pages"]} == {copy.at}


def test_another_shape_is_not_taken_for_a_copy(tmp_path: Path) -> None:
    path = copy_path(tmp_path)
    write_copy(path, Copy("kafka", 1, {"pages": [("acme", "not a version", b"")]}))  # type: ignore[list-item]

    with pytest.raises(NotWhole):
        read_copy(path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
