"""How a monitor does, in the words of its page; and the uptime of the last 24 hours, kept as a sum."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from query.compose import status_of
from query.management.states import state_of
from query.uptime import HOUR_MS, HOURS, STATUSES, Buckets, Lasting, total
from schemas.enums import Status
from tests.query.filled import Filled

NOW = 1_795_000_000_000

spans = st.tuples(*[st.integers(0, HOUR_MS // 6)] * len(STATUSES))
puts = st.lists(st.tuples(st.integers(0, 60), spans), max_size=80)
filled = st.tuples(*[spans] * HOURS).map(lambda each: list(enumerate(each, 30)))


@settings(deadline=None)
@given(puts | filled, st.integers(0, 62), st.sampled_from(STATUSES), st.integers(0, 3 * HOUR_MS))
def test_the_quick_sum_is_the_sum_of_the_buckets(
    written: list[tuple[int, tuple[int, ...]]], hour: int, status: str, lasted_ms: int
) -> None:
    buckets = Buckets(HOUR_MS, HOURS)
    for number, each in written:
        buckets.put(number * HOUR_MS, number * HOUR_MS + HOUR_MS // 2, each)
    now = hour * HOUR_MS + HOUR_MS // 2
    lasting = Lasting(status, max(0, now - lasted_ms), now)  # type: ignore[arg-type]
    assert buckets.whole(now, lasting) == total(buckets.newest(HOURS, now, lasting))
    assert buckets.whole(now, None) == total(buckets.newest(HOURS, now, None))


@pytest.mark.parametrize("known", [None, Status.UP, Status.DOWN, Status.PAUSED])
@pytest.mark.parametrize("paused", [True, False])
def test_a_monitor_is_called_what_its_page_calls_it(known: Status | None, paused: bool) -> None:
    filled = Filled()
    api = filled.monitor("api", paused=paused)
    if known is not None:
        filled.status(api, known, NOW)
    entry = filled.catalog.monitors.entries[api]

    assert state_of(filled.facts, entry, NOW).status is status_of(entry, filled.facts.of(api))
