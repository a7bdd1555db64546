"""The query service over the real engines, with tables filled by hand."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.kafka import open_producer
from infra.settings import Settings
from query.facts import STALE_AFTER_MS
from schemas.enums import IncidentState, Reason, Severity, Status
from schemas.events import Event, Incident, StatusChange, encode
from schemas.topics import INCIDENTS, STATUS_CHANGES
from tests.engines import answers, free_ports, fresh_settings, running, running_kafka
from tests.query.service import is_ready, running_query, wait_until
from tests.query.story import SLUG, Story, story_of

pytestmark = pytest.mark.engines
ADDRESSES = (f"/p/{SLUG}", f"/status/{SLUG}", f"/badges/{SLUG}/status.svg", f"/badges/{SLUG}/api/uptime.json")


@pytest.fixture(scope="module")
def told(kafka: str, clickhouse: str) -> Iterator[tuple[Story, httpx.Client]]:
    """A running service over the story."""
    story = story_of(fresh_settings(kafka, clickhouse))
    asyncio.run(story.tell())
    with running_query(story.settings) as client:
        yield story, client


def status_of(client: httpx.Client) -> dict[str, Any]:
    """The page's document."""
    answer = client.get(f"/status/{SLUG}")
    assert answer.status_code == 200
    return dict(answer.json())


def monitors_of(client: httpx.Client) -> dict[str, dict[str, Any]]:
    """The page's monitors by slug."""
    return {monitor["slug"]: monitor for group in status_of(client)["groups"] for monitor in group["monitors"]}


def tell(settings: Settings, topic: str, event: Event) -> None:
    """What the stream would have said."""

    async def send() -> None:
        async with open_producer(settings) as producer:
            await producer.send_and_wait(topic, encode(event))

    asyncio.run(send())


def test_statuses_components_and_causes_are_those_of_the_tables(told: tuple[Story, httpx.Client]) -> None:
    monitors = monitors_of(told[1])

    assert {slug: monitor["status"] for slug, monitor in monitors.items()} == {
        "api": "up",
        "checkout": "down",
        "search": "degraded",
        "mail": "unknown",
        "docs": "up",
    }
    assert monitors["checkout"]["cause"] == "it answered with an error status"
    components = [(each["name"], each["status"]) for each in monitors["search"]["components"]]
    assert components == [("cache", "down"), ("database", "up")]
    assert {each["status"] for each in monitors["api"]["components"]} == {"up"}


def test_days_uptimes_and_coverage_follow_the_buckets_and_the_present(told: tuple[Story, httpx.Client]) -> None:
    story, client = told
    monitors = monitors_of(client)
    down_ms = story.known_until - story.broken_since

    assert monitors["checkout"]["uptime"]["24h"]["down_ms"] == down_ms
    assert monitors["checkout"]["uptime"]["90d"]["down_ms"] == down_ms + 3 * 2 * 3_600_000
    assert monitors["checkout"]["days"][-13]["status"] == "down"
    assert monitors["search"]["uptime"]["90d"]["uptime"] == 1.0
    assert monitors["mail"]["days"][0] == {**monitors["mail"]["days"][0], "status": "unknown", "uptime": None, "ms": {}}
    assert 0.4 < monitors["mail"]["uptime"]["90d"]["coverage"] < 0.5


def test_latency_quantiles_lie_in_the_bins_of_the_histogram(told: tuple[Story, httpx.Client]) -> None:
    latency = monitors_of(told[1])["api"]["latency"]

    assert latency["checks"] == 2_400
    for quantile, place in (("p50_ms", 42), ("p95_ms", 43), ("p99_ms", 48)):
        assert 2 ** (place / 8) <= latency[quantile] <= 2 ** ((place + 1) / 8) + 0.01


def test_incidents_tell_their_story_and_no_secrets(told: tuple[Story, httpx.Client]) -> None:
    answer = told[1].get(f"/status/{SLUG}")
    incidents = {incident["id"]: incident for incident in answer.json()["incidents"]}

    assert list(incidents)[-1] == "c-1"
    assert incidents.keys() == {"c-1", "c-2", "s-9"}
    assert [entry["kind"] for entry in incidents["c-2"]["timeline"]] == ["update", "opened"]
    assert incidents["c-2"]["answered"] == "HTTP/1.1 502 Bad Gateway"
    assert incidents["s-9"]["failures"][0]["seen"] == "fail"
    assert "secret-stack-trace" not in answer.text


