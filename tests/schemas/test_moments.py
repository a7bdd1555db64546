"""Moments as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.moments import MAX_MOMENT_MS, Moment, format_moment, parse_moment

AT = 1_796_090_400_000


@pytest.mark.parametrize(
    "text",
    [
        "2026-12-01T02:00:00Z",
        "2026-12-01T02:00Z",
        "2026-12-01 02:00:00.000Z",
        "2026-12-01t02:00:00z",
        "2026-12-01T03:00:00+01:00",
        "2026-11-30T21:30-04:30",
    ],
)
def test_date_time_and_zone(text: str) -> None:
    assert parse_moment(text) == AT


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-12-01",
        "2026-12-01T02:00:00",
        "20261201T0200Z",
        "2026-02-30T02:00Z",
        "2026-12-01T25:00Z",
        AT,
        None,
    ],
)
def test_anything_else_is_told_how_to_write_one(text: object) -> None:
    with pytest.raises(ValueError, match="like 2026-12-01T02:00:00Z"):
        parse_moment(text)


@given(st.integers(0, MAX_MOMENT_MS))
def test_what_is_written_is_read_as_the_same(at: int) -> None:
    assert parse_moment(format_moment(at)) == at


@pytest.mark.parametrize("outside", ["1969-12-31T23:59:59Z", "2100-01-01T00:00:01Z"])
def test_a_field_has_bounds(outside: str) -> None:
    with pytest.raises(ValidationError, match="than or equal to"):
        TypeAdapter(Moment).validate_python(outside)
