"""Rates by key and by address, and what they do not touch."""

import asyncio
import re
from ipaddress import ip_network
from typing import Any

import pytest

from infra.settings import Settings
from query import store
from query.limits import BUCKETS_KEPT, KEYS_AT_AN_ADDRESS, Limits, RateLimiter, RatePolicy, address_of
from query.problems import ProblemError, ProblemKind
from tests.query.filled import Filled, openapi_document
from tests.query.management.service import Service, with_service

POLICY = RatePolicy("test", quota=3, window_s=60)


def test_a_key_that_has_used_its_quota_is_told_when_to_come_back() -> None:
    now = [0.0]
    limiter = RateLimiter(POLICY, "a key", lambda: now[0])
    assert [limiter.take("a")["RateLimit"] for _ in range(3)] == [
        '"test";r=2;t=20',
        '"test";r=1;t=40',
        '"test";r=0;t=60',
    ]
    with pytest.raises(ProblemError) as refused:
        limiter.take("a")
    assert refused.value.kind is ProblemKind.TOO_MANY_REQUESTS
    assert refused.value.headers["Retry-After"] == "20"
    assert refused.value.headers["RateLimit-Policy"] == '"test";q=3;w=60'
    now[0] = 19.9
    with pytest.raises(ProblemError):
        limiter.take("a")
    now[0] = 20.1
    assert limiter.take("a")["RateLimit"] == '"test";r=0;t=60'


def test_keys_have_buckets_of_their_own() -> None:
    limiter = RateLimiter(POLICY, "a key", lambda: 0.0)
    for _ in range(3):
        limiter.take("a")
    assert limiter.take("b")["RateLimit"] == '"test";r=2;t=20'


def test_a_bucket_never_holds_more_than_its_quota() -> None:
    now = [0.0]
    limiter = RateLimiter(POLICY, "a key", lambda: now[0])
    limiter.take("a")
    now[0] = 10_000.0
    assert limiter.take("a")["RateLimit"] == '"test";r=2;t=20'


def test_keys_without_number_do_not_grow_the_memory() -> None:
    limiter = RateLimiter(POLICY, "a key", lambda: 0.0)
    for number in range(BUCKETS_KEPT + 100):
        limiter.take(str(number))
    assert len(limiter._buckets) == BUCKETS_KEPT


PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8:aaaa::/48"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["192.0.2.66", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, forged"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.66:80, 198.51.100.1:4711, 10.0.0.2:443"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        ("2001:db8:aaaa::1", ["2001:db8:1:2:ffff::"], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        (None, ["198.51.100.1"], "unknown"),
    ],
)
def test_an_address_is_the_nearest_hop_that_no_listed_proxy_has(
    peer: str | None, forwarded: list[str], address: str
) -> None:
    headers = [(b"x-forwarded-for", line.encode()) for line in forwarded]
    assert address_of({"client": (peer, 1) if peer else None, "headers": headers}, PROXIES) == address


def test_a_header_of_many_hops_is_read_in_part() -> None:
    hops = ", ".join(["198.51.100.1", *["10.0.0.1"] * 10_000])
    assert address_of({"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", hops.encode())]}, PROXIES) == (
        "10.0.0.1"
    )


def test_many_keys_at_one_address_share_what_an_address_may_send() -> None:
    limits = Limits(Settings())
    for number in range(KEYS_AT_AN_ADDRESS * POLICY.quota):
        limits.count(POLICY, scope_from("2001:db8::1"), f"key:{number}")
    with pytest.raises(ProblemError, match="an address may send 12 such requests"):
        limits.count(POLICY, scope_from("2001:db8::2"), "key:new")
    limits.count(POLICY, scope_from("2001:db8:0:1::1"), "key:new")


def scope_from(address: str) -> dict[str, Any]:
    return {"client": (address, 1), "headers": []}


