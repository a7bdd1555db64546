import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from schemas.enums import Outcome
from schemas.events import CheckBatch, Tick
from stream.epochs import OtherShape, begin_epoch, settle_epoch
from stream.folds import SHAPE, PartitionFold, Terms
from stream.snapshots import Epoch
from tests.stream.world import LOG, history

HELD = Epoch(3, LOG, 5, 2, 8)
DIGESTS = {2: "2c346a50316080419af895bf8547844b5645e048d3f54fbdad87f1d4f332e131"}
"""By shape, of the states that a small history leaves."""


class MemoryEpochs:
    """Epochs without ClickHouse."""

    def __init__(self, *epochs: Epoch) -> None:
        self.epochs = [*epochs]

    async def newest_epoch(self) -> Epoch | None:
        return max(self.epochs, key=lambda epoch: epoch.number, default=None)

    async def begin_epoch(self, epoch: Epoch, reason: str) -> None:
        self.epochs.append(epoch)


async def settle(epochs: MemoryEpochs, first: Epoch) -> Epoch:
    return await settle_epoch(epochs, first)  # type: ignore[arg-type]


async def decide(epochs: MemoryEpochs, first: Epoch) -> Epoch:
    return await begin_epoch(epochs, first, "an operator's reason")  # type: ignore[arg-type]


@pytest.mark.parametrize("begin", [settle, decide])
@pytest.mark.parametrize("shape", [1, 3])
@pytest.mark.parametrize("rules", [4, 5, 6])
def test_that_states_of_another_shape_are_refused_and_nothing_is_begun(
    begin: Callable[[MemoryEpochs, Epoch], Awaitable[Epoch]], shape: int, rules: int
) -> None:
    epochs = MemoryEpochs(HELD)

    with pytest.raises(OtherShape, match=f"shape 2, and this version reads shape {shape} only"):
        asyncio.run(begin(epochs, replace(HELD, number=1, rules=rules, shape=shape)))  # type: ignore[arg-type]

    assert epochs.epochs == [HELD]


def test_that_newer_rules_go_on_from_states_of_the_same_shape() -> None:
    epochs = MemoryEpochs(HELD)

    epoch = asyncio.run(settle(epochs, replace(HELD, number=1, rules=6)))

    assert epoch == epochs.epochs[-1] == replace(HELD, number=4, rules=6)


def test_that_a_new_store_begins_with_what_this_version_writes() -> None:
    epochs = MemoryEpochs()

    epoch = asyncio.run(settle(epochs, replace(HELD, number=1)))

    assert epochs.epochs == [epoch] == [replace(HELD, number=1)]


def test_that_states_are_written_in_the_shape_that_is_named() -> None:
    outcomes = [Outcome.UP, Outcome.UP, Outcome.DOWN, Outcome.DOWN, Outcome.DEGRADED, Outcome.UNKNOWN]
    fold = PartitionFold(lambda monitor, version: Terms())
    for version, (_, event) in enumerate(history(["default/a", "default/b"], 40, outcomes, 1)):
        assert isinstance(event, CheckBatch | Tick)
        fold.fold(version, event)

    digest = hashlib.sha256(b"".join([fold.position_state(), *(row.state for row in fold.changed())])).hexdigest()

    assert digest == DIGESTS[SHAPE], "states are other ones: SHAPE grows if a worker of before misreads them"
