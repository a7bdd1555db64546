"""What the worker writes and reads, on the real engines."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.clickhouse import open_client
from infra.kafka import open_producer, partition_of
from infra.settings import Settings
from schemas.enums import EntryKind, IncidentState, Outcome, Reason, Severity, Status
from schemas.events import (
    CheckResult,
    Component,
    Evidence,
    Failure,
    Incident,
    MaintenanceRevised,
    MonitorRevised,
    StatusChange,
    TimelineEntry,
    decode_log,
)
from schemas.monitors import Key, KeyScope, Maintenance, Monitor, Page, Record
from schemas.topics import CHECK_RESULTS, KEYS, MAINTENANCES, MONITORS, PAGES, Topic
from stream import rows
from stream.audit import Audit
from stream.epochs import (
    OtherPartitions,
    OutdatedRules,
    UnknownLog,
    begin_epoch,
    first_epoch,
    identify_log,
    settle_epoch,
)
from stream.folds import ComponentStatus, CurrentStatus, LatencyHour, PartitionFold, Terms, UptimeBucket
from stream.lag import measure_lag
from stream.maintenances import Maintenances
from stream.operations import Gap, accept_gaps, start_epoch
from stream.outbox import Outbox
from stream.partition import Partition
from stream.revisions import Forwarder
from stream.sink import Insert, Sink
from stream.snapshots import Epoch, MonitorState, Position, Snapshots, version_of
from stream.terms import MonitorTerms
from tests.faults.oracle import read_log

pytestmark = pytest.mark.engines
T = TypeVar("T")
NOW = int(time.time()) * 1000
HOUR = NOW // 3_600_000 * 3_600_000
LOG = "cluster/check-results"
EPOCH = Epoch(1, LOG, 1, 1, 8)


def on_store(settings: Settings, act: Callable[[AsyncClient, Sink, Snapshots], Awaitable[T]]) -> T:
    async def run() -> T:
        async with open_client(settings) as client:
            sink = await Sink.open(settings, client)
            return await act(client, sink, Snapshots(settings, client, sink))

    return asyncio.run(run())


def written(settings: Settings, insert: Insert, query: str) -> list[dict[str, Any]]:
    async def act(client: AsyncClient, sink: Sink, _: Snapshots) -> list[dict[str, Any]]:
        await sink.write(insert)
        return [*(await client.query(query)).named_results()]

    return on_store(settings, act)


def test_that_a_result_is_stored_with_all_it_says(engine_settings: Settings) -> None:
    results = rows.Results()
    failing = CheckResult(
        "default/m",
        NOW,
        NOW - 5,
        9,
        Outcome.DOWN,
        Reason.ASSERTION,
        503,
        *(1, 2, 3, 4, 5, 4_294_967_295),
        overloaded=True,
        message="naïve \u2028 text",
        failures=(Failure("$.a", Severity.DOWN, "1", "2", "a"),),
        components=(Component("db", Outcome.DOWN),),
        evidence=Evidence("HTTP/1.1 503"),
    )
    results.add([failing], "east", version_of(1, 7), late=True)

    (row,) = written(engine_settings, results.insert(), "SELECT * FROM check_results")

    assert (row["monitor"], row["region"], row["version"], row["outcome"]) == ("default/m", "east", 1 << 48 | 7, "down")
    assert (row["started_delay_ms"], row["total_us"], row["late"], row["overloaded"]) == (0, 4_294_967_295, True, True)
    assert row["scheduled_at"].timestamp() * 1000 == NOW
    assert row["message"] == "naïve \u2028 text"
    assert '"test":"$.a"' in row["detail"] and '"name":"db"' in row["detail"] and "503" in row["detail"]


def test_that_every_kind_of_fact_finds_its_table(engine_settings: Settings) -> None:
    change = StatusChange("default/m", NOW, 5, NOW + 1, Status.UP, Status.DOWN, Reason.TIMEOUT, "why", "i1")
    current = CurrentStatus("default/m", 5, Status.DOWN, NOW, NOW + 1, Reason.TIMEOUT, "why", "i1", False)
    component = ComponentStatus("default/m", "east", "db", 5, NOW, Outcome.DOWN, "refused", False)
    entry = TimelineEntry(EntryKind.OPENED, NOW, Status.DOWN, "why", "")
    incident = Incident(
        "i1", "default/m", 5, IncidentState.OPEN, Severity.DOWN, NOW, NOW + 1, Reason.TIMEOUT, "why", entries=(entry,)
    )
    day, hour = ("day", NOW // 86_400_000 * 86_400_000), ("hour", HOUR)
    buckets = [UptimeBucket("default/m", step, at, 5, NOW, (1, 2, 3, 4, 5, 6)) for step, at in (day, hour)]
    latency = LatencyHour("default/m", "east", HOUR, 5, 2, (1, 2, 3, 4, 5, 6), ((127, 2),))

    async def act(client: AsyncClient, sink: Sink, _: Snapshots) -> list[tuple[Any, ...]]:
        await sink.write(
            rows.of_changes([change]),
            rows.of_current([current]),
            rows.of_components([component]),
            rows.of_incidents([incident]),
            rows.of_uptime(buckets),
            rows.of_latency([latency]),
        )
        queries = (
            "SELECT monitor, previous, status, incident FROM status_changes",
            "SELECT status, incident, deleted FROM current_status",
            "SELECT component, outcome, gone FROM components",
            "SELECT id, state, resolved_at, evidence FROM incidents",
            "SELECT kind, status, message FROM incident_timeline",
            "SELECT up_ms, paused_ms FROM uptime_hourly",
            "SELECT up_ms, paused_ms FROM uptime_daily",
            "SELECT checks, total_us, histogram[128] FROM latency_hourly",
        )
        return [(await client.query(query)).result_rows[0] for query in queries]

    assert on_store(engine_settings, act) == [
        ("default/m", "up", "down", "i1"),
        ("down", "i1", False),
        ("db", "down", False),
        ("i1", "open", None, ""),
        ("opened", "down", "why"),
        (1, 6),
        (1, 6),
        (2, 6, 2),
    ]


def test_that_the_newest_position_and_state_are_read(engine_settings: Settings) -> None:
    async def act(_: AsyncClient, __: Sink, snapshots: Snapshots) -> tuple[Position | None, list[tuple[str, bytes]]]:
        for offset in (5, 9, 7):
            version = version_of(1, offset)
            await snapshots.save_states([MonitorState(3, "default/m", version, b"\x00\xff%d" % offset)])
            await snapshots.save_positions(LOG, [Position(3, version, offset, NOW, b"clock\xff")])
        states = [state async for block in snapshots.states(3) for state in block]
        return await snapshots.position(LOG, 3), states

    position, states = on_store(engine_settings, act)

    assert position == Position(3, version_of(1, 9), 9, NOW, b"clock\xff")
    assert states == [("default/m", b"\x00\xff9")]


def test_that_another_log_under_the_store_is_refused(engine_settings: Settings) -> None:
    async def act(_: AsyncClient, __: Sink, snapshots: Snapshots) -> None:
        await settle_epoch(snapshots, EPOCH)
        await settle_epoch(snapshots, dataclasses.replace(EPOCH, log="other/check-results"))

    with pytest.raises(UnknownLog, match="pulse epoch new"):
        on_store(engine_settings, act)


def test_that_another_count_of_partitions_is_refused(engine_settings: Settings) -> None:
    async def act(_: AsyncClient, __: Sink, snapshots: Snapshots) -> None:
        await settle_epoch(snapshots, EPOCH)
        await settle_epoch(snapshots, dataclasses.replace(EPOCH, partitions=16))

    with pytest.raises(OtherPartitions, match="back to 8"):
        on_store(engine_settings, act)


def test_that_newer_rules_begin_an_epoch_and_older_ones_are_refused(engine_settings: Settings) -> None:
    async def act(_: AsyncClient, __: Sink, snapshots: Snapshots) -> list[int]:
        epochs = [await settle_epoch(snapshots, dataclasses.replace(EPOCH, rules=rules)) for rules in (1, 1, 2, 2)]
        with pytest.raises(OutdatedRules):
            await settle_epoch(snapshots, EPOCH)
        return [epoch.number for epoch in epochs]

    assert on_store(engine_settings, act) == [1, 1, 2, 2]


def test_that_an_operator_starts_an_epoch_over_the_present_log(engine_settings: Settings) -> None:
    async def act(_: AsyncClient, __: Sink, snapshots: Snapshots) -> Epoch | None:
        await begin_epoch(snapshots, first_epoch("lost/check-results", 8), "test")
        started = await start_epoch(engine_settings, "the disk was lost")
        assert await snapshots.newest_epoch() == started
        return started

    epoch = on_store(engine_settings, act)

    assert epoch is not None
    assert epoch.number == 2
    assert epoch.log.endswith("/check-results") and not epoch.log.startswith("lost")


def test_that_an_epoch_over_a_topic_made_anew_begins_at_its_beginning(engine_settings: Settings) -> None:
    async def before(_: AsyncClient, __: Sink, snapshots: Snapshots) -> None:
        log = await identify_log(engine_settings)
        await begin_epoch(snapshots, first_epoch(log, 8), "first start")
        await snapshots.save_positions(log, [Position(2, version_of(1, 1_000), 7, NOW, b"clock")])

    async def after(_: AsyncClient, __: Sink, snapshots: Snapshots) -> Position | None:
        return await snapshots.position(await identify_log(engine_settings), 2)

    on_store(engine_settings, before)
    asyncio.run(start_epoch(engine_settings, "the topic was made anew"))

    position = on_store(engine_settings, after)
    assert position is not None
    assert (position.offset, position.revised, position.state) == (-1, -1, b"")


def test_that_an_operator_accepts_what_retention_has_removed(engine_settings: Settings) -> None:
    async def lose_events() -> None:
        async with open_producer(engine_settings) as producer:
            for _ in range(5):
                await producer.send_and_wait(CHECK_RESULTS.name, b"{}", partition=2)
        admin = AIOKafkaAdminClient(bootstrap_servers=engine_settings.kafka)
        await admin.start()
        await admin.delete_records({TopicPartition(CHECK_RESULTS.name, 2): RecordsToDelete(before_offset=4)})
        await admin.close()

    async def position(_: AsyncClient, __: Sink, snapshots: Snapshots) -> Position | None:
        return await snapshots.position(await identify_log(engine_settings), 2)

    async def fold_the_first(_: AsyncClient, __: Sink, snapshots: Snapshots) -> None:
        folded = Position(2, version_of(1, 0), 7, NOW, b"what the fold knows")
        await snapshots.save_positions(await identify_log(engine_settings), [folded])

    asyncio.run(lose_events())
    on_store(engine_settings, fold_the_first)
    first, second = (asyncio.run(accept_gaps(engine_settings, "test")) for _ in range(2))

    assert first == [Gap(2, 4, 3)]
    assert second == []
    moved = on_store(engine_settings, position)
    assert moved is not None
    assert (moved.offset, moved.revised, moved.state) == (3, 7, b"what the fold knows")


def test_that_lag_counts_what_is_not_durable(engine_settings: Settings) -> None:
    async def produce() -> None:
        async with open_producer(engine_settings) as producer:
            for _ in range(3):
                await producer.send_and_wait(CHECK_RESULTS.name, b"{}", partition=2)

    asyncio.run(produce())
    lags = {lag.partition: lag.events_behind for lag in asyncio.run(measure_lag(engine_settings))}

    assert lags[2] == 3
    assert sum(lags.values()) == 3


def test_that_versions_reach_the_log_and_the_store_and_are_found_there(engine_settings: Settings) -> None:
    monitor = "default/m"
    partition = partition_of(monitor, engine_settings.partitions)

    async def act(client: AsyncClient, sink: Sink, _: Snapshots) -> None:
        async with Outbox.open(engine_settings) as outbox:
            versions = [await write(document) for document in (active, paused, None)]
            terms = MonitorTerms(engine_settings, client)
            following = asyncio.create_task(terms.run())
            await terms.caught_up()
            owned = Partition(partition, EPOCH, None, 0, PartitionFold(terms.get))
            await Forwarder(None, terms, None, sink, outbox, 8).forward(owned)  # type: ignore[arg-type]
            following.cancel()

            refused = [monitor, 10**5, '{"interval": "1s", "policy": {"flap_start": 10, "flap_stop": 40}}']
            await client.insert("monitor_versions", [refused], ["monitor", "version", "document"])
            afresh = MonitorTerms(engine_settings, client)
            following = asyncio.create_task(afresh.run())
            lost = await afresh.find({(monitor, versions[0]), (monitor, 10**5), (monitor, 10**6), ("default/ghost", 0)})
            following.cancel()
            assert afresh.get(monitor, versions[0]) == Terms.of(active)
            assert lost == {(monitor, 10**5), (monitor, 10**6), ("default/ghost", 0)}
            assert afresh.knows(monitor) and not afresh.knows("default/ghost")

    async def write(document: Monitor | None) -> int:
        record = Record[Monitor](workspace="default", by="ann", at=NOW, document=document)
        async with open_producer(engine_settings) as producer:
            kept = await producer.send_and_wait(
                MONITORS.name, record.to_log(), key=monitor.encode(), partition=partition
            )
            return int(kept.offset)

    active = Monitor.model_validate({"slug": "m", "url": "https://example.com/", "interval": "30s"})
    paused = active.model_copy(update={"paused": True})
    on_store(engine_settings, act)
    log = asyncio.run(read_log(engine_settings, CHECK_RESULTS))

    told = [decode_log(record.value) for record in log[partition]]
    assert [event.state for event in told if isinstance(event, MonitorRevised)] == ["active", "paused", "deleted"]


def test_that_every_version_of_pages_and_keys_is_kept_with_who_wrote_it(engine_settings: Settings) -> None:
    key = Key(id="6fJq0aBc1xYz", secret_sha256="0" * 64, scopes=[KeyScope.READ])
    kept = "SELECT id, by, document != '' FROM configuration_versions FINAL ORDER BY topic, id, version"

    async def write(topic: Topic, name: str, document: Page | Key | None, by: str) -> None:
        record = Record[Any](workspace="default", by=by, at=NOW, document=document)
        async with open_producer(engine_settings) as producer:
            await producer.send_and_wait(topic.name, record.to_log(), key=name.encode(), partition=0)

    async def keep(client: AsyncClient, sink: Sink, count: int) -> list[Sequence[Any]]:
        """As a worker does that begins, until there are so many."""
        following = asyncio.create_task(Audit(engine_settings, sink).run())
        while len(rows := [*(await client.query(kept)).result_rows]) < count:
            assert not following.done()
        following.cancel()
        return rows

    async def act(client: AsyncClient, sink: Sink, _: Snapshots) -> list[Sequence[Any]]:
        await write(KEYS, key.id, key, by="ann")
        await write(PAGES, "acme", Page(slug="acme"), by="ann")
        await keep(client, sink, 2)
        await write(PAGES, "acme", None, by="bob")
        return await keep(client, sink, 3)

    assert on_store(engine_settings, act) == [(key.id, "ann", True), ("acme", "ann", True), ("acme", "bob", False)]


def test_that_each_monitor_of_a_maintenance_is_told_of_it_and_of_being_left_out(engine_settings: Settings) -> None:
    name = "default/upgrade"
    both = Maintenance(
        slug="upgrade", title="Upgrade", monitors=["m", "n"], starts_at="2026-12-01T02:00Z", ends_at="2026-12-01T03:00Z"
    )
    one = both.model_copy(update={"monitors": ["n"]})
    partitions = [partition_of(f"default/{slug}", 8) for slug in ("m", "n")]

    async def write(document: Maintenance | None) -> None:
        record = Record[Maintenance](workspace="default", by="ann", at=NOW, document=document)
        async with open_producer(engine_settings) as producer:
            await producer.send_and_wait(MAINTENANCES.name, record.to_log(), key=name.encode(), partition=0)

    async def forward(client: AsyncClient, sink: Sink, _: Snapshots) -> list[tuple[Any, ...]]:
        """A worker of its own for each record, as after a restart; each folds what the log holds."""
        for document in (both, one, None):
            await write(document)
            async with Outbox.open(engine_settings) as outbox:
                maintenances = Maintenances(engine_settings, asyncio.Event())
                following = asyncio.create_task(maintenances.run())
                await maintenances.caught_up()
                log = await read_log(engine_settings, CHECK_RESULTS)
                for partition in sorted({*partitions}):
                    fold = PartitionFold(lambda *_: None)
                    for record in log[partition]:
                        fold.fold(version_of(1, record.offset), decode_log(record.value))
                    owned = Partition(partition, EPOCH, None, 0, fold)
                    forwarder = Forwarder(None, None, maintenances, sink, outbox, 8)  # type: ignore[arg-type]
                    await forwarder.forward_maintenances(owned)
                    await forwarder.forward_maintenances(owned)
                following.cancel()
        rows = await client.query("SELECT monitor, version, document != '' FROM maintenance_windows FINAL ORDER BY ALL")
        return [tuple(row) for row in rows.result_rows]

    stored = on_store(engine_settings, forward)
    log = asyncio.run(read_log(engine_settings, CHECK_RESULTS))
    events = [decode_log(record.value) for partition in partitions for record in log[partition]]
    told = {(e.monitor, e.version): (e.starts_at, e.ends_at) for e in events if isinstance(e, MaintenanceRevised)}

    lasts = (both.starts_at, both.ends_at)
    assert told == {
        ("default/m", 0): lasts,
        ("default/n", 0): lasts,
        ("default/m", 1): (both.starts_at, both.starts_at),
        ("default/n", 1): lasts,
        ("default/m", 2): (NOW, NOW),
        ("default/n", 2): (NOW, NOW),
    }
    assert stored == [
        ("default/m", 0, True),
        ("default/m", 1, True),
        ("default/m", 2, False),
        ("default/n", 0, True),
        ("default/n", 1, True),
        ("default/n", 2, False),
    ]
