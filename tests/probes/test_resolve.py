"""Names to addresses, by a name server of our own and by /etc/hosts."""

import asyncio
from collections.abc import Sequence

import pytest

from probes import resolve
from probes.resolve import DnsResolver, IpVersion, interleave
from probes.wire.failed import FetchFailed
from schemas.enums import Reason
from tests.probes.servers.dns import NXDOMAIN, SERVFAIL, NameServer, name_server

NAMES: dict[str, list[str] | int] = {
    "four.sample.test": ["151.101.1.69"],
    "six.sample.test": ["2620:fe::fe"],
    "both.sample.test": ["151.101.1.69", "9.9.9.9", "2620:fe::fe"],
    "alias.sample.test": ["CNAME both.sample.test"],
    "nothing.sample.test": [],
    "missing.sample.test": NXDOMAIN,
    "broken.sample.test": SERVFAIL,
}


def look_up(*questions: tuple[str, IpVersion]) -> tuple[list[Sequence[str]], NameServer]:
    async def run() -> tuple[list[Sequence[str]], NameServer]:
        async with name_server(NAMES) as server:
            resolver = DnsResolver([f"127.0.0.1:{server.port}"])
            try:
                return [await resolver.resolve(host, version) for host, version in questions], server
            finally:
                await resolver.close()

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("host", "version", "addresses"),
    [
        ("four.sample.test", None, ["151.101.1.69"]),
        ("six.sample.test", None, ["2620:fe::fe"]),
        ("both.sample.test", None, ["2620:fe::fe", "151.101.1.69", "9.9.9.9"]),
        ("both.sample.test", 4, ["151.101.1.69", "9.9.9.9"]),
        ("both.sample.test", 6, ["2620:fe::fe"]),
        ("alias.sample.test", 6, ["2620:fe::fe"]),
    ],
)
def test_a_name_has_the_addresses_of_the_asked_version(host: str, version: IpVersion, addresses: list[str]) -> None:
    found, _ = look_up((host, version))

    assert list(found[0]) == addresses


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("missing.sample.test", "no such name"),
        ("nothing.sample.test", "no address"),
        ("broken.sample.test", "SERVFAIL"),
    ],
)
def test_what_went_wrong_with_a_name_is_said(host: str, words: str) -> None:
    with pytest.raises(FetchFailed, match=words) as failed:
        look_up((host, None))

    assert failed.value.reason is Reason.DNS_ERROR


def test_a_name_server_that_keeps_silent_is_told_from_a_missing_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "QUERY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(resolve, "QUERY_TRIES", 2)

    with pytest.raises(FetchFailed, match="did not answer"):
        look_up(("silent.sample.test", None))


def test_an_answer_is_kept_for_a_moment_and_a_failure_is_not() -> None:
    async def run() -> NameServer:
        async with name_server(dict(NAMES)) as server:
            resolver = DnsResolver([f"127.0.0.1:{server.port}"])
            await resolver.resolve("four.sample.test", 4)
            await resolver.resolve("four.sample.test", 4)
            with pytest.raises(FetchFailed):
                await resolver.resolve("missing.sample.test", 4)
            server.names["missing.sample.test"] = ["9.9.9.9"]
            await resolver.resolve("missing.sample.test", 4)
            await resolver.close()
            return server

    server = asyncio.run(run())

    assert server.questions["four.sample.test"] == 1
    assert server.questions["missing.sample.test"] > 1


def test_a_name_that_moved_is_followed_although_its_ttl_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> Sequence[str]:
        async with name_server({"moves.sample.test": ["9.9.9.9"]}) as server:
            resolver = DnsResolver([f"127.0.0.1:{server.port}"])
            await resolver.resolve("moves.sample.test", 4)
            server.names["moves.sample.test"] = ["151.101.1.69"]
            monkeypatch.setattr(resolve, "GENERATION_S", 0.0)
            moved = await resolver.resolve("moves.sample.test", 4)
            await resolver.close()
            return moved

    assert list(asyncio.run(run())) == ["151.101.1.69"]


def test_etc_hosts_is_honoured() -> None:
    async def run() -> Sequence[str]:
        resolver = DnsResolver(["127.0.0.1:9"])
        try:
            return await resolver.resolve("localhost", 4)
        finally:
            await resolver.close()

    assert list(asyncio.run(run())) == ["127.0.0.1"]


def test_addresses_are_tried_in_turns_and_once() -> None:
    assert interleave(["1.1.1.1", "9.9.9.9", "::1", "1.1.1.1", "::2", "::3"]) == (
        *("::1", "1.1.1.1", "::2", "9.9.9.9", "::3"),
    )
