"""Reads the records of `monitors`: of a document only what decides how results become status, as a fleet is large.

The rest concerns the probes; whoever wrote the record has validated the whole.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from pydantic import ValidationError

from infra.kafka import LogRecord
from schemas.events import UNREADABLE, TimeMs
from schemas.monitors import Monitor
from stream.folds import Terms

UNREADABLE_MONITOR: Final = (*UNREADABLE, ValidationError)
"""What reading raises for bytes that are no record, and for rules that no monitor may have."""
_NO_DOCUMENT: Final = b"null"
_DISTINCT_TERMS: Final = 4_096


class Revision(NamedTuple):
    """A record of `monitors`: `state` is active, paused or deleted; `document` is JSON, empty where deleted."""

    monitor: str
    version: int
    at: int
    by: str
    state: str
    document: str
    terms: Terms | None


class _Record(msgspec.Struct, frozen=True):
    by: str
    at: TimeMs
    document: msgspec.Raw


class _Document(msgspec.Struct, frozen=True):
    interval: msgspec.Raw = msgspec.Raw()
    timeout: msgspec.Raw = msgspec.Raw()
    policy: msgspec.Raw = msgspec.Raw()
    paused: bool = False


_records: Final = msgspec.json.Decoder(_Record)
_documents: Final = msgspec.json.Decoder(_Document)


def kept_of(record: LogRecord) -> tuple[int, str, str]:
    """When a document was written, by whom, and its JSON, empty where it was deleted. Raises what UNREADABLE names."""
    if record.value is None:
        return record.timestamp, "", ""
    kept = _records.decode(record.value)
    written = bytes(kept.document)
    return kept.at, kept.by, "" if written == _NO_DOCUMENT else written.decode()


def read_revision(record: LogRecord) -> Revision:
    """The record's revision. Raises what UNREADABLE_MONITOR names."""
    at, by, written = kept_of(record)
    if not written:
        return Revision(record.key, record.offset, at, by, "deleted", "", None)
    document = _documents.decode(written)
    state = "paused" if document.paused else "active"
    return Revision(record.key, record.offset, at, by, state, written, _terms_in(document))


def terms_of(document: str) -> Terms:
    """The terms that a version's JSON sets. Raises what UNREADABLE_MONITOR names."""
    return _terms_in(_documents.decode(document))


def _terms_in(document: _Document) -> Terms:
    return _terms(bytes(document.interval), bytes(document.timeout), bytes(document.policy))


@lru_cache(maxsize=_DISTINCT_TERMS)
def _terms(interval: bytes, timeout: bytes, policy: bytes) -> Terms:
    """By the model itself, which is slow: thousands of monitors share a few intervals, timeouts and policies."""
    given = {"interval": interval, "timeout": timeout, "policy": policy}
    written = {name: msgspec.Raw(json) for name, json in given.items() if json}
    document = msgspec.json.encode({"slug": "any", "url": "http://any/"} | written)
    return Terms.of(Monitor.model_validate_json(document, extra="ignore"))
