"""The status page as HTML: a template over the status document, which needs no JavaScript."""

from collections import Counter
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from query.assets import asset_url
from query.status_document import RESOLVED_TOLD, Day, StatusDocument
from query.turns import Steps
from query.words import (
    ENTRY_WORDS,
    MAINTENANCE_WORDS,
    STATUS_WORDS,
    TROUBLE,
    duration,
    milliseconds,
    percent,
    say_moment,
)
from schemas.enums import Status

BARS_KEPT: Final = 20_000
COUNTED: Final = (Status.DOWN, Status.DEGRADED, Status.MAINTENANCE, Status.UNKNOWN, Status.PAUSED)


def render_page(document: StatusDocument) -> Steps[bytes]:
    """The whole page; each piece of it is a step, a monitor for example."""
    pieces = []
    for piece in _page.generate(document=document):
        pieces.append(piece)
        yield
    return "".join(pieces).encode()


def render_not_found(pages_are_known: bool) -> bytes:
    """The page for addresses that lead nowhere, or of which nobody can tell yet where they lead."""
    return _not_found.render(pages_are_known=pages_are_known).encode()


def say_day(day: Day) -> str:
    """What a bar says when it is pointed at: the day, its uptime, and what was not up."""
    parts = [f"{day.date.day} {day.date:%b %Y}"]
    if day.uptime is not None:
        parts.append(f"{percent(day.uptime)} up")
    elif not day.ms:
        parts.append("no data")
    parts += [f"{duration(day.ms[status])} {status.value}" for status in COUNTED if status in day.ms]
    if day.incidents:
        parts.append(f"{len(day.incidents)} incident{'s' if len(day.incidents) > 1 else ''}")
    return " · ".join(parts)


def bars(days: list[Day]) -> Markup:
    """A bar for each day."""
    return Markup("".join(map(_bar, days)))  # noqa: S704 - each comes out of a template that escapes


@lru_cache(maxsize=BARS_KEPT)
def _bar(day: Day) -> str:
    return str(_day.bar(day))


def with_trouble(days: list[Day]) -> list[Day]:
    """The days that were down or degraded, the newest first."""
    return [day for day in reversed(days) if day.status in TROUBLE]


def say_days(days: list[Day]) -> str:
    """90 bars in one sentence, for those who do not see them."""
    counts = Counter(day.status for day in days)
    told = [f"{counts[each]} {'day' if counts[each] == 1 else 'days'} {each.value}" for each in Status if counts[each]]
    return f"Last {len(days)} days: {', '.join(told)}"


def knows_nothing(document: StatusDocument) -> bool:
    """Whether nothing could be read since the service started: then it knows of no past, either."""
    monitors = (monitor for group in document.groups for monitor in group.monitors)
    return document.stale_since is not None and all(monitor.known_until is None for monitor in monitors)


def say_counts(document: StatusDocument) -> str:
    """`2 up, 1 degraded, 1 down`; empty while all are alike, since the headline says it."""
    shown = {monitor.slug: monitor.status for group in document.groups for monitor in group.monitors}
    counts = [(list(shown.values()).count(status), status.value) for status in Status]
    told = [f"{count} {word}" for count, word in counts if count]
    return ", ".join(told) if len(told) > 1 else ""


def _environment() -> Environment:
    folder = files("query").joinpath("templates")
    templates = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    environment = Environment(
        loader=DictLoader(templates), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "bars": bars,
        "moment": say_moment,
        "duration": duration,
        "percent": percent,
        "knows_nothing": knows_nothing,
        "milliseconds": milliseconds,
        "say_counts": say_counts,
        "say_day": say_day,
        "say_days": say_days,
        "with_trouble": with_trouble,
    }
    environment.globals |= {
        "asset_url": asset_url,
        "STATUS_WORDS": STATUS_WORDS,
        "ENTRY_WORDS": ENTRY_WORDS,
        "MAINTENANCE_WORDS": MAINTENANCE_WORDS,
        "RESOLVED_TOLD": RESOLVED_TOLD,
    }
    return environment


_templates: Final = _environment()
_page: Final = _templates.get_template("page.html")
_day: Final[Any] = _templates.get_template("day.html").module
_not_found: Final = _templates.get_template("not_found.html")
