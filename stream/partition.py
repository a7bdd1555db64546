"""What a worker holds of a partition of the log: its monitors' states, and what is not durable yet."""

from dataclasses import dataclass
from time import monotonic
from typing import Any

from schemas.events import LogEvent, MaintenanceRevised, MonitorRevised
from stream.dead_letters import LogRecord
from stream.folds import PartitionFold
from stream.snapshots import BEFORE_THE_LOG, NOTHING_REVISED, Epoch, MonitorState, Position, version_of


@dataclass(frozen=True, slots=True)
class Delivery:
    """A record, and what Faust wants back to acknowledge it."""

    record: LogRecord
    event: Any


@dataclass(frozen=True, slots=True)
class Cut:
    """A partition at one position: what a snapshot writes, and what may be acknowledged after it."""

    partition: "Partition"
    position: Position
    states: list[MonitorState]
    deliveries: list[Delivery]


class Partition:
    """Grows by `advance`; `cut` takes what a snapshot needs."""

    def __init__(self, number: int, epoch: Epoch, position: Position | None, end: int, fold: PartitionFold) -> None:
        """`end`: the offset that came next in the log when this was loaded."""
        self.number = number
        self.epoch = epoch
        self.fold = fold
        if position and position.state:
            fold.load_position(position.state)
        self.folded = position.offset if position else BEFORE_THE_LOG
        self.logged_at = position.logged_at if position else 0
        self.revised = position.revised if position else NOTHING_REVISED
        """The newest version of a monitor that stands in the folded part of the log."""
        self.told = self.revised
        """The same, with what this worker has sent to the log since."""
        self.told_maintenance = fold.clock.maintained - 1
        """All monitors were told of the maintenances up to this version; of the newest perhaps only some."""
        self._end = end
        self.rewound_at: float | None = None
        """When the log was last asked to go back; None once it has done so. In seconds of the monotonic clock."""
        self.unsaved_bytes = 0
        self.saved_at = monotonic()
        self._deliveries: list[Delivery] = []

    @property
    def is_caught_up(self) -> bool:
        """Whether all that stood in the log when this was loaded is folded."""
        return self.folded >= self._end - 1

    def version(self, offset: int) -> int:
        """The version of what the event at `offset` makes."""
        return version_of(self.epoch.number, offset)

    def knows(self, event: LogEvent) -> bool:
        """Whether the log told it before, and newer things since: told once more, it would hold instead of those."""
        if isinstance(event, MonitorRevised):
            return event.version <= self.revised
        return isinstance(event, MaintenanceRevised) and event.version < self.fold.clock.maintained

    def hold(self, delivery: Delivery) -> None:
        """To be acknowledged after the next snapshot."""
        self._deliveries.append(delivery)

    def advance(self, delivery: Delivery) -> None:
        """The record is folded, or in the dead letters."""
        record = delivery.record
        self.folded = record.offset
        self.logged_at = record.logged_at
        self.unsaved_bytes += len(record.value)
        self.rewound_at = None
        self.hold(delivery)

    @property
    def unsaved(self) -> bool:
        """Whether a snapshot would say or acknowledge anything new."""
        return bool(self._deliveries)

    def cut(self) -> Cut:
        """What is folded by now; the next cut has only what came after."""
        states = [MonitorState(self.number, *changed) for changed in self.fold.changed()]
        position = Position(
            self.number, self.version(self.folded), self.revised, self.logged_at, self.fold.position_state()
        )
        deliveries, self._deliveries = self._deliveries, []
        self.unsaved_bytes = 0
        self.saved_at = monotonic()
        return Cut(self, position, states, deliveries)
