"""Moments as people write them: ISO 8601 with a zone, `2026-12-01T02:00:00Z` or `2026-12-01T03:00+01:00`."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

MAX_MOMENT_MS: Final = 4_102_444_800_000
"""The year 2100: what the events and ClickHouse keep."""
_PATTERN: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)")


def parse_moment(text: object) -> int:
    """Int ms since the epoch. Raises ValueError that says how to write a moment."""
    try:
        if isinstance(text, str) and _PATTERN.fullmatch(written := text.strip().upper()):
            return round(datetime.fromisoformat(written).timestamp() * 1000)
    except ValueError:
        pass  # A 30th of February has the right form too.
    raise ValueError(f"not a moment: {text!r}; write date, time and zone, like 2026-12-01T02:00:00Z")


def format_moment(at: int) -> str:
    """Int ms since the epoch as `2026-12-01T02:00:00.000Z`."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


Moment = Annotated[
    int,
    Field(ge=0, le=MAX_MOMENT_MS),
    BeforeValidator(parse_moment),
    PlainSerializer(format_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-12-01T02:00:00Z"]}),
]
"""Int ms since the epoch inside, ISO 8601 outside."""
