from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.kafka import LogRecord
from schemas.monitors import Monitor, Record
from stream.folds import Terms
from stream.monitor_records import UNREADABLE_MONITOR, read_revision, terms_of

POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "confirmations": st.integers(1, 20),
        "recoveries": st.integers(1, 20),
        "quorum": st.none() | st.integers(1, 50),
        "reopen_gap": st.none() | st.sampled_from(["0s", "90s", "1.5h", "1d"]),
        "flap_start": st.none() | st.integers(1, 100),
        "flap_stop": st.integers(1, 100),
    },
).filter(lambda policy: (policy.get("flap_start", 50) or 100) >= policy.get("flap_stop", 25))
DOCUMENTS = st.fixed_dictionaries(
    {"slug": st.just("m"), "url": st.just("https://example.com/")},
    optional={
        "interval": st.sampled_from(["1s", "1500ms", "30s", "0.5m", "1d"]),
        "policy": POLICIES,
        "paused": st.booleans(),
        "name": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        "timeout": st.sampled_from(["5s", "60s"]),
    },
)


def record_of(value: bytes | None) -> LogRecord:
    return LogRecord(3, 7, 1_000, "default/m", value)


def written(document: Any) -> bytes:
    return msgspec.json.encode({"workspace": "default", "by": "ann", "at": 5, "document": document})


@given(DOCUMENTS)
def test_that_a_revision_says_what_the_model_says(document: dict[str, Any]) -> None:
    monitor = Monitor.model_validate(document)
    value = Record[Monitor](workspace="default", by="ann", at=5, document=monitor).to_log()

    revision = read_revision(record_of(value))

    assert revision.terms == terms_of(revision.document) == Terms.of(monitor)
    assert revision.state == ("paused" if monitor.paused else "active")
    assert revision.document == monitor.model_dump_json(by_alias=True, exclude_unset=True)
    assert (revision.monitor, revision.version, revision.at, revision.by) == ("default/m", 7, 5, "ann")


def test_that_what_a_newer_writer_added_changes_no_terms() -> None:
    policy = {"confirmations": 3, "patience": "high"}
    document = {"slug": "m", "url": "quic://new", "interval": "10s", "policy": policy, "assertions": [{"mood": "good"}]}

    revision = read_revision(record_of(written(document)))

    monitor = Monitor.model_validate(
        {"slug": "m", "url": "http://m/", "interval": "10s", "policy": {"confirmations": 3}}
    )
    assert revision.terms == Terms.of(monitor)


def test_that_a_deleted_monitor_has_no_terms() -> None:
    deleted, tombstone = read_revision(record_of(written(None))), read_revision(record_of(None))

    assert (deleted.state, deleted.at, deleted.by, deleted.document, deleted.terms) == ("deleted", 5, "ann", "", None)
    assert (tombstone.state, tombstone.at, tombstone.by, tombstone.terms) == ("deleted", 1_000, "", None)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"by":"ann","at":5}',
        written({}).replace(b"5", b"99999999999999999", 1),
        written("text"),
        written({"interval": "soon"}),
        written({"interval": "1ms"}),
        written({"policy": {"confirmations": 0}}),
        written({"paused": "perhaps"}),
        written({"name": "x"}).replace(b"x", b"\xff"),
    ],
)
def test_that_what_is_no_monitor_is_unreadable(value: bytes) -> None:
    with pytest.raises(UNREADABLE_MONITOR):
        read_revision(record_of(value))
