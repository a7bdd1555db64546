"""Every route of the document with another workspace's key: it finds nothing of ours, and changes nothing.

A new route is asked as it stands in the document; where the walk lacks a name or a body for it, the test says so.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pytest

from infra.clickhouse import open_client
from infra.settings import Settings
from query.keys import new_key
from schemas.monitors import Key, KeyScope, Record
from schemas.topics import CHECK_RESULTS, KEYS
from tests.engines import fresh_settings
from tests.query.filled import openapi_document
from tests.query.management.live import listening_service
from tests.query.management.service import ADMIN_KEY, Service, key_of_another_workspace

pytestmark = pytest.mark.engines

CANARY: Final = "canary-of-ours"
MONITOR: Final = "ours-monitor"
PAGE: Final = "ours-page"
INCIDENT: Final = "ours-incident"
MAINTENANCE: Final = "ours-maintenance"
CORRECTION: Final = "ourscorrection"
NOW: Final = datetime.now(UTC).replace(microsecond=0)
KEY_TEXT, KEY = new_key(CANARY, [KeyScope.READ], None)
NAMES: Final = {
    "monitor": MONITOR,
    "incident": INCIDENT,
    "correction": CORRECTION,
    "key_id": KEY.id,
    "form": "csv",
    "region": "eu",
}
"""What a parameter of this name is called in our workspace; a slug is what the path says."""
SLUGS: Final = {"/v1/monitors": MONITOR, "/v1/pages": PAGE, "/v1/maintenances": MAINTENANCE}
PLANNED: Final = {
    "slug": MAINTENANCE,
    "title": CANARY,
    "monitors": [MONITOR],
    "starts_at": (NOW + timedelta(days=1)).isoformat(),
    "ends_at": (NOW + timedelta(days=2)).isoformat(),
}
BODIES: Final[dict[str, Any]] = {
    "create_monitor": {"slug": MONITOR, "url": "https://theirs.example/"},
    "put_monitor": {"slug": MONITOR, "url": "https://theirs.example/"},
    "create_page": {"slug": "theirs", "groups": [{"name": "", "monitors": [MONITOR]}]},
    "put_page": {"slug": PAGE},
    "create_maintenance": PLANNED | {"title": "theirs"},
    "put_maintenance": PLANNED | {"title": "theirs"},
    "replay": {"from": (NOW - timedelta(hours=2)).isoformat(), "reason": "theirs"},
    "annul": {"from": (NOW - timedelta(hours=2)).isoformat(), "to": NOW.isoformat(), "reason": "theirs"},
    "undo": {"reason": "theirs"},
    "create_key": {"scopes": ["read"]},
    "push_results": {"region": "eu", "results": [{"monitor": MONITOR, "scheduled_at": 0, "outcome": "up"}]},
}
ELSEWHERE: Final = {"read_system", "run_sql"}
"""What tells of no workspace, and what is refused as a whole as soon as there are two (test_analytics_sql.py)."""
ORDER: Final = ("GET", "DELETE", "POST in", "PUT", "POST")
"""What writes comes last, so that nothing that is asked for was just written by them."""


@dataclass(frozen=True)
class Operation:
    """A route of the document that needs a key."""

    method: str
    path: str
    told: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.told["operationId"])

    @property
    def in_one(self) -> bool:
        """Whether it is about one thing, which its path names."""
        return "{" in self.path and "{form}" not in self.path

    @property
    def address(self) -> str:
        """The path with our names in it."""
        names = NAMES | dict(self._slug)
        wanted = [each["name"] for each in self.told.get("parameters", ()) if each["in"] == "path"]
        assert names.keys() >= set(wanted), f"tell NAMES or SLUGS what {wanted} is in {self.path}"
        return self.path.format_map(names)

    @property
    def _slug(self) -> list[tuple[str, str]]:
        return [("slug", slug) for prefix, slug in SLUGS.items() if self.path.startswith(prefix)]

    @property
    def queries(self) -> list[dict[str, Any]]:
        """With as little as it takes, and with all that names something."""
        inputs = [each for each in self.told.get("parameters", ()) if each["in"] == "query"]
        needed = {each["name"] for each in inputs if each.get("required")}
        assert NAMES.keys() >= needed, f"tell NAMES what {needed} is in {self.path}"
        named = {each["name"]: NAMES[each["name"]] for each in inputs if each["name"] in NAMES}
        return [{name: named[name] for name in needed}, named]

    @property
    def body(self) -> Any:
        if "requestBody" not in self.told:
            return None
        assert self.name in BODIES, f"tell BODIES what to send to {self.name}"
        return BODIES[self.name]


OURS: Final = (MONITOR, PAGE, INCIDENT, MAINTENANCE, CORRECTION, KEY.id)


def operations() -> list[Operation]:
    """All of them, in ORDER."""
    found = [
        Operation(method.upper(), path, told)
        for path, by_method in openapi_document()["paths"].items()
        for method, told in by_method.items()
        if told.get("security") and told["operationId"] not in ELSEWHERE
    ]
    return sorted(
        found, key=lambda each: ORDER.index("POST in" if each.in_one and each.method == "POST" else each.method)
    )


@pytest.fixture(scope="module")
def ours(kafka: str, clickhouse: str) -> Iterator[tuple[Service, httpx.Client, httpx.Client]]:
    """The service with something of ours of every kind; our client, and theirs."""
    settings = fresh_settings(kafka, clickhouse)
    with listening_service(settings.clickhouse) as (port, service):
        theirs_key = asyncio.run(key_of_another_workspace(service))
        with client(port, ADMIN_KEY) as ours, client(port, theirs_key) as theirs:
            monitor = {"slug": MONITOR, "url": "https://ours.example/", "name": CANARY}
            assert ours.post("/v1/monitors", json=monitor).status_code == 201
            page = {"slug": PAGE, "title": CANARY, "groups": [{"name": CANARY, "monitors": [MONITOR]}]}
            assert ours.post("/v1/pages", json=page).status_code == 201
            assert ours.post("/v1/maintenances", json=PLANNED).status_code == 201
            told = Record[Key](workspace="default", by="us", at=0, document=KEY)
            asyncio.run(service.log.send(KEYS.name, told.to_log(), KEY.id.encode(), 0))
            asyncio.run(fill(settings))
            yield service, ours, theirs


def client(port: int, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60, trust_env=False)


async def fill(settings: Settings) -> None:
    """A row of ours in each table that a route reads."""
    yesterday = time.time_ns() // 1_000_000_000 // 86_400 * 86_400 - 86_400
    at = f"fromUnixTimestamp64Milli(toInt64({yesterday * 1000}))"
    named = f"'default/{MONITOR}'"
    record = """'{"incidents": [], "spans_ms": [0, 0, 0, 0, 0, 0]}'"""
    async with open_client(settings) as store:
        for statement in (
            "incidents (monitor, id, version, state, severity, opened_at, decided_at, reason, message) "
            f"SELECT {named}, '{INCIDENT}', 1, 'open', 'down', {at}, {at}, 'timeout', '{CANARY}'",
            "status_changes (monitor, at, version, decided_at, previous, status, reason, message, withdrawn) "
            f"SELECT {named}, {at}, 1, {at}, 'up', 'down', 'timeout', '{CANARY}', false",
            "check_results (monitor, region, scheduled_at, version, outcome, reason, total_us, message) "
            f"SELECT {named}, 'eu', {at} + toIntervalHour(12), 1, 'down', 'timeout', 1000, '{CANARY}'",
            "corrections (monitor, id, stage, version, kind, at, since, until, policy, by, reason, before, after) "
            f"SELECT {named}, '{CORRECTION}', 1, 1, 'annul', {at}, {at}, {at}, '{{}}', 'us', '{CANARY}', "
            f"{record}, {record}",
            "uptime_buckets (monitor, step, bucket, version, known_until, up_ms) "
            f"SELECT {named}, arrayJoin(['hour', 'day']), {yesterday}, 1, {at}, 3600000",
            "latency_hourly (monitor, region, bucket, version, checks, histogram) "
            f"SELECT {named}, 'eu', {yesterday}, 1, 100, arrayMap(i -> 1, range(128))",
        ):
            await store.command(f"INSERT INTO {statement}")


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_another_workspace_finds_and_changes_nothing_of_ours(
    ours: tuple[Service, httpx.Client, httpx.Client], operation: Operation
) -> None:
    service, _, theirs = ours
    before = state_of(service)
    for query in operation.queries:
        answer = theirs.request(operation.method, operation.address, params=query, json=operation.body)

        assert answer.status_code not in (401, 403), "it was not asked at all"
        assert answer.status_code < 500, answer.text
        assert CANARY not in answer.text
        if operation.in_one and operation.method != "PUT":
            assert answer.status_code == 404
        sent = f"{operation.address} {query} {operation.body}"
        assert [name for name in OURS if name in answer.text and name not in sent] == []
    assert state_of(service) == before


@pytest.mark.parametrize(
    "operation",
    [each for each in operations() if each.method == "GET"],
    ids=lambda operation: operation.name,
)
def test_the_same_question_with_our_key_finds_it(
    ours: tuple[Service, httpx.Client, httpx.Client], operation: Operation
) -> None:
    answers = [ours[1].get(operation.address, params=query) for query in operation.queries]

    assert {answer.status_code for answer in answers} == {200}
    assert any(name in answer.text for answer in answers for name in (CANARY, *OURS))


def state_of(service: Service) -> tuple[Any, ...]:
    """All that is ours where a write would show."""
    catalog = service.context.catalog
    pushed = [record.value or b"" for record in service.log.all(CHECK_RESULTS.name)]
    return (
        catalog.monitor(f"default/{MONITOR}"),
        catalog.page(PAGE),
        catalog.maintenance(f"default/{MAINTENANCE}"),
        catalog.key(KEY.id),
        [len(table.ids_of("default")) for table in catalog._tables],
        [value for value in pushed if b"default/" in value],
    )
