"""A small company's 90 days, written by hand into tables and topics: what pages and badges are tested with."""

import time
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.clickhouse import open_client
from infra.kafka import open_producer, partition_of
from infra.settings import Settings
from schemas.monitors import Group, Monitor, Page, Record, monitor_id
from schemas.topics import MONITORS, PAGES

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
WORKSPACE = "default"
SLUG = "acme"
DOMAIN = "status.acme.test"

SLUGS = ("api", "checkout", "search", "mail", "docs")
NAMES = {
    "api": "Public API",
    "checkout": "Checkout",
    "search": "Search",
    "mail": "Mail delivery",
    "docs": "Documentation",
}
STATUSES = {"api": "up", "checkout": "down", "search": "degraded", "mail": "unknown", "docs": "up"}
REASONS = {"api": "ok", "checkout": "http_status", "search": "component", "mail": "no_results", "docs": "ok"}
MESSAGES = {"checkout": "HTTP 502 Bad Gateway", "search": "cache: connection refused"}

PAGE = Page(
    slug=SLUG,
    title="Acme",
    description="What our customers use, checked every 30 seconds.",
    domains=[DOMAIN],
    groups=[
        Group(name="Shop", monitors=["api", "checkout", "search"]),
        Group(name="Around it", monitors=["mail", "docs"]),
    ],
)


