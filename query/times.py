"""Times in public JSON: ISO 8601 in UTC with milliseconds and `Z`."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated

from pydantic import WithJsonSchema

Iso = Annotated[
    str, WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-23T20:00:00.000Z"]})
]


@lru_cache(maxsize=20_000)
def iso(at: int) -> str:
    """Int ms since the epoch as `2026-11-23T20:00:00.000Z`."""
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"
