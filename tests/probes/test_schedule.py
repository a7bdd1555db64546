"""Slots: where they are, that they start on time, and that none is missed in silence."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.schedule import REPORTED_GAP_MS, Limits, Schedule, next_slot, offset_ms
from tests.probes.virtual_time import EPOCH_MS, VirtualLoop, run_virtual, wall_ms


@dataclass(frozen=True)
class Job:
    monitor: str
    interval_ms: int = 10_000
    target: str = "target"


@dataclass
class Log:
    """What the schedule asked for."""

    started: list[tuple[str, int]] = field(default_factory=list)
    started_late_ms: list[float] = field(default_factory=list)
    missed: list[tuple[str, int]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def slots(self, monitor: str) -> list[int]:
        return [at for name, at in self.started if name == monitor]


async def _at_once(job: Job) -> None:
    return None


def scheduled(log: Log, check: Callable[[Job], Awaitable[None]] = _at_once, **options: Limits) -> Schedule[Job]:
    async def run(job: Job, scheduled_at: int) -> None:
        log.started.append((job.monitor, scheduled_at))
        log.started_late_ms.append(wall_ms() - scheduled_at)
        try:
            await check(job)
        except asyncio.CancelledError:
            log.cancelled.append(job.monitor)
            raise

    return Schedule("eu", run, lambda job, at: log.missed.append((job.monitor, at)), clock=wall_ms, **options)


def run_for(seconds: float, schedule: Schedule[Job], jobs: list[Job]) -> None:
    async def main() -> None:
        for job in jobs:
            schedule.put(job)
        schedule.start()
        await asyncio.sleep(seconds)
        await schedule.stop(0)

    run_virtual(main())


@given(st.integers(0, 10**6), st.integers(1_000, 86_400_000), st.integers(EPOCH_MS, EPOCH_MS + 10**9))
def test_the_next_slot_is_the_first_one_not_before_now(offset: int, interval_ms: int, now_ms: int) -> None:
    slot = next_slot(offset, interval_ms, now_ms)

    assert now_ms <= slot < now_ms + interval_ms
    assert (slot - offset) % interval_ms == 0


def test_offsets_spread_evenly_and_differ_by_region() -> None:
    offsets = [offset_ms(f"default/m{i}", "eu", 10_000) for i in range(2_000)]

    by_second = Counter(offset // 1_000 for offset in offsets)
    assert len(by_second) == 10
    assert max(by_second.values()) < 260
    assert offset_ms("default/m1", "eu", 10_000) != offset_ms("default/m1", "us", 10_000)


def test_every_slot_starts_on_time_for_ever() -> None:
    log = Log()

    run_for(100, scheduled(log), [Job("a"), Job("b", interval_ms=1_000)])

    assert len(log.slots("a")) == 10
    assert len(log.slots("b")) == 100
    assert {at % 10_000 for at in log.slots("a")} == {offset_ms("a", "eu", 10_000)}
    assert max(log.started_late_ms) < 1
    assert min(log.started_late_ms) >= 0
    assert log.missed == []


def test_a_restarted_schedule_goes_on_with_the_same_slots() -> None:
    first, second = Log(), Log()

    run_for(30, scheduled(first), [Job("a")])
    run_for(30, scheduled(second), [Job("a")])

    assert first.slots("a") == second.slots("a")


def test_a_changed_monitor_keeps_its_slots_and_a_removed_one_has_none() -> None:
    log = Log()
    schedule = scheduled(log)

    async def main() -> None:
        schedule.put(Job("a"))
        schedule.put(Job("gone"))
        schedule.start()
        await asyncio.sleep(15)
        schedule.put(Job("a", target="another"))
        schedule.remove("gone")
        await asyncio.sleep(15)
        await schedule.stop(0)

    run_virtual(main())
    assert [b - a for a, b in pairwise(log.slots("a"))] == [10_000, 10_000]
    assert len(log.slots("gone")) <= 2
    assert len(schedule) == 1


def test_a_monitor_whose_interval_grows_is_checked_when_it_was_due_before_it_goes_on_at_its_new_slots() -> None:
    log, hour_ms = Log(), 3_600_000

    async def main() -> None:
        schedule = scheduled(log)
        schedule.put(Job("m"))
        schedule.start()
        await asyncio.sleep(25)
        schedule.put(Job("m", hour_ms))
        await asyncio.sleep(3 * hour_ms / 1_000)
        await schedule.stop(0)

    run_virtual(main())
    slots, offset = log.slots("m"), offset_ms("m", "eu", hour_ms)
    often, seldom = [at for at in slots if at <= EPOCH_MS + 35_000], [at for at in slots if at > EPOCH_MS + 35_000]
    assert {later - earlier for earlier, later in pairwise(often)} == {10_000}
    assert often[-1] > EPOCH_MS + 25_000
    assert len(seldom) == 3
    assert {(at - offset) % hour_ms for at in seldom} == {0}


def test_a_monitor_added_while_running_starts_at_its_next_slot() -> None:
    log = Log()
    schedule = scheduled(log)

    async def main() -> None:
        schedule.put(Job("slow", interval_ms=86_400_000))
        schedule.start()
        await asyncio.sleep(0.5)
        schedule.put(Job("new", interval_ms=1_000))
        await asyncio.sleep(3)
        await schedule.stop(0)

    run_virtual(main())
    assert len(log.slots("new")) == 3


def test_hanging_targets_delay_nobody() -> None:
    log = Log()

    async def check(job: Job) -> None:
        await asyncio.sleep(8 if job.target == "hanging" else 0.01)

    jobs = [Job(f"m{i}", target="hanging" if i % 10 == 0 else "fine") for i in range(1_000)]
    run_for(30, scheduled(log, check), jobs)

    assert len(log.started) == 3_000
    assert max(log.started_late_ms) < 1
    assert log.missed == []


def test_a_target_at_its_bound_holds_back_its_own_checks_alone() -> None:
    log = Log()

    async def check(job: Job) -> None:
        await asyncio.sleep(25 if job.target == "hanging" else 0)

    jobs = [Job("a", target="hanging"), Job("b", target="hanging"), Job("free", target="fine")]
    run_for(100, scheduled(log, check, limits=Limits(in_flight=10, per_target=1)), jobs)

    assert len(log.slots("free")) == 10
    assert log.slots("a")
    assert log.slots("b"), "the two take turns"
    told = len(log.slots("a")) + len(log.slots("b")) + len(log.missed)
    assert told >= 18, "each of 20 slots started or was told as missed; two may still wait"


def test_a_monitor_that_was_given_another_target_does_not_wait_at_the_old_one() -> None:
    log = Log()

    async def check(job: Job) -> None:
        await asyncio.sleep(3_600 if job.target == "hanging" else 0)

    schedule = scheduled(log, check, limits=Limits(in_flight=10, per_target=1))

    async def main() -> None:
        schedule.put(Job("a", target="hanging"))
        schedule.put(Job("b", target="hanging"))
        schedule.start()
        await asyncio.sleep(15)
        waits = "b" if log.slots("a") else "a"
        schedule.put(Job(waits, target="fine"))
        await asyncio.sleep(20)
        await schedule.stop(0)
        assert len(log.slots(waits)) == 2

    run_virtual(main())


def test_no_slot_is_silently_missed_when_the_probe_is_at_its_bound() -> None:
    log = Log()

    async def check(job: Job) -> None:
        await asyncio.sleep(15)

    jobs = [Job(f"m{i}", target=f"t{i}") for i in range(20)]
    schedule = scheduled(log, check, limits=Limits(in_flight=5, per_target=5))
    run_for(100, schedule, jobs)

    for job in jobs:
        slots = sorted([*log.slots(job.monitor), *(at for name, at in log.missed if name == job.monitor)])
        assert len(slots) >= 9
        assert len(set(slots)) == len(slots)
        assert {b - a for a, b in pairwise(slots)} == {10_000}
    assert schedule.counters.missed == len(log.missed) > 0


def test_slots_that_passed_while_the_loop_was_blocked_are_told() -> None:
    log = Log()
    schedule = scheduled(log)

    async def main() -> None:
        schedule.put(Job("a", interval_ms=1_000))
        schedule.start()
        await asyncio.sleep(2)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_over(5)
        await asyncio.sleep(2)
        await schedule.stop(0)

    run_virtual(main())
    slots = sorted(log.slots("a") + [at for _, at in log.missed])
    assert len(log.missed) in (4, 5)
    assert {b - a for a, b in pairwise(slots)} == {1_000}


def test_slots_of_a_long_sleep_are_counted_beyond_ten_minutes() -> None:
    log = Log()
    schedule = scheduled(log)

    async def main() -> None:
        schedule.put(Job("a", interval_ms=1_000))
        schedule.start()
        await asyncio.sleep(1.5)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_over(3_600)
        await asyncio.sleep(1.5)
        await schedule.stop(0)

    run_virtual(main())
    assert len(log.missed) == REPORTED_GAP_MS // 1_000
    assert schedule.counters.forgotten + len(log.missed) in (3_599, 3_600)


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    log = Log()
    behind_ms = 0.0

    async def run(job: Job, scheduled_at: int) -> None:
        log.started.append((job.monitor, scheduled_at))

    schedule = Schedule("eu", run, lambda job, at: None, clock=lambda: wall_ms() - behind_ms)

    async def main() -> None:
        nonlocal behind_ms
        schedule.put(Job("a", interval_ms=1_000))
        schedule.start()
        await asyncio.sleep(5)
        behind_ms = 3_600_000
        await asyncio.sleep(10)
        await schedule.stop(0)

    run_virtual(main())
    assert len(log.started) >= 13


def test_a_clock_that_is_set_back_stops_nothing_though_a_rare_check_is_the_next() -> None:
    log = Log()
    behind_ms = 0.0

    async def run(job: Job, scheduled_at: int) -> None:
        log.started.append((job.monitor, scheduled_at))

    schedule = Schedule("eu", run, lambda job, at: None, clock=lambda: wall_ms() - behind_ms)
    rare = offset_ms("rare", "eu", 3_600_000)

    async def main() -> None:
        nonlocal behind_ms
        schedule.put(Job("rare", interval_ms=3_600_000))
        schedule.put(Job("a", interval_ms=60_000))
        schedule.start()
        await asyncio.sleep((rare - wall_ms()) % 3_600_000 / 1_000 - 0.05)
        behind_ms = 3_000_000
        log.started.clear()
        await asyncio.sleep(600)
        await schedule.stop(0)

    run_virtual(main())
    assert len(log.slots("a")) == 10


def test_a_monitor_that_goes_while_it_waits_leaves_its_place_to_the_next() -> None:
    log = Log()

    async def check(job: Job) -> None:
        await asyncio.sleep(5)

    schedule = scheduled(log, check, limits=Limits(in_flight=10, per_target=1))

    async def main() -> None:
        for name in "ace":  # their slots are in this order
            schedule.put(Job(name))
        schedule.start()
        await asyncio.sleep(5)
        schedule.remove("a")
        schedule.remove("c")
        await asyncio.sleep(5)
        await schedule.stop(0)

    run_virtual(main())
    assert [name for name, _ in log.started] == ["a", "e"]
    assert [name for name, _ in log.missed] == ["c"]


@pytest.mark.parametrize(("grace_s", "cancelled"), [(5, []), (1, ["a"])])
def test_stopping_gives_checks_in_flight_their_time_and_then_ends_them(grace_s: float, cancelled: list[str]) -> None:
    log = Log()

    async def check(job: Job) -> None:
        await asyncio.sleep(3)

    schedule = scheduled(log, check)

    async def main() -> None:
        schedule.put(Job("a", interval_ms=1_000))
        schedule.start()
        while not log.started:
            await asyncio.sleep(0.01)
        await schedule.stop(grace_s)

    run_virtual(main())
    assert log.cancelled == cancelled
    assert len(log.started) == 1
    assert schedule.in_flight == 0
