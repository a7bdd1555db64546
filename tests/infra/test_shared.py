"""One answer for all who ask at once: the other side hears one question, and each asker may give up alone."""

import asyncio

import pytest

from infra.shared import Shared


class Other:
    """The other side, which answers with how often it was asked, once it may."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()

    async def ask(self) -> int:
        self.asked += 1
        await self.may_answer.wait()
        return self.asked


def test_those_who_ask_meanwhile_get_the_same_answer() -> None:
    async def scenario() -> list[int]:
        other = Other()
        shared = Shared(other.ask, every_s=0)
        asking = [asyncio.create_task(shared.get()) for _ in range(10)]
        await asyncio.sleep(0)
        other.may_answer.set()
        return await asyncio.gather(*asking)

    assert asyncio.run(scenario()) == [1] * 10


def test_an_answer_is_given_again_until_it_is_too_old() -> None:
    async def scenario(every_s: float) -> list[int]:
        other = Other()
        other.may_answer.set()
        shared = Shared(other.ask, every_s)
        return [await shared.get() for _ in range(3)]

    assert asyncio.run(scenario(every_s=3_600)) == [1, 1, 1]
    assert asyncio.run(scenario(every_s=0)) == [1, 2, 3]


def test_one_who_gives_up_does_not_take_the_answer_from_another() -> None:
    async def scenario() -> int:
        other = Other()
        shared = Shared(other.ask, every_s=0)
        impatient, patient = asyncio.create_task(shared.get()), asyncio.create_task(shared.get())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        other.may_answer.set()
        return await patient

    assert asyncio.run(scenario()) == 1


def test_a_question_that_failed_is_put_again() -> None:
    async def fail() -> None:
        raise OSError("away")

    async def scenario() -> None:
        shared = Shared(fail, every_s=0)
        for _ in range(2):
            with pytest.raises(OSError, match="away"):
                await shared.get()

    asyncio.run(scenario())
