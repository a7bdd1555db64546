"""Prepared answers: encodings made once, and a bound of bytes that nothing passes."""

import gzip

import cramjam

from query.snapshots import OVERHEAD_BYTES, Kind, Snapshot, Snapshots

KIND = Kind(b"text/plain", b"max-age=5")
LONG = b"the same words again and again " * 200


def test_the_best_accepted_encoding_is_given() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert snapshot.encoded(()).body == LONG
    assert gzip.decompress(snapshot.encoded((b"gzip",)).body) == LONG
    assert bytes(cramjam.brotli.decompress(snapshot.encoded((b"gzip", b"br")).body)) == LONG


def test_an_encoding_is_made_once() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert snapshot.encoded((b"br",)) is snapshot.encoded((b"br", b"gzip"))


def test_what_is_short_is_not_compressed() -> None:
    headers = dict(Snapshot(KIND, b"short").encoded((b"br",)).headers)

    assert b"content-encoding" not in headers
    assert headers[b"content-length"] == b"5"


def test_each_encoding_has_an_etag_of_its_own() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert len({snapshot.encoded(accepted).etag for accepted in ((), (b"gzip",), (b"br",))}) == 3
    assert snapshot.encoded(()).etag == Snapshot(KIND, LONG).encoded(()).etag
    assert snapshot.encoded(()).etag != Snapshot(KIND, LONG + b"!").encoded(()).etag


def test_the_least_used_go_first_and_the_bound_holds() -> None:
    snapshots = Snapshots(max_bytes=10 * OVERHEAD_BYTES)
    for number in range(100):
        snapshots.keep(number, Snapshot(KIND, b"x"))
        snapshots.get(0)

        assert snapshots.size_bytes <= 10 * OVERHEAD_BYTES

    assert snapshots.get(0) is not None
    assert snapshots.get(1) is None
    assert snapshots.get(99) is not None


def test_a_snapshot_in_place_of_another_is_weighed_alone() -> None:
    snapshots = Snapshots(max_bytes=1 << 20)
    for _ in range(50):
        snapshots.keep("key", Snapshot(KIND, LONG))

    assert len(snapshots) == 1
    assert snapshots.size_bytes == Snapshot(KIND, LONG).size_bytes
