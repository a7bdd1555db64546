"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from schemas.durations import MAX_DURATION_MS, DurationMs, format_duration, parse_duration_ms


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("500ms", 500), ("30s", 30_000), ("1.5s", 1_500), ("5m", 300_000), ("1h", 3_600_000), ("1d", 86_400_000)],
)
def test_a_number_and_a_unit(text: str, duration_ms: int) -> None:
    assert parse_duration_ms(text) == duration_ms


@pytest.mark.parametrize("text", ["", "30", "s", "30 s", "-30s", "1h30m", "1e3s", "30S", "½s", None, 30, ["30s"]])
def test_anything_else_is_told_how_to_write_one(text: object) -> None:
    with pytest.raises(ValueError, match="like 500ms, 30s, 5m or 1h"):
        parse_duration_ms(text)


@given(st.integers(0, MAX_DURATION_MS))
def test_what_is_written_is_read_as_the_same(duration_ms: int) -> None:
    assert parse_duration_ms(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize(("duration_ms", "text"), [(90_000, "90s"), (3_600_000, "1h"), (0, "0ms"), (1_500, "1500ms")])
def test_the_shortest_exact_way_is_written(duration_ms: int, text: str) -> None:
    assert format_duration(duration_ms) == text


def test_a_field_takes_a_text_and_gives_one_and_a_number_without_its_unit_is_refused() -> None:
    field = TypeAdapter(DurationMs)
    assert field.validate_python("30s") == 30_000
    assert field.dump_python(30_000) == "30s"
    for wrong in (True, 3_600):
        with pytest.raises(ValueError, match="not a duration"):
            field.validate_python(wrong)


@pytest.mark.parametrize("too_much", [f"{MAX_DURATION_MS + 1}ms", "367d", "999999999999d"])
def test_a_field_has_bounds(too_much: object) -> None:
    with pytest.raises(ValueError, match="this may last from 0ms to 366d"):
        TypeAdapter(DurationMs).validate_python(too_much)
