"""Durations as people write them: `500ms`, `30s`, `5m`, `1h`, `1d`."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAX_DURATION_MS: Final = 366 * 86_400_000
_PATTERN: Final = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d)")


def parse_duration_ms(text: object) -> int:
    """Milliseconds of `30s` and its like. Raises ValueError that says how to write one."""
    match = _PATTERN.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"not a duration: {text!r}; write a number and a unit, like 500ms, 30s, 5m or 1h")
    number, unit = match.groups()
    return round(float(number) * UNITS_MS[unit])


def format_duration(duration_ms: int) -> str:
    """The shortest exact way to write it: 90_000 is `90s`, 3_600_000 is `1h`."""
    for unit in ("d", "h", "m", "s"):
        if duration_ms and duration_ms % UNITS_MS[unit] == 0:
            return f"{duration_ms // UNITS_MS[unit]}{unit}"
    return f"{duration_ms}ms"


def lasting(least_ms: int, most_ms: int) -> AfterValidator:
    """Bounds of a duration, told in its units."""

    def checked(duration_ms: int) -> int:
        if not least_ms <= duration_ms <= most_ms:
            raise ValueError(f"this may last from {format_duration(least_ms)} to {format_duration(most_ms)}")
        return duration_ms

    return AfterValidator(checked)


DurationMs = Annotated[
    int,
    BeforeValidator(parse_duration_ms),
    lasting(0, MAX_DURATION_MS),
    PlainSerializer(format_duration),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "examples": ["30s"]}),
]
"""An int of milliseconds inside, `30s` outside: a number alone would not say of what."""
