"""A question that many ask at once, put to the other side seldom."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

AnswerT = TypeVar("AnswerT")


class Shared(Generic[AnswerT]):
    """Asks at most once in `every_s` seconds, and never twice at a time: whoever comes meanwhile gets that answer."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, AnswerT]], every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._asking: asyncio.Task[AnswerT] | None = None
        self._asked_at_s = 0.0

    async def get(self) -> AnswerT:
        """The answer, at most `every_s` older than the question to it. Raises what asking raised."""
        now_s = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now_s - self._asked_at_s >= self._every_s):
            self._asking, self._asked_at_s = asyncio.create_task(self._ask()), now_s
        return await asyncio.shield(self._asking)  # one who gives up does not take the answer from the others
