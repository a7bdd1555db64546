"""A page's incidents and maintenances as Atom and RSS: one entry each, its newest line first, ids that never change."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from html import escape
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from query.calendar import CALENDAR, calendar
from query.maintenances import MaintenanceState
from query.status_document import IncidentView, MaintenanceView, StatusDocument
from query.times import iso_of
from query.words import ENTRY_WORDS, MAINTENANCE_WORDS

ATOM: Final = "http://www.w3.org/2005/Atom"
FEEDS: Final = ("history.atom", "history.rss", CALENDAR)

register_namespace("atom", ATOM)


@dataclass(frozen=True, slots=True)
class _Item:
    """An incident or a maintenance, as a feed tells it; `story` is HTML."""

    id: str
    title: str
    published: datetime
    updated: datetime
    url: str
    story: str


def feed(document: StatusDocument, name: str) -> bytes:
    """The feed of this name, one of FEEDS."""
    if name == CALENDAR:
        return calendar(document)
    root = _atom(document) if name == "history.atom" else _rss(document)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode").encode()


def _atom(document: StatusDocument) -> Element:
    page, items = document.page, _items(document)
    root = Element("feed", xmlns=ATOM)
    _add(root, "id", f"{_tag(document)}:/history")
    _add(root, "title", f"{page.title}: incidents and maintenances")
    _add(root, "updated", iso_of(max((item.updated for item in items), default=document.generated_at)))
    _add(SubElement(root, "author"), "name", page.title)
    SubElement(root, "link", rel="alternate", type="text/html", href=page.url)
    SubElement(root, "link", rel="self", type="application/atom+xml", href=_feed_url(document, "history.atom"))
    for item in items:
        entry = SubElement(root, "entry")
        _add(entry, "id", item.id)
        _add(entry, "title", item.title)
        _add(entry, "published", iso_of(item.published))
        _add(entry, "updated", iso_of(item.updated))
        SubElement(entry, "link", rel="alternate", type="text/html", href=item.url)
        _add(entry, "content", item.story, type="html")
    return root


def _rss(document: StatusDocument) -> Element:
    root = Element("rss", version="2.0")
    channel = SubElement(root, "channel")
    _add(channel, "title", f"{document.page.title}: incidents and maintenances")
    _add(channel, "link", document.page.url)
    _add(channel, "description", document.page.description or document.page.title)
    own = {"rel": "self", "type": "application/rss+xml", "href": _feed_url(document, "history.rss")}
    SubElement(channel, f"{{{ATOM}}}link", own)
    for each in _items(document):
        item = SubElement(channel, "item")
        _add(item, "title", each.title)
        _add(item, "link", each.url)
        _add(item, "guid", each.id, isPermaLink="false")
        _add(item, "pubDate", format_datetime(each.published))
        _add(item, "description", each.story)
    return root


def _items(document: StatusDocument) -> list[_Item]:
    """The newest first."""
    items = [_of_incident(document, incident) for incident in document.incidents]
    items += [_of_maintenance(document, maintenance) for maintenance in document.maintenances]
    return sorted(items, key=lambda item: item.published, reverse=True)


def _of_incident(document: StatusDocument, incident: IncidentView) -> _Item:
    cause = [f"<p>{escape(incident.cause.capitalize())}.</p>"] if incident.cause else []
    return _Item(
        id=f"{_tag(document)}:Incident/{incident.monitor}/{incident.id}",
        title=incident.title,
        published=incident.opened_at,
        updated=max(
            [incident.opened_at, *(e.at for e in incident.timeline), incident.resolved_at or incident.opened_at]
        ),
        url=f"{document.page.url}#incident-{incident.id}",
        story=_story(cause, ((each.at, ENTRY_WORDS[each.kind], each.message) for each in incident.timeline)),
    )


def _of_maintenance(document: StatusDocument, maintenance: MaintenanceView) -> _Item:
    is_cancelled = maintenance.state is MaintenanceState.CANCELLED
    when = f"{iso_of(maintenance.starts_at)} to {iso_of(maintenance.ends_at)}"
    told = [f"<p>{when}: {escape(', '.join(maintenance.monitor_names))}</p>"]
    told += [f"<p>{_html(maintenance.description)}</p>"] if maintenance.description else []
    return _Item(
        id=f"{_tag(document)}:Maintenance/{maintenance.slug}",
        title=f"Maintenance{' cancelled' if is_cancelled else ''}: {maintenance.title}",
        published=maintenance.steps[-1][1],
        updated=max(maintenance.updated_at, maintenance.steps[0][1]),
        url=f"{document.page.url}#maintenance-{maintenance.slug}",
        story=_story(told, ((at, MAINTENANCE_WORDS[state], "") for state, at in maintenance.steps)),
    )


def _story(told: list[str], lines: Iterable[tuple[datetime, str, str]]) -> str:
    """HTML: what there is to tell, then lines of (at, word, message), the newest first."""
    story = told + [
        f"<p><small>{iso_of(at)}</small><br><strong>{word}</strong> {_html(message)}</p>" for at, word, message in lines
    ]
    return "".join(map(_xml_text, story))


def _html(text: str) -> str:
    return "<br>".join(escape(text).splitlines())


def _tag(document: StatusDocument) -> str:
    """RFC 4151; the page's slug stands in the host's place, which may change."""
    return f"tag:{document.page.slug}.pulse,2005"


def _feed_url(document: StatusDocument, name: str) -> str:
    parts = urlsplit(document.page.url)
    folder = "" if parts.path in ("", "/") else parts.path
    return f"{parts.scheme}://{parts.netloc}{folder}/{name}"


def _add(parent: Element, tag: str, text: str, **attributes: str) -> None:
    SubElement(parent, tag, attributes).text = _xml_text(text)


def _xml_text(text: str) -> str:
    """Without the characters that XML has no way to write."""
    return "".join(
        c for c in text if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff" and not "\ud800" <= c <= "\udfff")
    )
