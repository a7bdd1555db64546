"""Opaque cursors of lists: where the next page begins."""

import base64
import binascii
from typing import Annotated, Final

import orjson
from fastapi import Query

from query.problems import FieldProblem, invalid

HIGHEST: Final = 2**62
"""Above every number that a place has: what ClickHouse can compare with it as Int64."""

Place = list[str | int]
Cursor = Annotated[
    str | None, Query(max_length=1_000, description="`next_cursor` of the page before; leave it out for the first.")
]
NextCursor: Final = "Send it as `cursor` to get the next page; null at the end."


def cursor_to(place: Place) -> str:
    """The cursor of a page that begins after `place`."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def place_of(cursor: str | None, *kinds: type) -> Place | None:
    """The place that `cursor_to` was given, one value of each kind. Raises ProblemError for any other text."""
    if cursor is None:
        return None
    place: Place | None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error):
        place = None
    if not isinstance(place, list) or not _fits(place, kinds):
        raise invalid([FieldProblem(detail="this is not a cursor of this list", parameter="cursor")])
    return place


def _fits(place: Place, kinds: tuple[type, ...]) -> bool:
    numbers = [part for part in place if isinstance(part, int)]
    return tuple(map(type, place)) == kinds and all(0 <= number <= HIGHEST for number in numbers)
