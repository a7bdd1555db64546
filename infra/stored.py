"""Rows of ClickHouse as the events that they were written from."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.events import Evidence, Failure, Incident

INCIDENT_FIELDS: Final = (
    "monitor",
    "id",
    "version",
    "state",
    "severity",
    "opened_at",
    "decided_at",
    "resolved_at",
    "reason",
    "message",
    "regions",
    "components",
)
_ENTRY_FIELDS: Final = ("kind", "at", "status", "message", "by")
_failures: Final = msgspec.json.Decoder(tuple[Failure, ...])
_evidence: Final = msgspec.json.Decoder(Evidence)


def incident_of(row: Sequence[Any]) -> Incident:
    """An incident from its columns in the table's order, times as int ms and entries as plain tuples.

    Raises msgspec.MsgspecError for what a newer writer has written.
    """
    *_, failures, evidence, entries = row
    return msgspec.convert(
        dict(zip(INCIDENT_FIELDS, row, strict=False))
        | {
            "failures": _failures.decode(failures) if failures else (),
            "evidence": _evidence.decode(evidence) if evidence else None,
            "entries": [dict(zip(_ENTRY_FIELDS, entry, strict=True)) for entry in entries],
        },
        Incident,
    )
