import asyncio

import pytest
from clickhouse_connect.driver.exceptions import DataError, OperationalError

from stream import patience
from stream.patience import until_it_works


class Attempts:
    """Fails with these errors first."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def test_that_an_engine_that_was_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE_S", 0.0)
    attempts = Attempts(OperationalError("away"), ConnectionRefusedError(), TimeoutError())

    assert asyncio.run(until_it_works("insert", attempts)) == "done"
    assert attempts.made == 4


def test_that_what_would_fail_in_the_same_way_is_not_repeated() -> None:
    attempts = Attempts(DataError("out of range"))

    with pytest.raises(DataError):
        asyncio.run(until_it_works("insert", attempts))
    assert attempts.made == 1
