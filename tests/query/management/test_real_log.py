"""Management over a real Kafka and a real ClickHouse."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from clickhouse_connect.driver.asyncclient import AsyncClient
from pydantic import SecretStr

from infra.clickhouse import open_client
from infra.kafka import open_producer, partition_of, provision_topics
from infra.settings import Settings
from query.app import app_of
from query.context import Context
from query.times import iso
from schemas.topics import DEAD_LETTERS, MONITORS
from tests.engines import free_ports, running_kafka
from tests.query.management.service import ADMIN_KEY

pytestmark = pytest.mark.engines

API = {"slug": "api", "url": "https://api.example.com/health"}


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    context = Context.of(settings.model_copy(update={"admin_key": SecretStr(ADMIN_KEY)}))
    transport = httpx.ASGITransport(app_of(context))
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with (
        context.running(),
        httpx.AsyncClient(transport=transport, base_url="http://pulse.test", headers=headers, timeout=60) as client,
    ):
        await asyncio.wait_for(context.catalog.caught_up.wait(), 30)
        for connection in (context.producer, context.clickhouse):
            await asyncio.wait_for(connection.opened.wait(), 30)
        yield client


def test_what_one_process_wrote_another_one_reads(engine_settings: Settings) -> None:
    async def scenario() -> None:
        async with running(engine_settings) as one, running(engine_settings) as other:
            made = await one.post("/v1/keys", json={"scopes": ["read", "write"]})
            created = await one.post("/v1/monitors", json=API)
            assert created.status_code == 201, created.text
            await one.put("/v1/pages/acme", json={"slug": "acme", "groups": [{"name": "A", "monitors": ["api"]}]})
            assert (await one.get("/v1/monitors/api")).json()["version"] == created.json()["version"]

            other.headers["Authorization"] = f"Bearer {made.json()['key']}"
            while (await other.get("/v1/pages/acme")).status_code != 200:
                await asyncio.sleep(0.01)
            assert (await other.get("/v1/monitors")).json() == (await one.get("/v1/monitors")).json()
        async with running(engine_settings) as restarted:
            assert (await restarted.get("/v1/monitors/api")).json()["monitor"] == API

    asyncio.run(scenario())


def test_what_another_process_has_just_written_counts(engine_settings: Settings) -> None:
    async def scenario() -> None:
        async with running(engine_settings) as one, running(engine_settings) as other:
            for n in range(60):
                monitor, path = API | {"slug": f"api-{n}"}, f"/v1/monitors/api-{n}"
                first = await one.post("/v1/monitors", json=monitor)
                assert (await one.put(path, json=monitor | {"interval": "10s"})).status_code == 200
                late = await other.put(path, json=monitor, headers={"If-Match": first.headers["ETag"]})
                assert late.status_code == 412, late.text
                page = {"slug": f"acme-{n}", "groups": [{"name": "A", "monitors": [f"api-{n}"]}]}
                shown = await other.post("/v1/pages", json=page)
                assert shown.status_code == 201, shown.text
                assert (await other.delete(f"/v1/pages/acme-{n}")).status_code == 204
                assert (await one.delete(path)).status_code == 204
                key = (await one.post("/v1/keys", json={"scopes": ["read"]})).json()["key"]
                told = await other.get("/v1/monitors", headers={"Authorization": f"Bearer {key}"})
                assert told.status_code == 200, told.text
            page = {"slug": "acme", "groups": [{"name": "A", "monitors": ["never-was"]}]}
            assert (await other.post("/v1/pages", json=page)).status_code == 422

    asyncio.run(scenario())


def test_incidents_and_history_are_read_from_the_store(engine_settings: Settings) -> None:
    async def scenario() -> None:
        async with running(engine_settings) as client:
            await client.post("/v1/monitors", json=API)
            assert (await client.get("/v1/incidents")).json() == {"incidents": [], "next_cursor": None}
            now = time.time_ns() // 1_000_000
            async with open_client(engine_settings) as store:
                await fill(store, now)
            first = (await client.get("/v1/incidents", params={"limit": 2})).json()
            assert [incident["id"] for incident in first["incidents"]] == ["incident00003", "incident00002"]
            rest = (await client.get("/v1/incidents", params={"limit": 2, "cursor": first["next_cursor"]})).json()
            assert [incident["id"] for incident in rest["incidents"]] == ["incident00001"]
            assert rest["next_cursor"] is None
            only_open = (await client.get("/v1/incidents", params={"state": "open", "monitor": "api"})).json()
            assert [incident["resolved_at"] for incident in only_open["incidents"]] == [None]

            await client.post("/v1/monitors", json=API | {"slug": "web"})
            assert (await client.get("/v1/incidents", params={"monitor": "web"})).json()["incidents"] == []
            assert (await client.get("/v1/incidents", params={"monitor": "misspelt"})).status_code == 404
            await client.delete("/v1/monitors/api")
            assert len((await client.get("/v1/incidents", params={"monitor": "api"})).json()["incidents"]) == 3
            assert len((await client.get("/v1/monitors/api/history")).json()["spans"]) == 3
            await client.post("/v1/monitors", json=API)

            whole = (await client.get("/v1/incidents/incident00003")).json()
            assert [entry["kind"] for entry in whole["timeline"]] == ["opened"]
            assert whole["evidence"]["status_line"] == "HTTP/1.1 503"
            assert whole["monitor"] == "api"
            assert (await client.get("/v1/incidents/of-another")).status_code == 404

            history = (await client.get("/v1/monitors/api/history", params={"limit": 2})).json()
            assert [span["status"] for span in history["spans"]] == ["down", "up"]
            assert history["spans"][0]["end"] is None
            assert history["spans"][1]["end"] == history["spans"][0]["begin"]
            rest = await client.get("/v1/monitors/api/history", params={"cursor": history["next_cursor"]})
            assert [span["status"] for span in rest.json()["spans"]] == ["degraded"]
            assert rest.json()["spans"][0]["end"] == history["spans"][1]["begin"]

    asyncio.run(scenario())


def test_a_window_begins_with_what_lasted_into_it(engine_settings: Settings) -> None:
    async def scenario() -> None:
        async with running(engine_settings) as client:
            await client.post("/v1/monitors", json=API)
            now = time.time_ns() // 1_000_000
            async with open_client(engine_settings) as store:
                await fill(store, now)
                await store.command(
                    "INSERT INTO incidents SELECT * REPLACE (2 AS version, 'annulled' AS state) "
                    "FROM incidents WHERE id = 'incident00003'"
                )
            later = {"from": iso(now - 1_500), "to": iso(now + 60_000)}
            spans = (await client.get("/v1/monitors/api/history", params=later)).json()["spans"]
            assert [(span["status"], span["begin"], span["end"]) for span in spans] == [
                ("down", iso(now - 1_000), None),
                ("up", iso(now - 2_000), iso(now - 1_000)),
            ]
            (past,) = (
                await client.get("/v1/monitors/api/history", params={"from": iso(now - 2_500), "to": iso(now - 2_100)})
            ).json()["spans"]
            assert (past["status"], past["begin"], past["end"]) == ("degraded", iso(now - 3_000), iso(now - 2_100))
            before = {"from": iso(now - 9_000), "to": iso(now - 8_000)}
            assert (await client.get("/v1/monitors/api/history", params=before)).json()["spans"] == []

            everything = (await client.get("/v1/incidents")).json()["incidents"]
            assert [(each["state"], each["duration_ms"]) for each in everything] == [
                *(("annulled", 0), ("resolved", 500), ("resolved", 500))
            ]
            lasting = (await client.get("/v1/incidents", params={"from": iso(now - 900)})).json()["incidents"]
            assert lasting == []

    asyncio.run(scenario())


async def fill(store: AsyncClient, now: int) -> None:
    """Three incidents of a monitor, one of another workspace's, and three status changes."""
    columns = (
        "(monitor, id, version, state, severity, opened_at, decided_at, resolved_at, "
        "reason, message, evidence, entries)"
    )
    incidents = [
        ("default/api", f"incident0000{n}", "resolved" if n < 3 else "open", now - (4 - n) * 1000) for n in (1, 2, 3)
    ]
    for monitor, incident, state, at in [*incidents, ("other/api", "of-another", "open", now)]:
        resolved = at + 500 if state == "resolved" else "NULL"
        await store.command(
            f"INSERT INTO incidents {columns} SELECT '{monitor}', '{incident}', 1, '{state}', 'down', "
            f"fromUnixTimestamp64Milli({at}), fromUnixTimestamp64Milli({at}), "
            f"fromUnixTimestamp64Milli(toInt64({resolved})), 'http_status', 'HTTP 503', "
            """'{"status_line":"HTTP/1.1 503"}', """
            f"[('opened', fromUnixTimestamp64Milli({at}), 'down', 'HTTP 503', '')]"
        )
    for number, status in enumerate(("degraded", "up", "down")):
        at = now - (3 - number) * 1000
        await store.command(
            "INSERT INTO status_changes (monitor, at, version, decided_at, previous, status, reason, withdrawn) "
            f"SELECT 'default/api', fromUnixTimestamp64Milli({at}), 1, fromUnixTimestamp64Milli({at}), 'up', "
            f"'{status}', 'ok', false"
        )


