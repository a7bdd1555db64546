"""What `/v1` answers about monitors, pages and keys."""

from typing import Annotated

from pydantic import BaseModel, Field

from query.cursors import NextCursor
from query.times import Iso
from schemas.enums import Reason, Status
from schemas.monitors import KeyScope, Monitor, Page, Slug

Version = Annotated[int, Field(description="Grows with every change; send it as `If-Match` to change only this one.")]
Share = Annotated[float, Field(ge=0, le=1)]
Uptime = Annotated[
    Share | None, Field(description="(up + degraded) / (up + degraded + down), by time; null if nothing is known.")
]
Coverage = Annotated[Share, Field(description="The share of the time in which the status was known.")]
UpdatedBy = Annotated[str, Field(examples=["key:6fJq0aBc1xYz"])]


class MonitorSummary(BaseModel):
    """A line of the list of monitors; `monitor` is there with `?document=true`."""

    slug: Slug
    title: str
    url: str
    status: Status
    since: Iso | None
    uptime_24h: Uptime
    coverage_24h: Coverage
    version: Version
    monitor: Monitor | None = None


class MonitorList(BaseModel):
    """A page of the workspace's monitors, by slug."""

    monitors: list[MonitorSummary]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class MonitorView(BaseModel):
    """A monitor as it was written (`monitor`), and how it does."""

    slug: Slug
    title: str
    status: Status
    since: Iso | None
    reason: Reason
    message: str
    uptime_24h: Uptime
    coverage_24h: Coverage
    version: Version
    updated_at: Iso
    updated_by: UpdatedBy
    monitor: Monitor


class PageSummary(BaseModel):
    """A line of the list of pages; `page` is there with `?document=true`."""

    slug: Slug
    title: str
    url: Annotated[str, Field(examples=["https://status.example.com/p/acme"])]
    version: Version
    page: Page | None = None


class PageList(BaseModel):
    """A page of the workspace's status pages, by slug."""

    pages: list[PageSummary]
    next_cursor: Annotated[str | None, Field(description=NextCursor)]


class PageView(BaseModel):
    """A status page as it was written (`page`), and where it is."""

    slug: Slug
    title: str
    url: Annotated[str, Field(examples=["https://status.example.com/p/acme"])]
    version: Version
    updated_at: Iso
    updated_by: UpdatedBy
    page: Page


class KeyView(BaseModel):
    """An API key without its secret."""

    id: str
    name: str
    scopes: list[KeyScope]
    created_at: Iso
    created_by: UpdatedBy
    expires_at: Iso | None


class KeyList(BaseModel):
    """The workspace's keys, the oldest first."""

    keys: list[KeyView]


class NewKeyView(KeyView):
    """A key that was just made: the only time that `key` is shown."""

    key: Annotated[str, Field(examples=["pulse_6fJq0aBc1xYz_…"])]
