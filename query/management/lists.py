"""Lists of `/v1`: by slug, a page at a time."""

from bisect import bisect_right
from typing import Annotated, Final

from fastapi import Query

from query.catalog import DocumentT, Entry, Table
from query.cursors import cursor_to, place_of

MAX_LISTED: Final = 5_000

Limit = Annotated[int, Query(ge=1, le=MAX_LISTED, description="At most so many at once.")]
WithDocument = Annotated[bool, Query(alias="document", description="Tell each document whole, as it was written.")]


def listed(
    table: Table[DocumentT], workspace: str, cursor: str | None, limit: int
) -> tuple[list[Entry[DocumentT]], str | None]:
    """A workspace's entries after the cursor by slug, and the next cursor. Raises ProblemError."""
    ids = table.ids_of(workspace)
    place = place_of(cursor, str)
    begin = bisect_right(ids, str(place[0])) if place else 0
    shown = ids[begin : begin + limit]
    more = len(ids) > begin + limit
    return [table.entries[each] for each in shown], cursor_to([shown[-1]]) if more else None
