"""A page's incidents as Atom and RSS: one entry an incident, its newest line first, ids that never change."""

from datetime import datetime
from email.utils import format_datetime
from html import escape
from typing import Final
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from query.status_document import IncidentView, StatusDocument
from query.times import iso
from query.words import ENTRY_WORDS

ATOM: Final = "http://www.w3.org/2005/Atom"
FEEDS: Final = ("history.atom", "history.rss")

register_namespace("atom", ATOM)


def feed(document: StatusDocument, name: str) -> bytes:
    """The feed of this name, one of FEEDS."""
    root = _atom(document) if name == "history.atom" else _rss(document)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode").encode()


def _atom(document: StatusDocument) -> Element:
    page = document.page
    root = Element("feed", xmlns=ATOM)
    _add(root, "id", f"{_tag(document)}:/history")
    _add(root, "title", f"{page.title}: incidents")
    _add(root, "updated", _iso(max((_changed_at(each) for each in document.incidents), default=document.generated_at)))
    _add(SubElement(root, "author"), "name", page.title)
    SubElement(root, "link", rel="alternate", type="text/html", href=page.url)
    SubElement(root, "link", rel="self", type="application/atom+xml", href=_feed_url(document, "history.atom"))
    for incident in _newest_first(document):
        entry = SubElement(root, "entry")
        _add(entry, "id", f"{_tag(document)}:Incident/{incident.monitor}/{incident.id}")
        _add(entry, "title", incident.title)
        _add(entry, "published", _iso(incident.opened_at))
        _add(entry, "updated", _iso(_changed_at(incident)))
        SubElement(entry, "link", rel="alternate", type="text/html", href=_url(document, incident))
        _add(entry, "content", _story(incident), type="html")
    return root


def _rss(document: StatusDocument) -> Element:
    root = Element("rss", version="2.0")
    channel = SubElement(root, "channel")
    _add(channel, "title", f"{document.page.title}: incidents")
    _add(channel, "link", document.page.url)
    _add(channel, "description", document.page.description or document.page.title)
    own = {"rel": "self", "type": "application/rss+xml", "href": _feed_url(document, "history.rss")}
    SubElement(channel, f"{{{ATOM}}}link", own)
    for incident in _newest_first(document):
        item = SubElement(channel, "item")
        _add(item, "title", incident.title)
        _add(item, "link", _url(document, incident))
        _add(item, "guid", f"{_tag(document)}:Incident/{incident.monitor}/{incident.id}", isPermaLink="false")
        _add(item, "pubDate", format_datetime(incident.opened_at))
        _add(item, "description", _story(incident))
    return root


def _story(incident: IncidentView) -> str:
    """HTML: the cause, then the timeline with its newest line first."""
    told = [f"<p>{escape(incident.cause.capitalize())}.</p>"] if incident.cause else []
    told += [
        f"<p><small>{_iso(entry.at)}</small><br><strong>{ENTRY_WORDS[entry.kind]}</strong> {escape(entry.message)}</p>"
        for entry in incident.timeline
    ]
    return "".join(_xml_text(each) for each in told)


def _newest_first(document: StatusDocument) -> list[IncidentView]:
    return sorted(document.incidents, key=lambda incident: incident.opened_at, reverse=True)


def _changed_at(incident: IncidentView) -> datetime:
    return max(
        [incident.opened_at, *(entry.at for entry in incident.timeline), incident.resolved_at or incident.opened_at]
    )


def _tag(document: StatusDocument) -> str:
    """RFC 4151; the page's slug stands in the host's place, which may change."""
    return f"tag:{document.page.slug}.pulse,2005"


def _url(document: StatusDocument, incident: IncidentView) -> str:
    return f"{document.page.url}#incident-{incident.id}"


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


def _iso(at: datetime) -> str:
    return iso(round(at.timestamp() * 1000))
