"""The events in the log, as typed structs: JSON on the wire, tagged by `type`, additive in evolution.

Unknown fields are ignored and new fields have defaults, so that an old reader reads a new writer.
Each event has a golden example in `schemas/examples`, which a test decodes and encodes to the same bytes.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from schemas.enums import CorrectionKind, EntryKind, IncidentState, Outcome, Reason, Severity, Status

LONGEST_RUN: Final = 20
"""Results in a row that a change of status may need at most."""

TimeMs = Annotated[int, Meta(ge=0, le=4_102_444_800_000)]
"""Milliseconds since the epoch, up to the year 2100: what ClickHouse keeps."""
LONGEST_US: Final = 4_294_967_295
DurationUs = Annotated[int, Meta(ge=0, le=LONGEST_US)]
"""Microseconds, up to 71 minutes."""
MonitorId = Annotated[str, Meta(min_length=1, max_length=200)]
"""`workspace/slug`."""
Version = Annotated[int, Meta(ge=0, le=(1 << 48) - 1)]
"""An offset in a topic."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A test on the response that failed: which one, and what was seen instead."""

    test: str
    severity: Severity
    expected: str
    seen: str
    message: str


class Component(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part that a health document names."""

    name: str
    outcome: Outcome
    message: str = ""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person needs at 3 a.m.: the failing answer, cut short and with secrets redacted."""

    status_line: str = ""
    headers: dict[str, str] = {}
    body: str = ""
    address: str = ""


class CheckResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a check saw. Its identity is (monitor, the batch's region, scheduled_at)."""

    monitor: MonitorId
    scheduled_at: TimeMs
    started_at: TimeMs
    monitor_version: Version
    outcome: Outcome
    reason: Reason = Reason.OK
    status_code: Annotated[int, Meta(ge=0, le=999)] = 0
    dns_us: DurationUs = 0
    connect_us: DurationUs = 0
    tls_us: DurationUs = 0
    ttfb_us: DurationUs = 0
    transfer_us: DurationUs = 0
    total_us: DurationUs = 0
    """0 where nothing was measured: left out of latency statistics."""
    overloaded: bool = False
    """Taken while the probe's event loop lagged: left out of latency statistics."""
    message: str = ""
    failures: tuple[Failure, ...] = ()
    components: tuple[Component, ...] = ()
    evidence: Evidence | None = None
    certificate_expires_at: TimeMs = 0


class CheckBatch(msgspec.Struct, frozen=True, tag_field="type", tag="check-batch"):
    """Results of one partition, collected by one probe for a second at most."""

    probe: str
    region: str
    sent_at: TimeMs
    results: tuple[CheckResult, ...]


class Tick(msgspec.Struct, frozen=True, tag_field="type", tag="tick"):
    """Time, as the log knows it: silence is decided by these and never by a clock."""

    at: TimeMs


class MonitorRevised(msgspec.Struct, frozen=True, tag_field="type", tag="monitor-revised", omit_defaults=True):
    """A record of `monitors`, told to the partition's log by its owner so that it has a place in the order.

    `version` is the offset of the record in `monitors`; `state` is `active`, `paused` or `deleted`.
    """

    monitor: MonitorId
    version: Version
    at: TimeMs
    state: str


class MaintenanceRevised(msgspec.Struct, frozen=True, tag_field="type", tag="maintenance-revised", omit_defaults=True):
    """A maintenance of a monitor, told to the partition's log by its owner; the last one of an id holds.

    It lasts from `starts_at` to `ends_at`; one that ends where it starts is cancelled. `version` is the offset of its
    record in `maintenances`.
    """

    id: str
    monitor: MonitorId
    at: TimeMs
    starts_at: TimeMs
    ends_at: TimeMs
    version: Version = 0


class PolicyChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a replay puts in place of a monitor's policy; None keeps what the version says."""

    confirmations: Annotated[int, Meta(ge=1, le=LONGEST_RUN)] | None = None
    recoveries: Annotated[int, Meta(ge=1, le=LONGEST_RUN)] | None = None
    quorum: Annotated[int, Meta(ge=0, le=50)] | None = None
    reopen_gap_ms: Annotated[int, Meta(ge=0, le=86_400_000)] | None = None
    flap_start: Annotated[int, Meta(ge=0, le=100)] | None = None
    flap_stop: Annotated[int, Meta(ge=1, le=100)] | None = None


class CorrectionOrdered(msgspec.Struct, frozen=True, tag_field="type", tag="correction-ordered", omit_defaults=True):
    """A person's decision about a monitor's results of `since` to `until`, carried out by the partition's owner.

    `replay` folds them anew, late ones included, under the policy as `policy` changes it; `annul` folds the monitor
    without them (those of `region`, or of all); `undo` takes back the correction that `undoes` names, and its span
    is that one's. An id that was carried out already changes nothing.
    """

    id: Annotated[str, Meta(min_length=1, max_length=40)]
    monitor: MonitorId
    kind: CorrectionKind
    at: TimeMs
    since: TimeMs
    until: TimeMs
    by: str
    reason: str
    policy: PolicyChange = PolicyChange()
    region: str = ""
    undoes: str = ""


LogEvent = CheckBatch | Tick | MonitorRevised | MaintenanceRevised | CorrectionOrdered
"""What travels on `check-results`."""


class StatusChange(msgspec.Struct, frozen=True, tag_field="type", tag="status-change", omit_defaults=True):
    """From one status to another. `at` is the first result that showed it, `decided_at` the one that confirmed it.

    Its identity is (monitor, at); the highest version of an identity counts. `withdrawn` takes it back.
    """

    monitor: str
    at: int
    version: int
    decided_at: int
    previous: Status
    status: Status
    reason: Reason = Reason.OK
    message: str = ""
    incident: str = ""
    withdrawn: bool = False


class TimelineEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of an incident's story."""

    kind: EntryKind
    at: int
    status: Status
    message: str = ""
    by: str = ""


class Incident(msgspec.Struct, frozen=True, tag_field="type", tag="incident", omit_defaults=True):
    """From the first bad moment to recovery; the whole of it at `version`, the highest of which counts."""

    id: str
    monitor: str
    version: int
    state: IncidentState
    severity: Severity
    opened_at: int
    decided_at: int
    reason: Reason
    message: str
    resolved_at: int = 0
    regions: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    evidence: Evidence | None = None
    entries: tuple[TimelineEntry, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True, tag_field="type", tag="dead-letter"):
    """Bytes that could not be decoded, and where they stood."""

    topic: str
    partition: int
    offset: int
    error: str
    value: bytes
    at: int


Event = LogEvent | StatusChange | Incident | DeadLetter

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no event."""

_encoder: Final = msgspec.json.Encoder()
_log_decoder: Final[msgspec.json.Decoder[LogEvent]] = msgspec.json.Decoder(LogEvent)
_event_decoder: Final[msgspec.json.Decoder[Event]] = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """The event as it goes on the wire."""
    return _encoder.encode(event)


def decode_log(value: bytes) -> LogEvent:
    """An event of `check-results`. Raises what UNREADABLE names."""
    return _log_decoder.decode(value)


def decode(value: bytes) -> Event:
    """Any event. Raises what UNREADABLE names."""
    return _event_decoder.decode(value)
