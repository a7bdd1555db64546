"""Each line of the corpus: never a connect to an address that is denied, whatever the verdict."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

from probes.fetch import Fetcher, Request
from probes.transport import BlockedAddress, PulseTransport
from schemas.enums import Reason
from schemas.urls import InvalidUrl, parse_url
from tests.probes.servers.network import LocalNetwork, RebindingResolver, local_network

CORPUS = [json.loads(line) for line in (Path(__file__).parent / "corpus" / "ssrf.jsonl").read_text().splitlines()]
REPAIRED = {"s064"}
"""httpx itself quotes the space."""
REFUSED = {Reason.BLOCKED_ADDRESS: "blocked", Reason.REDIRECT: "invalid"}

Verdict = Callable[[str, Fetcher], Awaitable[str]]


async def by_fetcher(url: str, fetcher: Fetcher) -> str:
    """The verdict of a check."""
    try:
        parsed = parse_url(url)
    except InvalidUrl:
        return "invalid"
    fetched = await fetcher.fetch(Request("GET", parsed, timeout_ms=5_000))
    return REFUSED.get(fetched.reason, "allowed")


async def by_httpx(url: str, fetcher: Fetcher) -> str:
    """The verdict of httpx over our transport."""
    async with httpx.AsyncClient(transport=PulseTransport(fetcher), follow_redirects=True, trust_env=False) as client:
        try:
            await client.get(url)
        except BlockedAddress:
            return "blocked"
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL):
            return "invalid"
        except httpx.ConnectError:
            return "allowed"  # TLS meets a server without it
    return "allowed"


async def judge(line: dict[str, Any], verdict: Verdict, times: int) -> tuple[list[str], LocalNetwork]:
    async with local_network(line.get("http", {})) as network:
        fetcher = Fetcher(resolver=RebindingResolver(line.get("dns", {})), connect=network.connect)
        verdicts = [await verdict(line["url"], fetcher) for _ in range(times)]
        await fetcher.close()
    return verdicts, network


def assert_no_denied_connect(network: LocalNetwork) -> None:
    """By the standard library's word, not by our tables."""
    for address, _ in network.connects:
        assert ip_address(address).is_global
        assert not ip_address(address).is_multicast


@pytest.mark.parametrize("verdict", [by_fetcher, by_httpx])
@pytest.mark.parametrize("line", CORPUS, ids=lambda line: f"{line['id']}-{line['class']}")
def test_the_corpus_gets_its_verdicts_and_no_denied_connect(line: dict[str, Any], verdict: Verdict) -> None:
    verdicts, network = asyncio.run(judge(line, verdict, times=1))

    assert verdicts[0] in {line["expect"], *line.get("also", ())} or (verdict is by_httpx and line["id"] in REPAIRED)
    assert_no_denied_connect(network)
    assert bool(network.connects) or verdicts[0] != "allowed"


def test_a_name_that_turns_private_is_refused_at_its_next_look_up() -> None:
    line = next(line for line in CORPUS if line["id"] == "s059")

    verdicts, network = asyncio.run(judge(line, by_fetcher, times=3))

    assert verdicts == ["allowed", "blocked", "blocked"]
    assert network.connects == [("151.101.129.69", 80)]


def test_a_name_that_turns_private_behind_a_redirect_is_refused() -> None:
    line = {
        "url": "http://turn.sample.test/",
        "dns": {"turn.sample.test": [["151.101.1.69"], ["10.45.0.2"]]},
        "http": {"http://turn.sample.test/": {"status": 302, "headers": [["Location", "/next"]]}},
    }

    verdicts, network = asyncio.run(judge(line, by_fetcher, times=1))

    assert verdicts == ["blocked"]
    assert network.connects == [("151.101.1.69", 80)]


def test_the_connect_goes_to_the_address_that_was_judged_and_asks_no_second_time() -> None:
    async def run() -> tuple[LocalNetwork, RebindingResolver]:
        async with local_network({}) as network:
            resolver = RebindingResolver({"turn.sample.test": [["151.101.1.69", "9.9.9.9"], ["10.45.0.2"]]})
            fetcher = Fetcher(resolver=resolver, connect=network.connect)
            await fetcher.fetch(Request("GET", parse_url("http://turn.sample.test/")))
            await fetcher.close()
            return network, resolver

    network, resolver = asyncio.run(run())

    assert network.connects == [("151.101.1.69", 80)]
    assert resolver.lookups["turn.sample.test"] == 1
