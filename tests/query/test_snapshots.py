"""Prepared answers: encodings made once, and a bound of bytes that nothing passes."""

import gzip

import cramjam
import pytest

from query.snapshots import BROTLI, GZIP, OVERHEAD_BYTES, PLAIN, Kind, Reply, Snapshot, Snapshots

KIND = Kind(b"text/plain", b"max-age=5")
LONG = b"the same words again and again " * 200


def test_what_is_long_is_given_in_the_encoding_that_a_client_would_best_have() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert [snapshot.choose(encoding) for encoding in (PLAIN, GZIP, BROTLI)] == [PLAIN, GZIP, BROTLI]


def test_every_encoding_is_the_same_content() -> None:
    snapshot = Snapshot(KIND, LONG)

    assert snapshot.body(PLAIN) == LONG
    assert gzip.decompress(snapshot.body(GZIP)) == LONG
    assert bytes(cramjam.brotli.decompress(snapshot.body(BROTLI))) == LONG


def test_an_encoding_is_made_once() -> None:
    snapshot = Snapshot(KIND, LONG)
    made = {encoding: snapshot.body(encoding) for encoding in (GZIP, BROTLI)}

    assert all(snapshot.body(encoding) is body for encoding, body in made.items())


def test_what_says_the_same_as_before_is_not_compressed_again() -> None:
    before = Snapshot(KIND, LONG)
    zipped = before.body(GZIP)
    same, other = Snapshot(KIND, LONG, made_at=9, before=before), Snapshot(KIND, LONG + b"!", before=before)

    assert same.body(BROTLI) is before.body(BROTLI)
    assert same.body(GZIP) is zipped
    assert (same.made_at, same.etag(PLAIN), same.size_bytes) == (9, before.etag(PLAIN), before.size_bytes)
    assert other.body(PLAIN) == LONG + b"!"


def test_what_is_short_is_not_compressed() -> None:
    snapshot = Snapshot(KIND, b"short")

    assert snapshot.choose(BROTLI) == PLAIN
    assert snapshot.body(PLAIN) == b"short"


def test_what_is_long_takes_less_memory_than_it_is_long() -> None:
    assert Snapshot(KIND, LONG).size_bytes < OVERHEAD_BYTES + len(LONG) // 10


def test_headers_tell_size_identity_and_encoding() -> None:
    snapshot = Snapshot(KIND, LONG)
    whole, plain, unchanged = (
        dict(Reply.of(snapshot, encoding, status).headers())
        for encoding, status in ((GZIP, 200), (PLAIN, 200), (GZIP, 304))
    )

    assert whole[b"content-length"] == b"%d" % len(snapshot.body(GZIP))
    assert whole[b"content-encoding"] == b"gzip"
    assert whole[b"etag"] == unchanged[b"etag"] == snapshot.etag(GZIP)
    assert b"content-encoding" not in plain
    assert b"content-length" not in unchanged


@pytest.mark.parametrize("stale_since", [None, 1])
@pytest.mark.parametrize("encoding", [PLAIN, GZIP, BROTLI])
@pytest.mark.parametrize("status", [200, 304])
def test_the_answer_as_http_writes_it_has_the_same_headers(
    stale_since: int | None, encoding: bytes, status: int
) -> None:
    reply = Reply.of(Snapshot(KIND, LONG, stale_since=stale_since), encoding, status)
    head, _, body = reply.http(b"date: today\r\n").partition(b"\r\n\r\n")
    first, *others = head.split(b"\r\n")

    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert sorted(tuple(line.split(b": ", 1)) for line in others) == sorted([*reply.headers(), (b"date", b"today")])
    assert body == reply.body


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
