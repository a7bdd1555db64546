"""Keeps a library that repeats itself from filling the log."""

import logging
from time import monotonic
from typing import Final

EVERY_S: Final = 10.0


class OncePer(logging.Filter):
    """Lets a message through once per `every_s`, and says how many of it were held back meanwhile."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """By the place in the code, so that addresses and ids in the text make no difference."""
        place, now = (record.pathname, record.lineno), monotonic()
        last, held = self._seen.get(place, (-self._every_s, 0))
        if now - last < self._every_s:
            self._seen[place] = last, held + 1
            return False
        self._seen[place] = now, 0
        if held:
            record.msg = f"{record.msg} ({held} more like this were held back)"
        return True


def quieten(*loggers: str) -> None:
    """Limit the rate of these loggers and of those below them."""
    limit = OncePer()
    for handler in logging.getLogger().handlers:
        handler.addFilter(lambda record: not record.name.startswith(loggers) or limit.filter(record))
