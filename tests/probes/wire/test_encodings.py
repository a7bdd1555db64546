"""Encoded bodies: decoded whole, cut at the limit, or refused; never more than the limit."""

import gzip

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.encodings import MAX_MEMBERS, Undecodable, decode
from tests.probes.servers.answers import deflated

ENCODE = {
    "identity": bytes,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": lambda body: deflated(body, 15),
    "br": lambda body: bytes(cramjam.brotli.compress(body)),
    "zstd": lambda body: bytes(cramjam.zstd.compress(body)),
}


@given(st.sampled_from(sorted(ENCODE)), st.binary(max_size=2_000))
def test_what_was_encoded_is_decoded(coding: str, body: bytes) -> None:
    assert decode(ENCODE[coding](body), coding.upper(), 4_096, truncated=False) == (body, False)


@given(st.binary(max_size=2_000))
def test_bare_deflate_is_told_from_zlibs(body: bytes) -> None:
    assert decode(deflated(body, -15), "deflate", 4_096, truncated=False) == (body, False)


@pytest.mark.parametrize("coding", sorted(set(ENCODE) - {"identity"}))
def test_a_body_is_cut_exactly_at_the_limit(coding: str) -> None:
    encoded = ENCODE[coding](b"ab" * 2_048)

    assert decode(encoded, coding, 4_096, truncated=False) == (b"ab" * 2_048, False)
    assert decode(encoded, coding, 4_095, truncated=False) == ((b"ab" * 2_048)[:4_095], True)


@given(st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5))
def test_the_members_of_a_gzip_and_the_frames_of_a_zstd_are_one_body(parts: list[bytes]) -> None:
    frames = b"".join(map(ENCODE["zstd"], parts))
    assert decode(frames, "zstd", 4_096, truncated=False) == (b"".join(parts), False)

    encoded = b"".join(map(gzip.compress, parts))

    assert decode(encoded, "gzip", 4_096, truncated=False) == (b"".join(parts), False)
    assert decode(encoded + bytes(8), "gzip", 4_096, truncated=False) == (b"".join(parts), False)


def test_a_cut_is_seen_in_every_member_of_a_gzip() -> None:
    encoded = gzip.compress(b"one") + gzip.compress(b"two")

    assert decode(encoded, "gzip", 5, truncated=False) == (b"onetw", True)
    with pytest.raises(Undecodable, match="ends too early"):
        decode(encoded[:-9], "gzip", 4_096, truncated=False)


def test_more_members_than_anybody_needs_are_not_read() -> None:
    encoded = gzip.compress(b"a") * (MAX_MEMBERS + 1)

    assert decode(encoded, "gzip", 4_096, truncated=False) == (b"a" * MAX_MEMBERS, True)


def test_the_beginning_of_a_gzip_is_as_far_as_it_goes() -> None:
    encoded = gzip.compress(bytes(range(256)) * 8)

    body, truncated = decode(encoded[:-12], "gzip", 4_096, truncated=True)

    assert (bytes(range(256)) * 8).startswith(body)
    assert truncated


@given(st.sampled_from([*ENCODE, "gzip, gzip", "compress", ""]), st.binary(max_size=300), st.integers(0, 64))
def test_any_bytes_are_decoded_within_the_limit_or_refused(coding: str, body: bytes, limit: int) -> None:
    try:
        decoded, _ = decode(body, coding, limit, truncated=False)
    except Undecodable as refused:
        assert str(refused)
    else:
        assert len(decoded) <= limit or coding in ("identity", "")