@dataclass(frozen=True)
class Story:
    """Writes itself into an installation; `now` is int ms."""

    settings: Settings
    now: int

    @property
    def known_until(self) -> int:
        """When everything was last confirmed."""
        return self.now - 2_000

    @property
    def broken_since(self) -> int:
        """When checkout went down."""
        return self.now - 23 * 60_000

    async def tell(self) -> None:
        """Configuration into Kafka, facts into ClickHouse."""
        await self.configure([PAGE])
        async with open_client(self.settings) as client:
            await self.fill(client)

    async def configure(self, pages: list[Page]) -> None:
        """Write the monitors and these pages as events."""
        async with open_producer(self.settings) as producer:
            for slug in SLUGS:
                monitor = Monitor.model_validate(
                    {"slug": slug, "name": NAMES[slug], "url": f"https://acme.test/{slug}", "interval": "30s"}
                )
                record = Record[Monitor](workspace=WORKSPACE, by="ada", at=self.now, document=monitor)
                key = monitor_id(WORKSPACE, slug)
                partition = partition_of(key, self.settings.partitions)
                await producer.send_and_wait(MONITORS.name, record.to_log(), key.encode(), partition=partition)
            for page in pages:
                told = Record[Page](workspace=WORKSPACE, by="ada", at=self.now, document=page)
                await producer.send_and_wait(PAGES.name, told.to_log(), page.slug.encode())

    async def fill(self, client: AsyncClient) -> None:
        """Write what the stream would have written."""
        await self._status(client, STATUSES, version=100)
        await self._uptime(client)
        await self._latency(client)
        await self._incidents(client)
        await _insert(
            client,
            "components",
            ("monitor", "region", "component", "version", "at", "outcome", "message", "gone"),
            [
                (_id("search"), "eu", "database", 1, self.broken_since, "up", "", False),
                (_id("search"), "eu", "cache", 1, self.broken_since, "down", "connection refused", False),
                (_id("search"), "us", "cache", 1, self.broken_since, "up", "", False),
                (_id("search"), "us", "queue", 1, self.broken_since, "up", "", True),
                (_id("api"), "eu", "database", 1, self.now - DAY_MS, "up", "", False),
                (_id("api"), "eu", "cache", 1, self.now - DAY_MS, "up", "", False),
                (_id("api"), "silent", "cache", 1, self.now - HOUR_MS, "unknown", "", False),
            ],
        )

    async def _status(self, client: AsyncClient, statuses: dict[str, str], version: int) -> None:
        rows = [
            (
                _id(slug),
                version,
                status,
                self.now - 3 * DAY_MS if status == "up" else self.broken_since,
                self.known_until,
                REASONS[slug],
                MESSAGES.get(slug, ""),
                "",
                False,
            )
            for slug, status in statuses.items()
        ]
        names = ("monitor", "version", "status", "since", "known_until", "reason", "message", "incident", "deleted")
        await _insert(client, "current_status", names, rows)

    async def _uptime(self, client: AsyncClient) -> None:
        names = ("monitor", "step", "bucket", "version", "known_until", *_SPANS)
        rows: list[tuple[Any, ...]] = []
        today = self.now // DAY_MS * DAY_MS
        for slug in SLUGS:
            for age in range(90):
                bucket = today - age * DAY_MS
                length = min(DAY_MS, self.broken_since - bucket)
                spans = self._spans_of_day(slug, age, length)
                if spans is not None and length > 0:
                    rows.append((_id(slug), "day", bucket // 1000, 1, bucket + length, *spans))
            for age in range(30):
                bucket = self.now // HOUR_MS * HOUR_MS - age * HOUR_MS
                length = min(HOUR_MS, self.broken_since - bucket)
                if length > 0:
                    rows.append((_id(slug), "hour", bucket // 1000, 1, bucket + length, length, 0, 0, 0, 0, 0))
        await _insert(client, "uptime_buckets", names, rows)

    def _spans_of_day(self, slug: str, age: int, length: int) -> tuple[int, ...] | None:
        if slug == "mail" and age > 40:
            return None
        if slug == "checkout" and age in (12, 13, 47):
            return (length - 2 * HOUR_MS, 0, 2 * HOUR_MS, 0, 0, 0)
        if slug == "search" and age in (3, 20, 21, 22, 61):
            return (length - 4 * HOUR_MS, 4 * HOUR_MS, 0, 0, 0, 0)
        if slug == "docs" and age == 30:
            return (length - 3 * HOUR_MS, 0, 0, 0, 3 * HOUR_MS, 0)
        if slug == "mail" and age in (7, 8):
            return (0, 0, 0, length, 0, 0)
        return (length, 0, 0, 0, 0, 0)

    async def _latency(self, client: AsyncClient) -> None:
        names = ("monitor", "region", "bucket", "version", "checks", "total_us", "histogram")
        rows = []
        for slug, middle in (("api", 42), ("checkout", 57), ("search", 74), ("docs", 31)):
            histogram = [0] * 128
            for offset, count in ((-2, 10), (-1, 25), (0, 40), (1, 20), (6, 4), (14, 1)):
                histogram[middle + offset] = count
            for age in range(24):
                bucket = (self.now // HOUR_MS - age) * 3_600
                rows.append((_id(slug), "eu", bucket, 1, 100, 5_000_000, histogram))
        await _insert(client, "latency_hourly", names, rows)

    async def _incidents(self, client: AsyncClient) -> None:
        since, earlier = self.broken_since, self.now - 12 * DAY_MS
        failure = '[{"test":"$.cache equals ok","severity":"degraded","expected":"ok","seen":"fail","message":""}]'
        opened = ("opened", since, "down", "HTTP 502 Bad Gateway from eu and us", "")
        update = ("update", since + 9 * 60_000, "down", "A deploy is being rolled back.", "Ada, on call")
        names = (
            *("monitor", "id", "version", "state", "severity", "opened_at", "decided_at", "resolved_at"),
            *("reason", "message", "regions", "components", "failures", "evidence", "entries"),
        )
        rows = [
            (
                *(_id("checkout"), "c-2", 7, "open", "down", since, since + 60_000, None),
                *("http_status", "HTTP 502 Bad Gateway", ["eu", "us"], [], "[]"),
                *('{"status_line":"HTTP/1.1 502 Bad Gateway","body":"secret-stack-trace"}', [opened, update]),
            ),
            (
                *(_id("search"), "s-9", 8, "open", "degraded", since, since + 60_000, None),
                *("component", "cache: connection refused", ["eu"], ["cache"], failure, ""),
                [("opened", since, "degraded", "cache: connection refused", "")],
            ),
            (
                *(_id("checkout"), "c-1", 3, "resolved", "down", earlier, earlier + 60_000, earlier + 2 * HOUR_MS),
                *("timeout", "no answer in 10 s", ["eu"], [], "[]", ""),
                [
                    ("opened", earlier, "down", "no answer in 10 s", ""),
                    ("resolved", earlier + 2 * HOUR_MS, "up", "", ""),
                ],
            ),
            (
                *(_id("docs"), "d-1", 4, "annulled", "down", earlier, earlier, earlier + HOUR_MS),
                *("timeout", "never was", ["eu"], [], "[]", "", []),
            ),
        ]
        await _insert(client, "incidents", names, rows)


_SPANS = ("up_ms", "degraded_ms", "down_ms", "unknown_ms", "maintenance_ms", "paused_ms")


def _id(slug: str) -> str:
    return monitor_id(WORKSPACE, slug)


async def _insert(client: AsyncClient, table: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    await client.insert(table, rows, list(names))


def story_of(settings: Settings) -> Story:
    """The story as of now."""
    return Story(settings, time.time_ns() // 1_000_000)
