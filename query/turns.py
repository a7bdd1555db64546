"""Long work on the event loop, in slices: other requests go on in between."""

import asyncio


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
