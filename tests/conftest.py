"""The embedded engines, once for all tests of a run that ask for them."""

import os
from collections.abc import Iterator

import pytest

from infra.settings import Settings
from tests.engines import fresh_settings, running_clickhouse, running_kafka


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
