"""Uptime is time, never a count; what nobody saw is neither up nor down."""

from hypothesis import given
from hypothesis import strategies as st

from query.uptime import DAY_MS, DAYS, HOUR_MS, Buckets, Lasting, coverage_of, total, uptime_of
from schemas.enums import Status

NOON = 1_000 * DAY_MS + DAY_MS // 2


def full_day(day: int) -> tuple[int, int, tuple[int, ...]]:
    return day * DAY_MS, (day + 1) * DAY_MS, (DAY_MS, 0, 0, 0, 0, 0)


def test_no_known_time_is_no_uptime() -> None:
    assert uptime_of((0, 0, 0, 0, 0, 0)) is None
    assert uptime_of((0, 0, 0, 5_000, 7_000, 9_000)) is None


def test_degraded_counts_as_up_and_maintenance_is_outside() -> None:
    assert uptime_of((50, 40, 10, 0, 900, 0)) == 0.9


def test_coverage_leaves_out_what_is_unknown() -> None:
    assert coverage_of((40, 5, 5, 50, 0, 0), 100) == 0.5
    assert coverage_of((0, 0, 0, 0, 100, 0), 100) == 1.0


def test_a_ring_forgets_what_is_older_than_itself() -> None:
    days = Buckets(DAY_MS, DAYS)
    for day in range(800, 1_001):
        days.put(*full_day(day))

    shown = days.newest(DAYS, NOON, None)

    assert shown == [(DAY_MS, 0, 0, 0, 0, 0)] * DAYS


def test_an_old_bucket_never_takes_the_place_of_a_newer_one() -> None:
    days = Buckets(DAY_MS, DAYS)
    days.put(*full_day(1_000))
    days.put(1_000 * DAY_MS - DAYS * DAY_MS, 0, (0, 0, 77, 0, 0, 0))

    assert days.newest(1, NOON, None) == [(DAY_MS, 0, 0, 0, 0, 0)]


def test_a_day_without_a_bucket_is_empty_and_not_up() -> None:
    days = Buckets(DAY_MS, DAYS)
    days.put(*full_day(998))
    days.put(*full_day(1_000))

    assert days.newest(3, NOON, None)[1] == (0, 0, 0, 0, 0, 0)


def test_the_present_status_fills_the_time_since_the_bucket_was_counted() -> None:
    days = Buckets(DAY_MS, DAYS)
    days.put(1_000 * DAY_MS, NOON - HOUR_MS, (DAY_MS // 2 - HOUR_MS, 0, 0, 0, 0, 0))

    (today,) = days.newest(1, NOON, Lasting(Status.DOWN, NOON - HOUR_MS, NOON))

    assert today == (DAY_MS // 2 - HOUR_MS, 0, HOUR_MS, 0, 0, 0)


def test_the_present_status_is_not_counted_past_what_is_known_nor_before_it_began() -> None:
    days = Buckets(DAY_MS, DAYS)
    began, known_until = NOON - 2 * HOUR_MS, NOON - HOUR_MS

    (today,) = days.newest(1, NOON, Lasting(Status.UP, began, known_until))

    assert today == (HOUR_MS, 0, 0, 0, 0, 0)


def test_a_status_that_lasts_over_midnight_is_shared_between_the_days() -> None:
    midnight = 1_000 * DAY_MS
    days = Buckets(DAY_MS, DAYS)

    yesterday, today = days.newest(2, midnight + 5_000, Lasting(Status.DEGRADED, midnight - 3_000, midnight + 5_000))

    assert yesterday == (0, 3_000, 0, 0, 0, 0)
    assert today == (0, 5_000, 0, 0, 0, 0)


@given(
    counted_ms=st.integers(0, DAY_MS // 2),
    began_ms=st.integers(0, DAY_MS),
    known_ms=st.integers(0, DAY_MS // 2),
)
def test_no_day_ever_has_more_time_than_has_passed(counted_ms: int, began_ms: int, known_ms: int) -> None:
    days = Buckets(DAY_MS, DAYS)
    midnight = 1_000 * DAY_MS
    days.put(midnight, midnight + counted_ms, (counted_ms, 0, 0, 0, 0, 0))

    spans = days.newest(1, NOON, Lasting(Status.DOWN, midnight + began_ms, midnight + known_ms))

    assert sum(total(spans)) <= max(counted_ms, known_ms)


@given(
    puts=st.lists(st.tuples(st.integers(900, 1_003), st.integers(0, DAY_MS)), max_size=30),
    count=st.integers(1, DAYS),
    today=st.integers(980, 1_010),
)
def test_a_day_is_shown_as_it_was_last_put_and_never_in_another_ones_place(
    puts: list[tuple[int, int]], count: int, today: int
) -> None:
    days, newest_in_slot, kept = Buckets(DAY_MS, DAYS), dict[int, int](), dict[int, int]()
    for day, up_ms in puts:
        days.put(day * DAY_MS, (day + 1) * DAY_MS, (up_ms, 0, 0, 0, 0, 0))
        if day >= newest_in_slot.get(day % DAYS, 0):
            newest_in_slot[day % DAYS] = day
            kept[day] = up_ms

    shown = [spans[0] for spans in days.newest(count, today * DAY_MS, None)]

    expected = range(today - count + 1, today + 1)
    assert shown == [kept.get(day, 0) if newest_in_slot.get(day % DAYS) == day else 0 for day in expected]
