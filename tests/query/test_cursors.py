"""Cursors: a place comes back as it was, and nothing else is taken for one."""

import pytest

from query.cursors import HIGHEST, cursor_to, place_of
from query.problems import ProblemError


def test_a_place_comes_back_as_it_was() -> None:
    assert place_of(cursor_to(["default/api", HIGHEST]), str, int) == ["default/api", HIGHEST]
    assert place_of(None, str, int) is None


@pytest.mark.parametrize(
    "cursor",
    ["no cursor", "é", cursor_to([1]), cursor_to([1, "a"]), cursor_to(["a", -1]), cursor_to(["a", HIGHEST + 1])],
)
def test_what_is_no_place_of_the_list_is_refused(cursor: str) -> None:
    with pytest.raises(ProblemError):
        place_of(cursor, str, int)
