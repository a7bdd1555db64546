"""Whose failure it is: the target's, or the probe's own network's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from errno import ENETUNREACH
from functools import partial
from itertools import cycle
from socket import AF_INET, AF_INET6, AddressFamily
from socket import socket as Socket  # noqa: N812

import aiodns
import pytest

from probes.own_health import Canary, InvalidCanary, OwnNetwork, Target, finds_out, has_route, parse_canary
from schemas.enums import Outcome, Reason
from schemas.events import CheckResult
from tests.engines import free_ports
from tests.probes.servers.dns import NXDOMAIN, SERVFAIL, name_server


def result(reason: Reason, connect_us: int = 0) -> CheckResult:
    outcome = Outcome.UP if reason is Reason.OK else Outcome.DOWN
    return CheckResult("default/a", 1, 1, 1, outcome, reason, connect_us=connect_us)


UP, LOST, REFUSED = result(Reason.OK, 400), result(Reason.CONNECT_ERROR), result(Reason.CONNECT_REFUSED)
NAMELESS, SILENT, SLOW = result(Reason.DNS_ERROR), result(Reason.TIMEOUT), result(Reason.TIMEOUT, connect_us=400)


def target(number: int) -> Target:
    return f"t{number}.example", 443


def blamed(network: OwnNetwork, *seen: tuple[int, CheckResult], addresses: Sequence[str] = ("",)) -> list[bool]:
    async def main() -> list[bool]:
        at = cycle(addresses)
        return [await network.is_to_blame(target(number), next(at), each) for number, each in seen]

    return asyncio.run(main())


def connected() -> bool:
    return True


def cut_off() -> bool:
    return False


async def answering(domain: str) -> bool:
    return True


async def silent(domain: str) -> bool:
    return False


def answering_once() -> Callable[[str], Awaitable[bool]]:
    """A resolver that answers while all is well, and is lost then."""
    answers = iter([True])

    async def resolver(domain: str) -> bool:
        return next(answers, False)

    return resolver


def test_one_target_that_fails_among_others_is_down() -> None:
    network = OwnNetwork(route=connected, resolver=answering)

    assert blamed(network, (1, UP), (2, LOST), (3, UP), (2, SILENT), (4, NAMELESS), (1, UP)) == [False] * 6


@pytest.mark.parametrize("failure", [LOST, NAMELESS, SILENT])
def test_when_everything_fails_at_once_it_is_the_probe(failure: CheckResult) -> None:
    network = OwnNetwork(route=connected, resolver=answering_once())
    fine = [(n, UP) for n in range(8)]

    found = blamed(network, *fine, *((n, failure) for n in range(8)))

    assert found == [False] * 8 + [False] * 4 + [True] * 4
    assert network.offline


@pytest.mark.parametrize("addresses", [["8.8.4.7"], ["8.8.4.7", "8.8.4.8", "2600::1", "2600::2", "8.8.4.9"]])
def test_all_that_one_server_has_may_vanish_with_it(addresses: list[str]) -> None:
    network = OwnNetwork(route=connected, resolver=answering)

    assert not any(blamed(network, *((n, SILENT) for _ in range(3) for n in range(40)), addresses=addresses))


def test_names_that_expire_together_are_down_while_the_resolver_finds_others() -> None:
    assert not any(blamed(OwnNetwork(route=connected, resolver=answering), *((n, NAMELESS) for n in range(40))))
    assert any(blamed(OwnNetwork(route=connected, resolver=silent), *((n, NAMELESS) for n in range(40))))


def test_many_places_do_not_vanish_at_once_though_the_resolver_is_near() -> None:
    network = OwnNetwork(route=connected, resolver=answering)

    found = blamed(network, *((n, SILENT) for n in range(8)), addresses=[f"8.8.{n}.7" for n in range(8)])

    assert found == [False] * 4 + [True] * 4


def test_ports_of_one_address_need_no_resolver_to_vanish() -> None:
    async def main() -> list[bool]:
        network = OwnNetwork(route=connected, resolver=silent)
        return [await network.is_to_blame(("8.8.4.4", port), "8.8.4.4", SILENT) for port in range(1, 40)]

    assert not any(asyncio.run(main()))


def test_private_addresses_side_by_side_are_as_many_places() -> None:
    async def main() -> list[bool]:
        network = OwnNetwork(route=connected, resolver=silent)
        hosts = [f"10.0.0.{n}" for n in range(8)]
        return [await network.is_to_blame((host, 80), host, LOST) for host in hosts]

    assert asyncio.run(main()) == [False] * 4 + [True] * 4


def test_a_resolver_proves_itself_by_a_name_that_was_never_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> tuple[list[bool], set[str]]:
        async with name_server({}) as server:
            channel = partial(aiodns.DNSResolver, [f"127.0.0.1:{server.port}"])
            monkeypatch.setattr("probes.own_health.aiodns.DNSResolver", channel)
            found = []
            for code in (NXDOMAIN, SERVFAIL, NXDOMAIN, None):
                server.others = code
                found.append(await finds_out("com"))
            return found, set(server.questions)

    found, questions = asyncio.run(main())
    assert found == [True, False, True, False]
    assert len(questions) == 4
    assert all(question.endswith(".com") for question in questions)


def test_an_answer_of_anybody_ends_it() -> None:
    network = OwnNetwork(route=connected, resolver=silent)
    assert any(blamed(network, *((n, LOST) for n in range(8))))

    assert blamed(network, (1, UP), (2, LOST)) == [False, False]
    assert not network.offline


@pytest.mark.parametrize("alive", [REFUSED, SLOW, result(Reason.TLS_ERROR, 1), result(Reason.CONNECT_ERROR, 1)])
def test_a_refusal_a_late_answer_or_the_first_of_redirects_is_a_sign_of_life(alive: CheckResult) -> None:
    network = OwnNetwork(route=connected, resolver=answering)

    assert not any(blamed(network, *((n, alive) for n in range(20)), (1, LOST)))


def test_half_of_many_targets_failing_is_not_the_probe() -> None:
    network = OwnNetwork(route=connected, resolver=answering)
    seen = [(n, LOST if n % 2 else UP) for _ in range(5) for n in range(100)]

    assert not any(blamed(network, *seen))


def test_a_single_target_is_believed_while_there_is_a_route_and_the_resolver_finds_things_out() -> None:
    assert blamed(OwnNetwork(route=connected, resolver=answering), (1, LOST)) == [False]
    assert blamed(OwnNetwork(route=connected, resolver=silent), (1, LOST)) == [True]
    assert blamed(OwnNetwork(route=cut_off, resolver=answering), (1, LOST)) == [True]


def test_one_that_fails_beside_one_that_does_not_is_believed_without_asking() -> None:
    assert blamed(OwnNetwork(route=cut_off, resolver=silent), (2, UP), (1, LOST), (1, LOST)) == [False] * 3


def test_the_name_of_a_private_address_is_believed_where_the_resolver_knows_private_names_alone() -> None:
    assert blamed(OwnNetwork(route=cut_off, resolver=silent), (1, SILENT), addresses=["10.0.0.7"]) == [False]


def test_a_dns_check_that_is_answered_ends_its_own_failure_and_speaks_for_no_other() -> None:
    network = OwnNetwork(route=connected, resolver=silent)
    answered = CheckResult("default/a", 1, 1, 1, Outcome.UP, dns_us=400)

    assert blamed(network, (1, NAMELESS), (2, LOST), (1, answered)) == [True, True, False]
    assert network.offline
    assert blamed(network, (2, answered)) == [False]
    assert not network.offline


def test_a_resolver_that_finds_nothing_out_when_all_is_well_tells_nothing_when_it_is_not() -> None:
    network = OwnNetwork(route=connected, resolver=silent)

    assert blamed(network, (1, UP), (1, SILENT)) == [False, False]
    assert blamed(OwnNetwork(route=connected, resolver=answering_once()), (1, UP), (1, SILENT)) == [False, True]


def test_a_name_beside_us_that_answers_says_nothing_of_the_way_to_the_world() -> None:
    network = OwnNetwork(route=connected, resolver=silent)

    found = blamed(network, (1, UP), (2, SILENT), (1, UP), (3, SILENT), addresses=["10.0.0.7", "8.8.4.4"])

    assert found == [False, True, False, True]


def test_a_name_beside_us_that_fails_is_believed_and_does_not_bring_the_world_back() -> None:
    network = OwnNetwork(route=connected, resolver=silent)

    assert blamed(network, (2, SILENT), (1, SILENT), addresses=["8.8.4.4", "10.0.0.7"]) == [True, False]
    assert network.offline


def test_a_name_that_led_nowhere_for_a_while_is_where_it_was_again() -> None:
    network = OwnNetwork(route=connected, resolver=silent)

    found = blamed(network, (1, NAMELESS), (1, UP), (2, SILENT), addresses=["", "10.0.0.7", "8.8.4.4"])

    assert found == [True, False, True]


def test_without_a_route_a_private_target_is_believed_all_the_same() -> None:
    network = OwnNetwork(route=cut_off)

    assert asyncio.run(network.is_to_blame(("10.0.0.7", 80), "10.0.0.7", LOST)) is False


@pytest.mark.parametrize("near", ["127.0.0.1", "10.0.0.7", "::1", "localhost", "app"])
def test_what_is_near_and_answers_says_nothing_of_the_way_to_the_world(near: str) -> None:
    async def main() -> list[bool]:
        network = OwnNetwork(route=cut_off)
        await network.is_to_blame((near, 80), "", UP)
        found = [await network.is_to_blame(target(1), "", NAMELESS)]
        found.append(await network.is_to_blame((near, 80), "", UP))
        return [*found, await network.is_to_blame(target(1), "", LOST)]

    assert asyncio.run(main()) == [True, False, True]


def test_while_the_world_answers_private_targets_are_down_however_many() -> None:
    async def main() -> list[bool]:
        network = OwnNetwork(route=connected, resolver=answering)
        await network.is_to_blame(target(1), "", UP)
        found = []
        for number in range(8):
            found.append(await network.is_to_blame((f"10.0.0.{number}", 80), "", LOST))
            await network.is_to_blame(target(1), "", UP)
        return found

    assert not any(asyncio.run(main()))


@pytest.mark.parametrize("reason", [Reason.BAD_REQUEST, Reason.BLOCKED_ADDRESS, Reason.PROBE_OVERLOADED, Reason.OK])
def test_a_check_that_reached_nobody_is_no_sign_of_life(reason: Reason) -> None:
    network = OwnNetwork(route=connected, resolver=silent)
    lost = [(n, LOST) for n in range(8)]

    found = blamed(network, *lost, (9, result(reason)), *lost)

    assert found == [True] * 8 + [False] + [True] * 8


@pytest.mark.parametrize(("routed", "found"), [({AF_INET}, True), ({AF_INET6}, True), (set(), False)])
def test_a_way_by_either_family_is_a_way_to_the_world(
    routed: set[AddressFamily], found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(probe: Socket, address: tuple[str, int]) -> None:
        if probe.family not in routed:
            raise OSError(ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(Socket, "connect", connect, raising=False)

    assert has_route() is found


def test_a_canary_that_answers_means_that_the_target_is_down() -> None:
    async def main() -> tuple[list[bool], list[bool]]:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        (closed,) = free_ports(1)
        async with server:
            one_answers = OwnNetwork([Canary("127.0.0.1", closed), Canary("127.0.0.1", port)], cut_off)
            none_answers = OwnNetwork([Canary("127.0.0.1", closed)], connected)
            return (
                [await one_answers.is_to_blame(target(n), "", LOST) for n in range(20)],
                [await none_answers.is_to_blame(target(n), "", each) for n, each in enumerate([LOST, UP, LOST])],
            )

    assert asyncio.run(main()) == ([False] * 20, [True, False, True])


def test_a_probe_that_cannot_be_sure_says_how_it_could_be() -> None:
    assert OwnNetwork([Canary("192.0.2.1", 443)]).verdict == "the probe has lost its own network"
    assert "PULSE_PROBE_CANARIES" in OwnNetwork().verdict


@pytest.mark.parametrize(("text", "canary"), [("1.1.1.1:443", Canary("1.1.1.1", 443)), ("[::1]:53", Canary("::1", 53))])
def test_canaries_are_host_and_port(text: str, canary: Canary) -> None:
    assert parse_canary(text) == canary


@pytest.mark.parametrize("text", ["1.1.1.1", ":53", "a:b", "", "1.1.1.1:99999", "a..b:443"])
def test_what_is_no_canary_is_refused_and_the_message_shows_one(text: str) -> None:
    with pytest.raises(InvalidCanary, match="write host:port"):
        parse_canary(text)
