"""What is said to people is never better than what is known."""

import pytest

from query.words import CAUSES, ENTRY_WORDS, STATUS_WORDS, duration, headline, milliseconds, percent, worst
from schemas.enums import EntryKind, Reason, Status

UP, DOWN, DEGRADED, UNKNOWN, PAUSED = Status.UP, Status.DOWN, Status.DEGRADED, Status.UNKNOWN, Status.PAUSED


def test_every_reason_status_and_entry_has_words() -> None:
    assert CAUSES.keys() == set(Reason)
    assert STATUS_WORDS.keys() == set(Status)
    assert ENTRY_WORDS.keys() == set(EntryKind)


@pytest.mark.parametrize(
    ("share", "said"),
    [(1.0, "100%"), (0.999999, "99.99%"), (0.9999, "99.99%"), (0.57, "57.00%"), (0.29, "29.00%"), (0.0, "0.00%")],
)
def test_a_percentage_is_cut_and_never_rounded_up(share: float, said: str) -> None:
    assert percent(share) == said


@pytest.mark.parametrize(
    ("duration_ms", "said"),
    [
        (0, "under a second"),
        (45_000, "45 s"),
        (90_000, "1 min 30 s"),
        (4_320_000, "1 h 12 min"),
        (3_600_000, "1 h"),
        (90_000_000, "1 d 1 h"),
        (86_460_000, "1 d"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(duration_ms: int, said: str) -> None:
    assert duration(duration_ms) == said


def test_a_latency_is_said_in_the_unit_that_fits() -> None:
    assert [milliseconds(value) for value in (0.44, 38.2, 999.4, 1_240)] == ["0.4 ms", "38 ms", "999 ms", "1.2 s"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ([], "Nothing is watched here yet"),
        ([("API", UP), ("Web", UP)], "All systems operational"),
        ([("API", UP), ("Web", PAUSED)], "All systems operational"),
        ([("API", DOWN), ("Web", UP)], "API is down"),
        ([("API", DOWN), ("Web", DOWN)], "Everything is down"),
        ([("API", DOWN), ("Web", DOWN), ("Mail", UP)], "2 of 3 systems are down"),
        ([("API", UNKNOWN), ("Web", UP)], "API is unknown to us"),
        ([("API", DEGRADED), ("Web", DOWN)], "Web is down"),
        ([("API", UNKNOWN)], "API is unknown to us"),
        ([("API", PAUSED)], "API is not being watched"),
    ],
)
def test_the_headline_names_the_worst(named: list[tuple[str, Status]], said: str) -> None:
    assert headline(named) == said


def test_nothing_known_is_unknown_and_not_up() -> None:
    assert worst([]) is UNKNOWN
    assert worst([UP, UNKNOWN]) is UNKNOWN
