"""The query service over facts that are put in by hand, without Kafka and ClickHouse."""

import asyncio
from functools import cache
from typing import Any

import httpx

from infra.kafka import LogRecord
from infra.settings import Settings
from query.app import app_of
from query.context import Context
from query.public import PublicFace
from query.reads import Bucket, Current
from query.uptime import DAY_MS, DAYS, HOUR_MS, HOURS
from schemas.enums import Reason, Status
from schemas.moments import format_moment
from schemas.monitors import Group, Maintenance, Monitor, Page, Record, maintenance_id, monitor_id


@cache
def openapi_document() -> dict[str, Any]:
    """What the service says of itself; made once, since that takes half a second."""
    return dict(Filled().get("/openapi.json").json())


class Filled:
    """A context that has read its monitors, pages and facts; `get` asks the service as a browser would."""

    def __init__(self, **settings: Any) -> None:
        self.context = Context.of(Settings(**settings))
        self.facts = self.context.facts
        self.catalog = self.context.catalog
        self.app: PublicFace = app_of(self.context)
        self.catalog.caught_up.set()
        self._offset = 0

    def monitor(self, slug: str, **fields: Any) -> str:
        """Configure a monitor; returns its id."""
        document = Monitor.model_validate({"slug": slug, "url": "https://acme.test/"} | fields)
        record = Record[Monitor](workspace="default", by="ada", at=1, document=document)
        self.put(self.catalog.monitors, monitor_id("default", slug), record.to_log())
        return monitor_id("default", slug)

    def delete_monitor(self, slug: str) -> None:
        """Delete a monitor, as an event says it."""
        record = Record[Monitor](workspace="default", by="ada", at=2, document=None)
        self.put(self.catalog.monitors, monitor_id("default", slug), record.to_log())

    def page(self, slug: str, *monitors: str, **fields: Any) -> None:
        """Configure a page with one group, or with those of `fields`."""
        document = Page(**{"slug": slug, "groups": [Group(name="All", monitors=list(monitors))], **fields})
        record = Record[Page](workspace="default", by="ada", at=1, document=document)
        self.put(self.catalog.pages, slug, record.to_log())

    def delete_page(self, slug: str) -> None:
        """Delete a page, as an event says it."""
        record = Record[Page](workspace="default", by="ada", at=2, document=None)
        self.put(self.catalog.pages, slug, record.to_log())

    def maintenance(self, slug: str, starts_at: int, ends_at: int, *monitors: str, at: int = 1, **fields: Any) -> None:
        """Announce a maintenance, or change it; moments are int ms."""
        written = {"slug": slug, "title": slug.title(), "monitors": monitors, **fields}
        times = {"starts_at": format_moment(starts_at), "ends_at": format_moment(ends_at)}
        document = Maintenance.model_validate(written | times)
        record = Record[Maintenance](workspace="default", by="ada", at=at, document=document)
        self.put(self.catalog.maintenances, maintenance_id("default", slug), record.to_log())

    def delete_maintenance(self, slug: str) -> None:
        """Delete a maintenance, as an event says it."""
        record = Record[Maintenance](workspace="default", by="ada", at=2, document=None)
        self.put(self.catalog.maintenances, maintenance_id("default", slug), record.to_log())

    def status(self, monitor: str, status: Status, now: int, reason: Reason = Reason.OK, version: int = 1) -> None:
        """What a monitor is since an hour before `now`, known until `now`."""
        self.facts.take_current(monitor, Current(version, status, now - 3_600_000, now, reason, ""))

    def up_for_90_days(self, monitor: str, now: int) -> None:
        """Full days and hours of up, and the present ones up to `now`."""
        for step_ms, count, take in ((DAY_MS, DAYS, self.facts.take_day), (HOUR_MS, HOURS, self.facts.take_hour)):
            present = now // step_ms * step_ms
            for begin in range(present, present - count * step_ms, -step_ms):
                length = min(step_ms, now - begin)
                take(monitor, Bucket(begin, begin + length, (length, 0, 0, 0, 0, 0)))

    def get(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """One request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://pulse.test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(ask())

    def put(self, table: Any, key: str, value: bytes) -> None:
        """A record of a table's topic."""
        self._offset += 1
        self.catalog.take(table, LogRecord(0, self._offset, 0, key, value))
