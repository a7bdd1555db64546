"""The catalogue follows its topics record by record, and can be waited for."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY

from infra.kafka import LogRecord
from infra.settings import Settings
from query.catalog import Catalog, Table
from schemas.monitors import Monitor, Page, Record
from schemas.topics import MONITORS, PAGES

LEFT_OUT_MONITORS = ("pulse_query_left_out_total", {"source": "monitors"})


def monitor_record(slug: str, workspace: str = "default", deleted: bool = False) -> bytes:
    document = None if deleted else Monitor(slug=slug, url="https://acme.test/")
    return Record[Monitor](workspace=workspace, by="ada", at=1, document=document).to_log()


def page_record(slug: str, *domains: str) -> bytes:
    document = Page(slug=slug, domains=list(domains))
    return Record[Page](workspace="default", by="ada", at=1, document=document).to_log()


def at(offset: int, key: str, value: bytes | None, partition: int = 0) -> LogRecord:
    return LogRecord(partition, offset, 0, key, value)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(Settings())


def test_a_documents_version_is_its_offset(catalog: Catalog) -> None:
    catalog.take(catalog.monitors, at(4, "default/api", monitor_record("api")))

    entry = catalog.monitor("default/api")
    assert entry is not None
    assert (entry.id, entry.workspace, entry.version, entry.by) == ("default/api", "default", 4, "ada")


@pytest.mark.parametrize("value", [None, monitor_record("api", deleted=True)])
def test_a_deletion_or_a_tombstone_takes_the_document_away(catalog: Catalog, value: bytes | None) -> None:
    catalog.take(catalog.monitors, at(0, "default/api", monitor_record("api")))
    catalog.take(catalog.monitors, at(1, "default/api", value))

    assert catalog.monitor("default/api") is None
    assert list(catalog.monitors.of_workspace("default")) == []


def test_reading_a_topic_again_from_its_beginning_changes_nothing(catalog: Catalog) -> None:
    records = [at(0, "default/api", monitor_record("api")), at(1, "default/api", monitor_record("api", deleted=True))]
    for record in [*records, *records]:
        catalog.take(catalog.monitors, record)

    assert catalog.monitor("default/api") is None


def test_workspaces_see_only_what_is_theirs(catalog: Catalog) -> None:
    catalog.take(catalog.monitors, at(0, "one/api", monitor_record("api", "one")))
    catalog.take(catalog.monitors, at(1, "two/api", monitor_record("api", "two")))

    assert [entry.id for entry in catalog.monitors.of_workspace("one")] == ["one/api"]
    assert list(catalog.monitors.of_workspace("three")) == []


def test_ids_stay_in_order_whatever_comes_and_goes(catalog: Catalog) -> None:
    for offset, slug in enumerate(("mail", "api", "web")):
        catalog.take(catalog.monitors, at(offset, f"default/{slug}", monitor_record(slug)))
    assert catalog.monitors.ids_of("default") == ["default/api", "default/mail", "default/web"]

    catalog.take(catalog.monitors, at(3, "default/docs", monitor_record("docs")))
    catalog.take(catalog.monitors, at(4, "default/mail", monitor_record("mail", deleted=True)))
    catalog.take(catalog.monitors, at(5, "default/api", monitor_record("api")))

    assert catalog.monitors.ids_of("default") == ["default/api", "default/docs", "default/web"]
    assert list(catalog.monitors.ids_of("nobody")) == []


def test_what_cannot_be_read_is_counted_and_the_version_before_it_stays(catalog: Catalog) -> None:
    catalog.take(catalog.monitors, at(0, "default/api", monitor_record("api")))
    counted = REGISTRY.get_sample_value(*LEFT_OUT_MONITORS) or 0
    catalog.take(catalog.monitors, at(1, "default/api", b"{not json"))

    assert REGISTRY.get_sample_value(*LEFT_OUT_MONITORS) == counted + 1
    entry = catalog.monitor("default/api")
    assert entry is not None
    assert entry.version == 0


def test_a_domain_belongs_to_the_page_that_named_it_first(catalog: Catalog) -> None:
    catalog.take(catalog.pages, at(0, "one", page_record("one", "status.acme.test")))
    catalog.take(catalog.pages, at(1, "two", page_record("two", "status.acme.test")))
    first = catalog.page_of_domain("status.acme.test")
    catalog.take(catalog.pages, at(2, "one", page_record("one")))
    second = catalog.page_of_domain("status.acme.test")

    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("one", "two")


def test_a_page_that_is_told_again_keeps_its_domain(catalog: Catalog) -> None:
    catalog.take(catalog.pages, at(0, "two", page_record("two")))
    catalog.take(catalog.pages, at(1, "one", page_record("one", "status.acme.test")))
    catalog.take(catalog.pages, at(2, "two", page_record("two", "status.acme.test")))
    catalog.take(catalog.pages, at(3, "one", page_record("one", "status.acme.test", "other.acme.test")))

    owner = catalog.page_of_domain("status.acme.test")
    assert owner is not None
    assert owner.id == "one"


def test_a_domain_that_nobody_names_any_more_is_free(catalog: Catalog) -> None:
    catalog.take(catalog.pages, at(0, "one", page_record("one", "status.acme.test")))
    catalog.take(catalog.pages, at(1, "one", None))
    freed = catalog.page_of_domain("status.acme.test")
    catalog.take(catalog.pages, at(2, "two", page_record("two", "status.acme.test")))
    owner = catalog.page_of_domain("status.acme.test")

    assert freed is None
    assert owner is not None
    assert owner.id == "two"


def test_a_listener_hears_of_each_record_once(catalog: Catalog) -> None:
    heard: list[tuple[Any, str]] = []
    catalog.on_change(lambda topic, changed: heard.append((topic, changed)))
    for _ in range(2):
        catalog.take(catalog.monitors, at(0, "default/api", monitor_record("api")))
        catalog.take(catalog.pages, at(0, "acme", page_record("acme")))

    assert heard == [(MONITORS, "default/api"), (PAGES, "acme")]


def test_a_write_can_be_waited_for() -> None:
    async def scenario() -> list[bool]:
        table: Table[Monitor] = Table(MONITORS, Record[Monitor])
        waiting = asyncio.create_task(table.wait_for(2, 5))
        seen = []
        for partition, offset in ((2, 4), (1, 9), (2, 5)):
            table.apply(at(offset, "default/api", monitor_record("api"), partition))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(waiting.done())
        await table.wait_for(2, 3)
        return seen

    assert asyncio.run(scenario()) == [False, False, True]
