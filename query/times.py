"""Times in public JSON: ISO 8601 in UTC with milliseconds and `Z`."""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Final

from pydantic import WithJsonSchema

from schemas.moments import format_moment

Iso = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T20:00:00.000Z"]})
]

iso: Final = lru_cache(maxsize=20_000)(format_moment)
"""Int ms since the epoch as `2026-11-23T20:00:00.000Z`."""


def iso_of(at: datetime) -> str:
    """A datetime in the same form."""
    return iso(round(at.timestamp() * 1000))