def test_every_answer_of_a_limited_route_says_what_is_left_an_error_too() -> None:
    async def scenario(service: Service) -> None:
        path = "/v1/analytics/worst"
        answers = [await service.client.get(path) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 503, 429], "there is no ClickHouse here"
        assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers] == [
            '"analytics";r=2',
            '"analytics";r=1',
            '"analytics";r=0',
            '"analytics";r=0',
        ]
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 20
        assert answers[-1].headers["Content-Type"] == "application/problem+json"
        assert (await service.client.get("/v1/monitors")).status_code == 200, "what is cheap is not limited"

    with_service(scenario, rate_factor=0.01)


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("incidents", 503),
        ("incidents/x", 503),
        ("monitors/api/history", 503),
        ("monitors/api/corrections", 503),
        ("monitors/api/corrections/x", 503),
        ("system", 200),
    ],
)
def test_what_is_read_from_the_engines_is_limited_whichever_route_it_comes_by(path: str, first: int) -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        statuses = [(await service.client.get(f"/v1/{path}")).status_code for _ in range(2)]
        assert statuses == [first, 429], "there is neither Kafka nor ClickHouse here"

    with_service(scenario, rate_factor=0.001)


def test_who_tries_keys_is_slowed_down_and_a_good_key_beside_it_is_not() -> None:
    async def scenario(service: Service) -> None:
        async with service.as_key("pulse_nobody_guessed") as guessing:
            statuses = [(await guessing.get("/v1/monitors")).status_code for _ in range(7)]
            refused = await guessing.get("/v1/pages", headers={"X-Forwarded-For": "198.51.100.1"})
        assert statuses == [401] * 6 + [429]
        assert refused.status_code == 429, "a header that anybody can write makes no new address"
        assert int(refused.headers["Retry-After"]) > 0
        assert (await service.client.get("/v1/monitors")).status_code == 200

    with_service(scenario, rate_factor=0.1)


def test_behind_a_listed_proxy_each_client_is_counted_for_itself() -> None:
    async def scenario(service: Service) -> None:
        async with service.as_key(None) as client:
            for number in range(5):
                answer = await client.get("/v1/monitors", headers={"X-Forwarded-For": f"198.51.100.{number}"})
                assert answer.status_code == 401

    with_service(scenario, rate_factor=0.001, proxies="127.0.0.0/8")


def test_no_public_answer_is_ever_limited() -> None:
    filled = Filled(rate_factor=0.001)
    filled.monitor("api")
    filled.page("acme", "api")
    paths = openapi_document()["paths"]
    public = [path for path, operations in paths.items() if not operations.get("get", {}).get("security")]
    assert {"/p/{slug}", "/status/{slug}", "/badges/{slug}/{badge}.{extension}"} <= set(public)
    named = {"slug": "acme", "monitor": "api", "badge": "status", "extension": "svg"}
    for path in public:
        for there in (path, path.replace("{slug}", "nobody")):
            filled_in = re.sub(r"{(\w+)(:path)?}", lambda name: named.get(name[1], "x"), there)
            answers = [filled.get(filled_in) for _ in range(3)]
            assert len({answer.status_code for answer in answers}) == 1, filled_in
            assert 429 not in {answer.status_code for answer in answers}
            assert not any("RateLimit" in answer.headers for answer in answers)


def test_a_key_that_exports_much_at_once_is_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = asyncio.Event()

    async def nothing(*_: object) -> list[store.Row]:
        return []

    async def slowly(*_: object) -> bytes:
        await go_on.wait()
        return b"lines"

    monkeypatch.setattr(store, "rows", nothing)
    monkeypatch.setattr(store, "raw", slowly)

    async def scenario(service: Service) -> None:
        for _ in range(2):
            exports = [asyncio.create_task(service.client.get("/v1/analytics/export.csv")) for _ in range(3)]
            done, waiting = await asyncio.wait(exports, return_when=asyncio.FIRST_COMPLETED)
            assert [(each.result().status_code, each.result().headers["Retry-After"]) for each in done] == [(503, "1")]
            go_on.set()
            assert {each.text for each in await asyncio.gather(*waiting)} == {"lines"}
            go_on.clear()

    with_service(scenario)


def test_an_export_that_nobody_waits_for_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: object) -> list[store.Row]:
        return []

    asked = 0

    async def never(*_: object) -> bytes:
        nonlocal asked
        asked += 1
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(store, "rows", nothing)
    monkeypatch.setattr(store, "raw", never)

    async def scenario(service: Service) -> None:
        for times in range(1, 4):
            exports = [asyncio.create_task(service.client.get("/v1/analytics/export.csv")) for _ in range(2)]
            while asked < 2 * times:
                assert not any(export.done() for export in exports)
                await asyncio.sleep(0.01)
            for export in exports:
                export.cancel()
            await asyncio.gather(*exports, return_exceptions=True)

    with_service(scenario)
