"""The embedded engines, once for all tests of a run that ask for them."""

import os
from collections.abc import Iterator

import pytest

from infra.settings import Settings
from tests.engines import fresh_settings, running_clickhouse, running_kafka

SHARED = {"product": "product", "kafka": "engines", "clickhouse": "engines"}
"""Fixtures that are started once a run, and the group of the tests that ask for them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Under `--dist loadgroup` each group is one worker's; a file that shares nothing with others is its own group."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        group = next((group for name, group in SHARED.items() if name in fixtures), item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))


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
