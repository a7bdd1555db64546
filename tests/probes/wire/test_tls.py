"""Which certificates are trusted, and when they expire, read off their DER."""

import datetime
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from probes.wire.tls import expiry_of, make_context

UTC = datetime.UTC


def certificate(expires: datetime.datetime) -> bytes:
    leaf = trustme.CA().issue_cert("good.test", not_after=expires)
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


def test_every_python_trusts_the_same_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT  # as it is from Python 3.13 on
    monkeypatch.setattr(ssl, "create_default_context", lambda: strict)

    assert not make_context("https", verify=True).verify_flags & ssl.VERIFY_X509_STRICT


@pytest.mark.parametrize(
    "expires",
    [datetime.datetime(2030, 2, 28, 23, 59, 59, tzinfo=UTC), datetime.datetime(2051, 1, 1, 0, 0, 1, tzinfo=UTC)],
    ids=["UTCTime", "GeneralizedTime"],
)
def test_the_expiry_is_read(expires: datetime.datetime) -> None:
    assert expiry_of(certificate(expires)) == int(expires.timestamp() * 1_000)


@given(st.binary(max_size=80))
def test_what_is_no_certificate_has_no_expiry(noise: bytes) -> None:
    assert expiry_of(noise) == 0


@given(st.integers(0, 200), st.integers(0, 255))
def test_a_damaged_certificate_raises_nothing(at: int, value: int) -> None:
    damaged = bytearray(GOOD)
    damaged[at] = value

    assert isinstance(expiry_of(bytes(damaged)), int)


GOOD = certificate(datetime.datetime(2030, 1, 1, tzinfo=UTC))
