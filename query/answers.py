"""Makes the answers of the public face, and keeps each until what it says has changed."""

import asyncio
import time
from collections import OrderedDict, defaultdict
from functools import lru_cache
from typing import Any, Final

import orjson

from infra.logs import get_logger
from infra.settings import Settings
from query.badges import BadgeKind, monitor_badge, page_badge, svg
from query.catalog import Catalog, Entry
from query.compose import compose, moment, monitors_of, stale_since
from query.facts import Facts
from query.feeds import feed
from query.page import render_page
from query.snapshots import Edition, Kind, Snapshot, Snapshots
from query.status_document import Day, StatusDocument
from query.statuspage import statuspage
from query.targets import BADGE_VIEWS, Target, target_of
from query.turns import Steps, at_once, in_turns
from schemas.monitors import Page, monitor_id
from schemas.topics import MAINTENANCES, MONITORS, PAGES, Topic

MADE_AGAIN_AFTER_MS: Final = 8_000
"""Uptime figures grow all the time, and maintenances begin; a change of status does not wait for this."""
GIVEN_FOR_MS: Final = 20_000
"""What is older is made before it is given, and not after: nobody may have asked for long."""
BADGES_GIVEN_FOR_MS: Final = 60_000
"""Caches keep them for minutes anyhow."""
GIVEN_WHILE_WAITING_MS: Final = 120_000
"""Where more is asked for than can be made again so soon, what waits for its turn is given meanwhile."""
SPREAD_MS: Final = 4_000
"""Each answer waits for a time of its own, up to so much longer: what was asked for at once is not made at once."""

