"""Lists of `/v1`: by slug, a page at a time."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Annotated, Final, TypeVar

from fastapi import Query

from query.catalog import Entry
from query.cursors import cursor_to, place_of
from schemas.monitors import Monitor, Page

MAX_LISTED: Final = 5_000

Limit = Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most so many at once.")]
WithDocument = Annotated[bool, Query(alias="document", description="Tell each document whole, as it was written.")]

EntryT = TypeVar("EntryT", Entry[Monitor], Entry[Page])


def listed(entries: Iterable[EntryT], cursor: str | None, limit: int) -> tuple[list[EntryT], str | None]:
    """A workspace's entries after the cursor by slug, and the next cursor. Raises ProblemError."""
    place = place_of(cursor, str)
    left = sorted(
        (entry for entry in entries if place is None or entry.document.slug > str(place[0])),
        key=attrgetter("id"),
    )
    shown = left[:limit]
    return shown, cursor_to([shown[-1].document.slug]) if len(left) > limit else None