def test_a_write_that_kafka_did_not_take_is_not_done_later(tmp_path: Path, engine_settings: Settings) -> None:
    ports = free_ports(2)

    async def refused(client: httpx.AsyncClient) -> None:
        began = time.monotonic()
        answer = await client.put("/v1/monitors/api", json=API)
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"
        assert time.monotonic() - began < 30

    async def scenario() -> None:
        engine = running_kafka(tmp_path / "kafka", (ports[0], ports[1]))
        address = await asyncio.to_thread(engine.__enter__)
        settings = engine_settings.model_copy(update={"kafka": address})
        await provision_topics(settings)
        async with running(settings) as client:
            assert (await client.put("/v1/monitors/web", json={**API, "slug": "web"})).status_code == 201
            await asyncio.to_thread(engine.__exit__, None, None, None)
            await refused(client)
            again = running_kafka(tmp_path / "kafka", (ports[0], ports[1]))
            await asyncio.to_thread(again.__enter__)
            try:
                while (await client.put("/v1/monitors/later", json={**API, "slug": "later"})).status_code == 503:
                    pass
                listed = (await client.get("/v1/monitors")).json()["monitors"]
                assert [monitor["slug"] for monitor in listed] == ["later", "web"]
            finally:
                await asyncio.to_thread(again.__exit__, None, None, None)

    asyncio.run(scenario())


def test_the_topic_has_the_monitor_where_its_results_go(engine_settings: Settings) -> None:
    async def scenario() -> None:
        async with running(engine_settings) as client:
            await client.post("/v1/monitors", json=API)
        consumer = AIOKafkaConsumer(
            MONITORS.name, bootstrap_servers=engine_settings.kafka, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            record = await consumer.getone()
        finally:
            await consumer.stop()
        assert record.key == b"default/api"
        assert record.partition == partition_of("default/api", engine_settings.partitions)

    asyncio.run(scenario())


def test_dead_letters_are_counted(engine_settings: Settings) -> None:
    async def scenario() -> None:
        async with running(engine_settings) as client, open_producer(engine_settings) as producer:
            assert (await client.get("/v1/system")).json()["dead_letters"] == 0
            for _ in range(3):
                await producer.send_and_wait(DEAD_LETTERS.name, b"{}", partition=0)
            assert (await client.get("/v1/system")).json()["dead_letters"] == 3

    asyncio.run(scenario())
