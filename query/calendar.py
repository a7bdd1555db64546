"""A page's maintenances as a calendar (RFC 5545), for people to subscribe to."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from query.maintenances import MaintenanceState
from query.status_document import MaintenanceView, StatusDocument

CALENDAR: Final = "maintenance.ics"
LINE_BYTES: Final = 75
UTC: Final = (
    "BEGIN:VTIMEZONE",
    "TZID:UTC",
    "BEGIN:STANDARD",
    "DTSTART:19700101T000000",
    "TZOFFSETFROM:+0000",
    "TZOFFSETTO:+0000",
    "END:STANDARD",
    "END:VTIMEZONE",
)
"""A calendar must have a component, and some clients refuse one without: mostly there is no maintenance."""
ESCAPED: Final = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"})


def calendar(document: StatusDocument) -> bytes:
    """The calendar; a cancelled maintenance stays in it, marked, until it would have been over."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//PulseAPI//Status page//EN",
        f"X-WR-CALNAME:{_text(document.page.title)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        *UTC,
    ]
    for maintenance in document.maintenances:
        lines += _event(document, maintenance)
    return b"".join(map(_folded, [*lines, "END:VCALENDAR"]))


def _event(document: StatusDocument, maintenance: MaintenanceView) -> Iterator[str]:
    about = "\n\n".join(filter(None, (", ".join(maintenance.monitor_names), maintenance.description)))
    yield "BEGIN:VEVENT"
    yield f"UID:{maintenance.slug}@{document.page.slug}.pulse"
    yield f"SEQUENCE:{maintenance.version}"
    yield f"DTSTAMP:{_moment(maintenance.updated_at)}"
    yield f"LAST-MODIFIED:{_moment(maintenance.updated_at)}"
    yield f"DTSTART:{_moment(maintenance.starts_at)}"
    yield f"DTEND:{_moment(maintenance.ends_at)}"
    yield f"SUMMARY:{_text(maintenance.title)}"
    yield f"DESCRIPTION:{_text(about)}"
    yield f"URL:{document.page.url}#maintenance-{maintenance.slug}"
    yield f"STATUS:{'CANCELLED' if maintenance.state is MaintenanceState.CANCELLED else 'CONFIRMED'}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _moment(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    """Escaped, and without the control characters that the format has no way to write."""
    written = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in written if c in "\t\n" or (c >= " " and c != "\x7f")).translate(ESCAPED)


def _folded(line: str) -> bytes:
    """The line as it is written: no more than 75 bytes at once, cut between characters."""
    folded, length = bytearray(), 0
    for character in line:
        encoded = character.encode()
        if length + len(encoded) > LINE_BYTES:
            folded += b"\r\n "
            length = 1
        folded += encoded
        length += len(encoded)
    return bytes(folded + b"\r\n")
