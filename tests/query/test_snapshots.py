"""Prepared answers: encodings made once, and a bound of bytes that nothing passes."""

import gzip

import cramjam

from query.snapshots import BROTLI, GZIP, OVERHEAD_BYTES, PLAIN, Kind, Snapshot, Snapshots

KIND = Kind(b"text/plain", b"max-age=5")
LONG = b"the same words again and again " * 200


def test_the_best_accepted_encoding_is_chosen() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert snapshot.choose(()) == PLAIN
    assert snapshot.choose((b"deflate", b"gzip")) == GZIP
    assert snapshot.choose((b"gzip", b"br")) == BROTLI


def test_every_encoding_is_the_same_content() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert snapshot.body(PLAIN) == LONG
    assert gzip.decompress(snapshot.body(GZIP)) == LONG
    assert bytes(cramjam.brotli.decompress(snapshot.body(BROTLI))) == LONG


def test_an_encoding_is_made_once() -> None:
    snapshot = Snapshot(KIND, LONG)
    made = {encoding: snapshot.body(encoding) for encoding in (GZIP, BROTLI)}

    assert all(snapshot.body(encoding) is body for encoding, body in made.items())


def test_what_is_short_is_not_compressed() -> None:
    assert Snapshot(KIND, b"short").choose((b"br",)) == PLAIN


def test_headers_tell_size_identity_and_encoding() -> None:
    headers = dict(KIND.headers(GZIP, b'"x"', 5))

    assert headers[b"content-length"] == b"5"
    assert headers[b"content-encoding"] == b"gzip"
    assert b"content-encoding" not in dict(KIND.headers(PLAIN, b'"x"', 5))
    assert b"content-length" not in dict(KIND.headers_304(GZIP, b'"x"'))


def test_each_encoding_has_an_etag_of_its_own() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert len({snapshot.etag(encoding) for encoding in (PLAIN, GZIP, BROTLI)}) == 3
    assert snapshot.etag(PLAIN) == Snapshot(KIND, LONG).etag(PLAIN)
    assert snapshot.etag(PLAIN) != Snapshot(KIND, LONG + b"!").etag(PLAIN)


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
