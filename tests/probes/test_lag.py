"""The probe's own lateness: noticed while checks are in flight, and nothing wakes the loop while none is."""

import asyncio
import time

from probes.lag import TOLERATED_S, LagMeter


async def worst_s_after_a_hold(lag: LagMeter) -> float:
    time.sleep(0.1)
    await asyncio.sleep(0.05)
    return lag.take_worst_s()


def test_a_hold_of_the_loop_is_measured_while_a_check_is_in_flight() -> None:
    async def main() -> float:
        lag = LagMeter()
        for _ in range(2):
            lag.begin()
        lag.end()
        return await worst_s_after_a_hold(lag)

    assert asyncio.run(main()) > TOLERATED_S


def test_a_hold_counts_for_the_checks_that_had_begun() -> None:
    async def main() -> tuple[float, float, float]:
        lag = LagMeter()
        before = lag.begin()
        time.sleep(0.1)
        behind_s = lag.since(before)
        await asyncio.sleep(0.05)
        return behind_s, lag.since(before), lag.begin() - before

    behind_s, held_up_s, over_s = asyncio.run(main())
    assert held_up_s >= behind_s > TOLERATED_S
    assert over_s > TOLERATED_S


def test_the_heart_does_not_beat_while_no_check_is_in_flight() -> None:
    async def main() -> float:
        lag = LagMeter()
        lag.begin()
        lag.end()
        return await worst_s_after_a_hold(lag)

    assert asyncio.run(main()) == 0
