"""The embedded engines, once for all tests of a worker that ask for them; and which tests share a worker."""

import os
from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from infra.settings import Settings
from tests.engines import fresh_settings, running_clickhouse, running_kafka


class _Scheduler(LoadFileScheduling):
    """A file is one worker's, so that what its tests share is started once; end_to_end is, for the running product."""

    def _split_scope(self, nodeid: str) -> str:
        folder = "tests/end_to_end/"
        return folder if nodeid.startswith(folder) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _Scheduler | None:
    """With `--dist loadfile`."""
    return _Scheduler(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither this shell's PULSE_* settings nor a `pulse up` in this folder reach a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PULSE_") and name != "PULSE_CACHE"]:
            patch.delenv(name)
        patch.setenv("PULSE_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an embedded Kafka."""
    with running_kafka(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an embedded ClickHouse, without a database."""
    with running_clickhouse(tmp_path_factory.mktemp("clickhouse")) as url:
        yield url


@pytest.fixture
def engine_settings(kafka: str, clickhouse: str) -> Settings:
    """An empty installation on the embedded engines: fresh topics, a fresh database with all tables."""
    return fresh_settings(kafka, clickhouse)
