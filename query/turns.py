"""Long work on the event loop, in slices: other requests go on in between."""

import asyncio
from collections.abc import Generator
from typing import TypeVar, cast

ResultT = TypeVar("ResultT")
Steps = Generator[None, None, ResultT]
"""Work that pauses after each of its steps, and returns its result."""


class Turn:
    """Counts what was done, and lets the others have their turn after every so much."""

    def __init__(self, slice_of: int) -> None:
        self._slice = slice_of
        self._done = 0

    async def used(self) -> None:
        """One more was done."""
        self._done += 1
        if self._done % self._slice == 0:
            await asyncio.sleep(0)


def at_once(steps: Steps[ResultT]) -> ResultT:
    """The result of all steps without a pause."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return cast(ResultT, end.value)


async def in_turns(steps: Steps[ResultT]) -> ResultT:
    """The result of all steps; the others have their turn after each."""
    try:
        while True:
            next(steps)
            await asyncio.sleep(0)
    except StopIteration as end:
        return cast(ResultT, end.value)
