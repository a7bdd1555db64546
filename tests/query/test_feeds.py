"""Feeds: readable by any reader, ids that stay, and nothing that breaks XML."""

from xml.etree import ElementTree

import pytest

from query.feeds import ATOM
from query.times import iso
from schemas.enums import EntryKind, IncidentState, Reason, Severity, Status
from schemas.events import Incident, TimelineEntry
from tests.query.filled import Filled
from tests.query.test_public import now_ms

HOSTILE = "<script>&\x00\x1b]]>"


@pytest.fixture
def filled() -> Filled:
    filled, now = Filled(public_url="https://pulse.test"), now_ms()
    filled.monitor("api", name="Public API")
    filled.page("acme", "api", title="Acme")
    filled.status("default/api", Status.DOWN, now, Reason.TIMEOUT)
    for number in (1, 2):
        opened_at = now - number * 3_600_000
        entry = TimelineEntry(EntryKind.OPENED, opened_at, Status.DOWN, HOSTILE)
        filled.facts.take_incident(
            Incident(
                *(f"i-{number}", "default/api", 1, IncidentState.OPEN, Severity.DOWN, opened_at, opened_at),
                *(Reason.TIMEOUT, ""),
                entries=(entry,),
            )
        )
    return filled


def test_atom_has_one_entry_an_incident_the_newest_first(filled: Filled) -> None:
    answer = filled.get("/p/acme/history.atom")
    root = ElementTree.fromstring(answer.content)
    ids = [entry.findtext(f"{{{ATOM}}}id") for entry in root.iter(f"{{{ATOM}}}entry")]

    assert answer.headers["content-type"] == "application/atom+xml; charset=utf-8"
    assert ids == ["tag:acme.pulse,2005:Incident/api/i-1", "tag:acme.pulse,2005:Incident/api/i-2"]
    assert root.find(f"{{{ATOM}}}link[@rel='self']") is not None
    assert all(root.findtext(f"{{{ATOM}}}{name}") for name in ("id", "title"))
    assert root.findtext(f"{{{ATOM}}}updated") == root.findtext(f"{{{ATOM}}}entry/{{{ATOM}}}updated")


def test_rss_has_the_same(filled: Filled) -> None:
    answer = filled.get("/p/acme/history.rss")
    items = list(ElementTree.fromstring(answer.content).iter("item"))

    assert [item.findtext("title") for item in items] == ["Public API is down", "Public API is down"]
    assert all(item.findtext("guid") and item.findtext("pubDate") for item in items)


def test_what_people_write_is_escaped_twice_in_html_content(filled: Filled) -> None:
    root = ElementTree.fromstring(filled.get("/p/acme/history.atom").content)
    content = root.findtext(f".//{{{ATOM}}}content") or ""

    assert "&lt;script&gt;&amp;" in content
    assert "<script" not in content


def test_a_maintenance_is_an_entry_that_is_new_again_when_it_begins(filled: Filled) -> None:
    now = now_ms()
    filled.maintenance(
        "upgrade", now - 60_000, now + 60_000, "api", at=now - 120_000, title="Upgrade", description="<b>"
    )

    root = ElementTree.fromstring(filled.get("/p/acme/history.atom").content)
    entry = next(root.iter(f"{{{ATOM}}}entry"))
    told = {
        name: entry.findtext(f"{{{ATOM}}}{name}") or "" for name in ("id", "title", "published", "updated", "content")
    }

    assert told["id"] == "tag:acme.pulse,2005:Maintenance/upgrade"
    assert told["title"] == "Maintenance: Upgrade"
    assert (told["published"], told["updated"]) == (iso(now - 120_000), iso(now - 60_000))
    assert told["content"].index("In progress") < told["content"].index("Planned")
    assert "&lt;b&gt;" in told["content"]


def test_who_reads_titles_alone_reads_that_a_maintenance_is_cancelled(filled: Filled) -> None:
    now = now_ms()
    filled.maintenance("upgrade", now + 60_000, now + 120_000, "api", at=now, cancelled=True)

    titles = [
        item.findtext("title")
        for item in ElementTree.fromstring(filled.get("/p/acme/history.rss").content).iter("item")
    ]

    assert "Maintenance cancelled: Upgrade" in titles


def test_a_custom_domain_has_its_feed_at_its_root(filled: Filled) -> None:
    filled.page("acme", "api", domains=["status.acme.test"])

    answer = filled.get("/history.atom", headers={"host": "status.acme.test"})

    assert answer.status_code == 200
    assert "https://status.acme.test/history.atom" in answer.text


def test_no_other_file_is_a_feed(filled: Filled) -> None:
    assert filled.get("/p/acme/history.xml").status_code == 422
    assert filled.get("/p/ghost/history.atom").status_code == 404


@pytest.mark.parametrize("name", ["history.atom", "history.rss"])
def test_what_was_written_in_several_lines_is_read_in_several_lines(filled: Filled, name: str) -> None:
    now = now_ms()
    filled.maintenance("upgrade", now, now + 60_000, "api", at=now, description="First.\n\n<Second>.")

    content = filled.get(f"/p/acme/{name}").text

    assert "First.&lt;br&gt;&lt;br&gt;&amp;lt;Second&amp;gt;." in content
