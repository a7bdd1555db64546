"""`POST /v1/results`, over a log in memory."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from infra.kafka import partition_of
from query.encodings import zstd
from query.ingestion import (
    MAX_AT_ONCE,
    MAX_AT_ONCE_OF_A_KEY,
    MAX_BYTES,
    MAX_RECORD_BYTES,
    SLICE,
    _judge,
    _parse,
)
from query.keys import Caller
from schemas.enums import Outcome, Reason
from schemas.events import CheckBatch, decode_log
from schemas.monitors import KeyScope
from tests.query.management.service import Service, key_of_another_workspace, with_service

URL = "https://api.example.com/health"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def up(monitor: str = "api", **fields: Any) -> dict[str, Any]:
    return {"monitor": monitor, "scheduled_at": now_ms(), "outcome": "up"} | fields


async def push(service: Service, *results: Any, **headers: str) -> httpx.Response:
    return await service.client.post(
        "/v1/results", json={"region": "office", "results": list(results)}, headers=headers
    )


async def create(service: Service, *slugs: str) -> None:
    for slug in slugs:
        assert (await service.client.post("/v1/monitors", json={"slug": slug, "url": URL})).status_code == 201


def batches(service: Service) -> list[CheckBatch]:
    decoded = [decode_log(record.value or b"") for record in service.log.all("check-results")]
    return [batch for batch in decoded if isinstance(batch, CheckBatch)]


def packed_in_a_wide_window() -> bytes:
    """A frame that claims a window of 128 MB, and asks the reader to keep so much."""
    packer = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    return packer.compress(b"{}", zstd.ZstdCompressor.FLUSH_BLOCK) + packer.flush()


def test_pushed_results_are_in_the_log_like_a_probe_s() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        await service.client.put("/v1/monitors/api", json={"slug": "api", "url": URL, "interval": "5s"})
        at = now_ms() - 1_000
        result = {
            "monitor": "api",
            "scheduled_at": at,
            "outcome": "down",
            "reason": "http_status",
            "status_code": 503,
            "total_us": 12_345,
            "message": "HTTP 503\r\nforged",
            "components": [{"name": "database", "outcome": "down"}],
        }
        answer = await push(service, result)
        assert answer.status_code == 202
        assert answer.json() == {"accepted": 1, "rejected": 0, "errors": []}
        [batch] = batches(service)
        assert (batch.probe, batch.region) == ("admin-key", "office")
        [told] = batch.results
        assert (told.monitor, told.scheduled_at, told.started_at) == ("default/api", at, at)
        assert told.monitor_version == 1
        assert (told.outcome, told.reason, told.status_code) == (Outcome.DOWN, Reason.HTTP_STATUS, 503)
        assert told.message == "HTTP 503\ufffd\ufffdforged"

    with_service(scenario)


def test_a_result_without_its_total_takes_as_long_as_its_phases() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        longest_us = 4_294_967_295
        phases = [{}, {"dns_us": 2, "ttfb_us": 5}, {"tls_us": 7, "total_us": 6}, {"dns_us": longest_us, "tls_us": 1}]
        await push(service, *(up(scheduled_at=now_ms() - 9 + place, **each) for place, each in enumerate(phases)))
        [batch] = batches(service)
        assert [result.total_us for result in batch.results] == [0, 7, 6, longest_us]

    with_service(scenario)


def test_each_result_goes_to_the_partition_of_its_monitor() -> None:
    async def scenario(service: Service) -> None:
        slugs = [f"m{number}" for number in range(20)]
        await create(service, *slugs)
        await push(service, *(up(slug) for slug in slugs))
        for record in service.log.all("check-results"):
            batch = decode_log(record.value or b"")
            assert isinstance(batch, CheckBatch)
            assert {partition_of(result.monitor, 8) for result in batch.results} == {record.partition}
        assert sum(len(batch.results) for batch in batches(service)) == 20

    with_service(scenario)


def test_a_wrong_result_does_not_take_the_others_along() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        wrong: list[tuple[Any, str, str]] = [
            (up("nobody"), "#/results/1/monitor", "there is no monitor 'nobody'"),
            (up(scheduled_at=now_ms() // 1_000), "#/results/2/scheduled_at", "ms since the epoch"),
            (up(scheduled_at=now_ms() + 3_600_000), "#/results/3/scheduled_at", "results are taken of 20"),
            (up(outcome="fine"), "#/results/4/outcome", "Invalid enum value 'fine'"),
            (up(outcome="down"), "#/results/5/reason", "has a reason"),
            (up(reason="timeout"), "#/results/6/reason", "`ok` is the reason of `up`"),
            (up(total_us=-1), "#/results/7/total_us", ">= 0"),
            (up(surprise=1), "#/results/8", "unknown field `surprise`"),
            ([], "#/results/9", "Expected `object`"),
            (up(components=[{"name": "a"}]), "#/results/10/components/0", "missing required field `outcome`"),
            (up(message="x" * 20_000), "#/results/11", "16000 bytes"),
        ]
        answer = await push(service, up(), *(result for result, _, _ in wrong), up(scheduled_at=now_ms() - 5))
        assert answer.status_code == 202
        assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, len(wrong))
        for told, (_, pointer, detail) in zip(answer.json()["errors"], wrong, strict=True):
            assert told["pointer"] == pointer
            assert detail in told["detail"]
        assert sum(len(batch.results) for batch in batches(service)) == 2

    with_service(scenario)


def test_a_result_that_is_not_utf_8_does_not_take_the_others_along() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        body = json.dumps({"region": "office", "results": [up(), up(message="\xff")]}, ensure_ascii=False)
        answer = await service.client.post("/v1/results", content=body.encode("latin-1"))
        assert (answer.status_code, answer.json()["accepted"], answer.json()["rejected"]) == (202, 1, 1)
        assert answer.json()["errors"][0]["pointer"] == "#/results/1"

    with_service(scenario)


def test_results_are_in_the_log_in_the_order_of_their_times() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        now = now_ms()
        await push(service, *(up(scheduled_at=now - age_ms) for age_ms in (0, 1_000, 2_000)))
        [batch] = batches(service)
        assert [result.scheduled_at for result in batch.results] == [now - 2_000, now - 1_000, now]

    with_service(scenario)


def test_a_batch_without_a_good_result_is_refused() -> None:
    async def scenario(service: Service) -> None:
        answer = await push(service, up("nobody"))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/results/0/monitor"
        assert batches(service) == []

    with_service(scenario)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"{" * 100_000, 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"region": "office", "results": []}', 422),
        (b'{"region": "NOT A SLUG", "results": [1]}', 422),
        (json.dumps({"region": "office", "results": [1] * 10_001}).encode(), 422),
    ],
)
def test_what_is_no_batch_is_refused(body: bytes, status: int) -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.post("/v1/results", content=body)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"

    with_service(scenario)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "GZIP", "identity"])
def test_a_body_may_be_compressed(encoding: str) -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        body = json.dumps({"region": "office", "results": [up()]}).encode()
        packed = {"gzip": gzip.compress, "zstd": zstd.compress, "identity": bytes}[encoding.lower()](body)
        answer = await service.client.post("/v1/results", content=packed, headers={"Content-Encoding": encoding})
        assert answer.status_code == 202, answer.text

    with_service(scenario)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", gzip.compress(b" " * (MAX_BYTES + 1), mtime=0), 413),
        ("zstd", zstd.compress(b" " * (MAX_BYTES + 1)), 413),
        ("gzip", gzip.compress(b"{}" * 100, mtime=0)[:-9], 400),
        ("zstd", zstd.compress(b"{}" * 100)[:-5], 400),
        ("gzip", b"plain", 400),
        ("zstd", b"plain", 400),
        ("gzip", zlib.compress(b"{}"), 400),
        ("zstd", packed_in_a_wide_window(), 400),
        ("br", b"x", 415),
        ("gzip, gzip", b"x", 415),
    ],
)
def test_a_body_that_cannot_be_unpacked_in_bounds_is_refused(encoding: str, body: bytes, status: int) -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.post("/v1/results", content=body, headers={"Content-Encoding": encoding})
        assert answer.status_code == status

    with_service(scenario)


def test_a_body_of_more_than_five_megabytes_is_refused() -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.post("/v1/results", content=b" " * (MAX_BYTES + 1))
        assert answer.status_code == 413

    with_service(scenario)


def test_ten_thousand_results_are_taken_in_records_that_a_broker_takes() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        at = now_ms() - 100_000
        answer = await push(service, *(up(scheduled_at=at + n, message="m" * 300) for n in range(10_000)))
        assert answer.json()["accepted"] == 10_000
        told = [result.scheduled_at for batch in batches(service) for result in batch.results]
        assert told == list(range(at, at + 10_000))
        assert max(len(record.value or b"") for record in service.log.all("check-results")) <= MAX_RECORD_BYTES * 1.1

    with_service(scenario)


def test_without_kafka_nothing_is_acknowledged() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        service.log.away = True
        answer = await push(service, up())
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"

    with_service(scenario)


def test_pushing_needs_its_scope_and_sees_only_its_workspace() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        for scopes, status in (([KeyScope.PUSH], 202), ([KeyScope.WRITE, KeyScope.READ], 403)):
            made = await service.client.post("/v1/keys", json={"scopes": scopes})
            async with service.as_key(made.json()["key"]) as client:
                answer = await client.post("/v1/results", json={"region": "office", "results": [up()]})
                assert answer.status_code == status
        async with service.as_key(await key_of_another_workspace(service)) as client:
            answer = await client.post("/v1/results", json={"region": "office", "results": [up()]})
            assert answer.status_code == 422

    with_service(scenario)


def test_a_key_is_told_how_much_more_it_may_push() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        first = await push(service, up())
        assert first.headers["RateLimit-Policy"] == '"results";q=600;w=60, "results-of-address";q=2400;w=60'
        assert first.headers["RateLimit"].startswith('"results";r=599')

    with_service(scenario)


def test_what_the_service_sets_nobody_else_sets() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        for more in ({"sent_at": 1}, {"probe": "probe-0"}, {"type": "tick"}):
            batch = {"region": "office", "results": [up()], **more}
            assert (await service.client.post("/v1/results", json=batch)).status_code == 422
        for fields in ({"monitor_version": 7}, {"evidence": {}}, {"monitor": "default/api"}, {"overloaded": True}):
            assert (await push(service, up() | fields)).status_code == 422
        before = now_ms()
        await push(service, up(scheduled_at=before - 3_600_000))
        [batch] = batches(service)
        assert before <= batch.sent_at <= now_ms()

    with_service(scenario)


def test_the_same_batch_again_is_the_same_results() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        results = [up(scheduled_at=now_ms() - n) for n in range(3)]
        assert [(await push(service, *results)).status_code for _ in range(2)] == [202, 202]
        first, again = batches(service)
        assert first.results == again.results

    with_service(scenario)


def test_while_kafka_is_slow_so_many_batches_are_in_memory_and_no_more() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        keys = [await push_key(service) for _ in range(3)]
        service.log.slow = asyncio.Event()
        answers: list[httpx.Response] = []

        async def push_with(key: str) -> None:
            async with service.as_key(key) as client:
                answers.append(await client.post("/v1/results", json={"region": "office", "results": [up()]}))

        pushing = [asyncio.create_task(push_with(key)) for key in keys for _ in range(MAX_AT_ONCE_OF_A_KEY + 1)]
        refused = len(pushing) - MAX_AT_ONCE
        while len(answers) < refused:
            await asyncio.sleep(0.01)
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
        service.log.slow.set()
        await asyncio.gather(*pushing)
        assert [answer.status_code for answer in answers[refused:]] == [202] * MAX_AT_ONCE
        assert (await push(service, up())).status_code == 202, "the places are free again"

    with_service(scenario)


def test_one_key_leaves_places_for_others() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        theirs = await push_key(service)
        service.log.slow = asyncio.Event()
        pushing = [asyncio.create_task(push(service, up())) for _ in range(MAX_AT_ONCE_OF_A_KEY + 1)]
        done, waiting = await asyncio.wait(pushing, return_when=asyncio.FIRST_COMPLETED)
        assert [each.result().status_code for each in done] == [503]
        async with service.as_key(theirs) as client:
            other = asyncio.create_task(
                client.post("/v1/results", json={"region": "office", "results": [up(scheduled_at=now_ms() - 1)]})
            )
            while len(service.log.all("check-results")) <= MAX_AT_ONCE_OF_A_KEY:
                assert not other.done()
                await asyncio.sleep(0.01)
            service.log.slow.set()
            assert (await other).status_code == 202
        await asyncio.gather(*waiting)

    with_service(scenario)


async def push_key(service: Service) -> str:
    made = await service.client.post("/v1/keys", json={"scopes": ["push"]})
    return str(made.json()["key"])


def test_a_batch_of_which_kafka_took_a_part_is_to_be_sent_again() -> None:
    async def scenario(service: Service) -> None:
        slugs = [f"m{number}" for number in range(20)]
        await create(service, *slugs)
        service.log.away_partitions = {partition_of("default/m3", 8)}
        answer = await push(service, *(up(slug) for slug in slugs))
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "5"

    with_service(scenario)


def test_a_body_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("query.ingestion.BODY_LIMIT_S", 0.05)

    async def stalls() -> AsyncIterator[bytes]:
        yield b'{"region"'
        await asyncio.get_running_loop().create_future()

    async def scenario(service: Service) -> None:
        answer = await service.client.post("/v1/results", content=stalls())
        assert answer.status_code == 408
        assert answer.json()["type"] == "urn:pulse:problem:too-slow"

    with_service(scenario)


def test_others_have_their_turn_while_many_results_are_judged() -> None:
    async def scenario(service: Service) -> None:
        await create(service, "api")
        at = now_ms() - 100_000
        results = [up(scheduled_at=at + number) for number in range(10 * SLICE)]
        batch = _parse(json.dumps({"region": "office", "results": results}).encode())
        caller = Caller("default", "key:a", frozenset({KeyScope.PUSH}))
        judging = asyncio.create_task(_judge(service.context, caller, batch))
        turns = 0
        while not judging.done():
            turns += 1
            await asyncio.sleep(0)
        assert len((await judging)[0]) == len(results)
        assert turns >= 10

    with_service(scenario)