OPEN_TO_ALL: Final = [(b"access-control-allow-origin", b"*")]
PAGE_POLICY: Final = (
    b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SVG_POLICY: Final = b"default-src 'none'; style-src 'unsafe-inline'; sandbox"
SHORT: Final = b"public, max-age=5, stale-while-revalidate=10, stale-if-error=86400"
STATUSPAGE: Final = b"max-age=10, public, s-maxage=10, stale-while-revalidate=20, stale-if-error=3600"
FEED: Final = b"public, max-age=60, stale-if-error=86400"
BADGE: Final = b"public, max-age=300, stale-if-error=86400"
KINDS: Final = {
    "page": Kind(b"text/html; charset=utf-8", SHORT, [(b"content-security-policy", PAGE_POLICY)]),
    "status": Kind(b"application/json", SHORT, OPEN_TO_ALL),
    "v2": Kind(b"application/json; charset=utf-8", STATUSPAGE, OPEN_TO_ALL),
    "history.atom": Kind(b"application/atom+xml; charset=utf-8", FEED, OPEN_TO_ALL),
    "history.rss": Kind(b"application/rss+xml; charset=utf-8", FEED, OPEN_TO_ALL),
    "maintenance.ics": Kind(b"text/calendar; charset=utf-8", FEED, OPEN_TO_ALL),
    "svg": Kind(b"image/svg+xml", BADGE, [*OPEN_TO_ALL, (b"content-security-policy", SVG_POLICY)]),
    "json": Kind(b"application/json", BADGE, OPEN_TO_ALL),
}
KINDS_WHILE_OLD: Final = KINDS | {
    "svg": Kind(b"image/svg+xml", SHORT, [*OPEN_TO_ALL, (b"content-security-policy", SVG_POLICY)]),
    "json": Kind(b"application/json", SHORT, OPEN_TO_ALL),
}
"""While ClickHouse is away, or was not read yet: what is newer may come at any moment, and no cache is to miss it."""
DAYS_KEPT: Final = 20_000
JSON_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_log = get_logger(__name__)


class Answers:
    """Answers by address. One is made when it is asked for, and again when it was overtaken."""

    def __init__(self, settings: Settings, catalog: Catalog, facts: Facts) -> None:
        self.snapshots = Snapshots(settings.snapshot_bytes)
        self.failures = 0
        """Answers that could not be made again, so that the one before it was given."""
        self._catalog = catalog
        self._facts = facts
        self._base_url = settings.base_url
        self._editions: defaultdict[str, Edition] = defaultdict(Edition)
        """The present ones of pages that were asked for."""
        self._pages_of_monitor: defaultdict[str, set[str]] = defaultdict(set)
        self._monitors_of_page: dict[str, set[str]] = {}
        self._monitors_of_maintenance: dict[str, set[str]] = {}
        self._aged: OrderedDict[Target, None] = OrderedDict()
        """What was given although it was to be made again, the first one first."""
        self._making: asyncio.Task[None] | None = None
        catalog.on_change(self._on_configuration)
        facts.on_change(self._on_monitor)

    def at(self, address: bytes) -> Snapshot | None:
        """The answer at a public address, or None when there is none. A fresh one is found without parsing it."""
        kept, now = self.snapshots.get(address), time.time_ns() // 1_000_000
        if kept is not None and not self._is_overtaken(kept, now) and now - kept.made_at < MADE_AGAIN_AFTER_MS:
            return kept
        target = target_of(address)
        return None if target is None else self.find(target)

    def find(self, target: Target) -> Snapshot | None:
        """The answer, or None when there is no such page, monitor or badge."""
        page = self._catalog.page(target.slug)
        if page is None:
            return None
        now = time.time_ns() // 1_000_000
        kept = self.snapshots.get(target.address)
        if kept is None or self._is_overtaken(kept, now):
            return at_once(self._make(target, page, kept, now))
        age_ms = now - kept.made_at
        if age_ms >= self._given_for_ms(target):
            return at_once(self._make(target, page, kept, now))
        if age_ms >= MADE_AGAIN_AFTER_MS + hash(target) % SPREAD_MS:
            self._make_soon(target)
        return kept

    def _given_for_ms(self, target: Target) -> int:
        if target in self._aged:
            return GIVEN_WHILE_WAITING_MS
        return BADGES_GIVEN_FOR_MS if target.view in BADGE_VIEWS else GIVEN_FOR_MS

    def _is_overtaken(self, kept: Snapshot, now: int) -> bool:
        """Whether it says what is no longer so."""
        return kept.edition.is_over or kept.stale_since != self._facts.stale_since(now)

    def _make_soon(self, target: Target) -> None:
        self._aged[target] = None
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make_aged())

    async def _make_aged(self) -> None:
        """Make them again, one after the other; others have their turn after each, and after each of its steps."""
        while self._aged:
            target = next(iter(self._aged))
            page, kept = self._catalog.page(target.slug), self.snapshots.get(target.address)
            now = time.time_ns() // 1_000_000
            if page is not None and kept is not None and now - kept.made_at >= MADE_AGAIN_AFTER_MS:
                await in_turns(self._make(target, page, kept, now))
            del self._aged[target]
            await asyncio.sleep(0)

    def _make(self, target: Target, page: Entry[Page], kept: Snapshot | None, now: int) -> Steps[Snapshot | None]:
        edition, stale_since = self._editions[target.slug], self._facts.stale_since(now)
        try:
            content = yield from self._content(target, page, now)
        except Exception:
            if kept is None:
                raise
            self.failures += 1
            _log.exception("an answer could not be made; the one before it is given", page=target.slug)
            return kept
        if content is None:
            return None
        kinds = KINDS if stale_since is None else KINDS_WHILE_OLD
        kind = kinds[target.file if target.view == "feed" else target.view]
        snapshot = Snapshot(kind, content, now, edition, stale_since, before=kept)
        self.snapshots.keep(target.address, snapshot)
        return snapshot

    def _content(self, target: Target, page: Entry[Page], now: int) -> Steps[bytes | None]:
        if target.view in BADGE_VIEWS:
            return self._badge(target, page, now)
        document = yield from compose(page, self._catalog, self._facts, self._base_url, now)
        if target.view == "page":
            return (yield from render_page(document))
        if target.view == "feed":
            return feed(document, target.file)
        return _json(statuspage(document, target.file)) if target.view == "v2" else document_json(document)

    def _badge(self, target: Target, page: Entry[Page], now: int) -> bytes | None:
        shown = [e for e in monitors_of(page, self._catalog) if target.monitor in ("", e.document.slug)]
        if target.monitor:
            if not shown:
                return None
            badge = monitor_badge(target.badge, target.window, shown[0], self._facts.of(shown[0].id), now)
        elif target.badge is BadgeKind.LATENCY:
            return None
        else:
            badge = page_badge(target.badge, target.window, page.document, shown, self._facts, now)
        if target.badge is BadgeKind.STATUS and (at := stale_since(shown, self._facts, now)) is not None:
            badge = badge.as_of(moment(at))
        badge = badge.labelled(target.label)
        return _json(badge.endpoint()) if target.view == "json" else svg(badge).encode()

    def _on_monitor(self, monitor: str) -> None:
        for slug in self._pages_of_monitor.get(monitor, ()):
            self._end_edition(slug)

    def _on_configuration(self, topic: Topic, changed: str) -> None:
        if topic is MONITORS:
            self._on_monitor(changed)
            if self._catalog.monitor(changed) is None:
                self._facts.forget_present(changed)
        elif topic is PAGES:
            self._link(changed)
            self._end_edition(changed)
        elif topic is MAINTENANCES:
            self._on_maintenance(changed)

    def _end_edition(self, slug: str) -> None:
        """All answers of the page are overtaken."""
        edition = self._editions.pop(slug, None)
        if edition is not None:
            edition.is_over = True

    def _on_maintenance(self, changed: str) -> None:
        """Tell the pages of the monitors that it names now, and of those that it named before."""
        entry = self._catalog.maintenance(changed)
        named = {monitor_id(entry.workspace, slug) for slug in entry.document.monitors} if entry else set()
        for monitor in named | self._monitors_of_maintenance.pop(changed, set()):
            self._on_monitor(monitor)
        if named:
            self._monitors_of_maintenance[changed] = named

    def _link(self, slug: str) -> None:
        """Note which monitors a page names, whether or not they exist yet."""
        for monitor in self._monitors_of_page.pop(slug, ()):
            self._pages_of_monitor[monitor].discard(slug)
        page = self._catalog.page(slug)
        if page is not None:
            named = {monitor_id(page.workspace, each) for group in page.document.groups for each in group.monitors}
            self._monitors_of_page[slug] = named
            for monitor in named:
                self._pages_of_monitor[monitor].add(slug)


def document_json(document: StatusDocument) -> bytes:
    """The status document as JSON; its days, which are most of it, were written before."""
    groups = [
        {"name": group.name, "monitors": [_fields(view) | {"days": _days_json(view.days)} for view in group.monitors]}
        for group in document.groups
    ]
    return _json(_fields(document) | {"groups": groups})


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _days_json(days: list[Day]) -> orjson.Fragment:
    return orjson.Fragment(b"[" + b",".join(map(_day_json, days)) + b"]")


@lru_cache(maxsize=DAYS_KEPT)
def _day_json(day: Day) -> bytes:
    return _json(day)


def _json(value: object) -> bytes:
    """JSON in a buffer of its own size: orjson keeps the one that it has grown, 4 kB at least."""
    return bytes(memoryview(orjson.dumps(value, option=JSON_OPTIONS)))
