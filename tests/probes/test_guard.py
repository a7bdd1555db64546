"""Where checks may go, by the corpus of addresses and by the operator's settings."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.guard import Guard
from probes.wire.failed import FetchFailed
from schemas.enums import Reason

PUBLIC = ["9.9.9.9", "11.12.13.14", "172.33.1.1", "100.130.1.1", "2620:fe::fe", "2001:4860:4860::6464"]
DENIED = {
    "0.1.2.3": "this network",
    "10.45.67.89": "private",
    "100.99.98.97": "carrier-grade",
    "127.8.9.10": "loopback",
    "172.31.255.255": "private",
    "192.0.0.77": "assignments",
    "192.0.2.200": "documentation",
    "192.88.99.200": "6to4",
    "192.168.44.5": "private",
    "198.19.255.255": "benchmarking",
    "198.51.100.99": "documentation",
    "203.0.113.5": "documentation",
    "233.252.0.1": "multicast",
    "255.255.255.255": "reserved",
    "::": "not unicast",
    "::1": "loopback",
    "::192.168.44.6": "not unicast",
    "::ffff:192.168.44.5": "IPv4-mapped",
    "64:ff9b::10.45.67.89": "NAT64",
    "64:ff9b:1::1": "not unicast",
    "100::beef": "not unicast",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "assignments",
    "2001:2:0:7::1": "assignments",
    "2001:db8:77::1": "documentation",
    "2002:a2d:4359::1": "6to4",
    "2a04:4e42::5efe:a2d:4359": "ISATAP",
    "2a04:4e42::200:5efe:a2d:4359": "ISATAP",
    "3fff:123::4": "documentation",
    "5f00:1234::2": "not unicast",
    "6000::1": "not unicast",
    "fc12:3456::9": "private",
    "fed0::3": "not unicast",
    "ff08::7": "multicast",
}
METADATA = [
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "100.100.2.136",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:42::42",
    "fe80::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "2a04:4e42::5efe:a9fe:a9fe",
]
EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    assert Guard().refusal(address) is None


@pytest.mark.parametrize(("address", "what"), DENIED.items())
def test_what_is_not_public_is_refused_and_named(address: str, what: str) -> None:
    refusal = Guard().refusal(address)

    assert refusal is not None
    assert what in refusal
    assert "PULSE_PROBE_ALLOW" in refusal


@pytest.mark.parametrize("address", METADATA)
def test_metadata_stays_closed_whatever_the_operator_allows(address: str) -> None:
    refusal = Guard(allow=EVERYTHING).refusal(address)

    assert refusal is not None
    assert "metadata" in refusal


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "fe80::1%eth0", "1.2.3.4\n", "a" * 10_000])
def test_what_is_not_an_address_is_refused(text: str) -> None:
    assert Guard(allow=EVERYTHING).refusal(text) is not None


def test_an_allowed_network_opens_exactly_itself() -> None:
    guard = Guard(allow=[ip_network("10.1.0.0/16")])

    assert guard.refusal("10.1.255.255") is None
    assert guard.refusal("10.2.0.0") is not None
    assert guard.refusal("::ffff:10.1.0.1") is not None


def test_a_denied_network_wins_over_an_allowed_one() -> None:
    guard = Guard(allow=EVERYTHING, deny=[ip_network("2a00:64::/96")])

    refusal = guard.refusal("2a00:64::a2d:4359")

    assert refusal is not None
    assert "PULSE_PROBE_DENY" in refusal


def test_one_bad_answer_refuses_them_all() -> None:
    with pytest.raises(FetchFailed, match=r"10\.45\.0\.1") as failed:
        Guard().check(["93.184.215.14", "10.45.0.1", "151.101.1.69"])

    assert failed.value.reason is Reason.BLOCKED_ADDRESS


@pytest.mark.parametrize(
    "host", ["localhost", "db.localhost", "localhost4", "localhost.localdomain", "localhost6.localdomain6", "nas"]
)
def test_local_names_are_refused_before_anything_is_asked(host: str) -> None:
    with pytest.raises(FetchFailed, match=host):
        Guard().check_name(host)


@pytest.mark.parametrize("host", ["localhost.sample.test", "example.com", "mylocalhost.dev"])
def test_names_that_only_look_local_pass(host: str) -> None:
    Guard().check_name(host)


def test_local_names_pass_to_their_addresses_where_networks_are_open() -> None:
    Guard(allow=[ip_network("127.0.0.0/8")]).check_name("localhost")


@given(st.integers(0, 2**32 - 1))
def test_no_address_that_the_standard_library_calls_private_is_let_through(number: int) -> None:
    address = IPv4Address(number)

    allowed = Guard().refusal(str(address)) is None

    assert not allowed or (address.is_global and not address.is_multicast)


@given(st.integers(0, 2**128 - 1) | st.integers(0x2000 << 112, (0x4000 << 112) - 1))
def test_no_ipv6_address_outside_public_unicast_is_let_through(number: int) -> None:
    address = IPv6Address(number)

    allowed = Guard().refusal(str(address)) is None

    assert not allowed or (address in ip_network("2000::/3") and not address.is_private)
    assert not allowed or (address.ipv4_mapped is None and address.sixtofour is None and address.teredo is None)


@given(st.ip_addresses())
def test_allowing_and_then_denying_everything_lets_nothing_through(address: IPv4Address | IPv6Address) -> None:
    assert Guard(allow=EVERYTHING, deny=EVERYTHING).refusal(str(ip_address(address))) is not None


def test_the_settings_type_is_the_guards() -> None:
    assert Guard(allow=[IPv4Network("127.0.0.0/8")]).refusal("127.0.0.1") is None