def test_a_badge_says_what_the_page_says(told: tuple[Story, httpx.Client]) -> None:
    told_by = {path: told[1].get(f"/badges/{SLUG}/{path}.json").json()["message"] for path in ("status", "docs/uptime")}

    assert told_by == {"status": "down", "docs/uptime": "100%"}


def test_a_told_change_shows_before_clickhouse_has_it_and_an_older_row_does_not_undo_it(
    told: tuple[Story, httpx.Client],
) -> None:
    story, client = told
    change = StatusChange(
        "default/docs", story.now, 900, story.now, Status.UP, Status.DOWN, Reason.TIMEOUT, "no answer in 10 s"
    )
    incident = Incident(
        "d-2", "default/docs", 900, IncidentState.OPEN, Severity.DOWN, story.now, story.now, Reason.TIMEOUT, ""
    )
    tell(story.settings, STATUS_CHANGES.name, change)
    tell(story.settings, INCIDENTS.name, incident)

    wait_until(lambda: monitors_of(client)["docs"]["status"] == "down", "docs is down")
    wait_until(lambda: "d-2" in {each["id"] for each in status_of(client)["incidents"]}, "its incident is open")
    assert client.get(f"/badges/{SLUG}/docs/status.json").json()["message"] == "down"


def test_with_clickhouse_killed_everything_asked_before_still_answers_and_is_fresh_after_its_return(
    kafka: str, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    with clickhouse_at(port, tmp_path) as (url, process):
        story = story_of(fresh_settings(kafka, url))
        asyncio.run(story.tell())
        with running_query(story.settings) as client:
            wait_until(lambda: monitors_of(client)["checkout"]["status"] == "down", "the tables were read")
            assert all("age" not in client.get(path).headers for path in ADDRESSES)
            process.kill()
            wait_until(lambda: "clickhouse" in client.get("/readyz").json()["missing"], "the service has noticed")
            wait_until(lambda: "age" in client.get(ADDRESSES[-1]).headers, "answers say how old they are")

            told = [client.get(path) for path in ADDRESSES]
            assert [answer.status_code for answer in told] == [200] * len(ADDRESSES)
            assert all(int(answer.headers["age"]) >= STALE_AFTER_MS // 1000 for answer in told)
            assert "These figures are old" in told[0].text
            assert monitors_of(client)["checkout"]["status"] == "down"

            with clickhouse_at(port, tmp_path):
                wait_until(lambda: is_ready(client), "the service is ready again")
                assert all("age" not in client.get(path).headers for path in ADDRESSES)
                assert "These figures are old" not in client.get(ADDRESSES[0]).text


def test_with_kafka_away_everything_still_answers_even_after_a_restart(clickhouse: str, tmp_path: Path) -> None:
    kafka_ports = free_ports(2)
    with ExitStack() as broker:
        kafka = broker.enter_context(running_kafka(tmp_path, (kafka_ports[0], kafka_ports[1])))
        story = story_of(fresh_settings(kafka, clickhouse))
        asyncio.run(story.tell())
        with running_query(story.settings) as client:
            wait_until(lambda: monitors_of(client)["checkout"]["status"] == "down", "the tables were read")
            broker.close()

            wait_until(lambda: "kafka" in client.get("/readyz").json()["missing"], "the service has noticed")
            assert monitors_of(client)["checkout"]["status"] == "down"
            assert [client.get(path).status_code for path in ADDRESSES] == [200] * len(ADDRESSES)

    with running_query(story.settings, until=answers_at_all) as client:
        wait_until(lambda: monitors_of(client)["checkout"]["status"] == "down", "the tables were read")
        assert [client.get(path).status_code for path in ADDRESSES] == [200] * len(ADDRESSES)
        assert "is a copy of" in client.get("/readyz").json()["missing"]["configuration"]
        with running_kafka(tmp_path, (kafka_ports[0], kafka_ports[1])):
            wait_until(lambda: is_ready(client), "the log was read again", 60)
            assert monitors_of(client)["checkout"]["status"] == "down"


def answers_at_all(client: httpx.Client) -> bool:
    """Whether it says anything."""
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def clickhouse_at(port: int, folder: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """An embedded ClickHouse at this port over this folder; gives its URL and its process."""
    command = [sys.executable, "-m", "infra.embedded.clickhouse", "--data", str(folder), "--port", str(port)]
    with running(command, folder / "output.log") as process:
        ping = f"http://127.0.0.1:{port}/ping"
        wait_until(lambda: answers(ping), "ClickHouse answers")
        yield f"http://default:{(folder / 'password').read_text('ascii').strip()}@127.0.0.1:{port}", process
