"""Deadlines: what is late ends with TimeoutError, at its time, and nothing else does."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.deadlines import Deadlines
from tests.probes.virtual_time import run_virtual


async def timed(deadlines: Deadlines, limit_s: float, work: Awaitable[object]) -> tuple[bool, float]:
    """Whether it came to its end, and when it was over."""
    loop = asyncio.get_running_loop()
    try:
        with deadlines.within(limit_s):
            await work
    except TimeoutError:
        return False, loop.time()
    return True, loop.time()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50), st.integers(1, 50)), max_size=40))
def test_each_ends_with_its_work_or_at_its_deadline(checks: list[tuple[int, int, int]]) -> None:
    async def check(deadlines: Deadlines, start: int, limit: int, length: int) -> tuple[bool, float]:
        await asyncio.sleep(start)
        return await timed(deadlines, limit + 0.5, asyncio.sleep(length))

    async def main() -> list[tuple[bool, float]]:
        deadlines = Deadlines(asyncio.get_running_loop())
        return await asyncio.gather(*(check(deadlines, *each) for each in checks))

    ended = run_virtual(main())

    for (start, limit, length), (in_time, at) in zip(checks, ended, strict=True):
        assert in_time == (length <= limit)
        assert at == pytest.approx(start + min(length, limit + 0.5))


def test_whoever_cancels_is_heard_even_when_the_deadline_passes_too() -> None:
    async def main() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        task = asyncio.create_task(timed(deadlines, 1, asyncio.sleep(9)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(1, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_an_error_of_the_work_stays_what_it_is() -> None:
    async def fail() -> None:
        raise KeyError("mine")

    async def main() -> None:
        with pytest.raises(KeyError):
            await timed(Deadlines(asyncio.get_running_loop()), 1, fail())

    run_virtual(main())


def test_the_task_goes_on_after_its_deadline() -> None:
    async def main() -> tuple[bool, float]:
        deadlines = Deadlines(asyncio.get_running_loop())
        assert not (await timed(deadlines, 1, asyncio.sleep(9)))[0]
        await asyncio.sleep(2)
        return await timed(deadlines, 3, asyncio.sleep(1))

    assert run_virtual(main()) == (True, 4)


def test_nothing_is_kept_of_what_has_ended() -> None:
    async def main() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        task = asyncio.create_task(timed(deadlines, 60, asyncio.sleep(0)))
        await task
        known = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        gc.collect()
        assert known() is None
        deadlines.close()

    uvloop.run(main())
