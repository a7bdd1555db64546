"""`POST /v1/results`, over a log in memory."""

import gzip
import json
import time
import zlib
from typing import Any

import httpx
import pytest

from infra.kafka import partition_of
from query.encodings import zstd
from query.ingestion import MAX_BYTES, MAX_RECORD_BYTES
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
            (up(scheduled_at=0), "#/results/2/scheduled_at", "older"),
            (up(scheduled_at=now_ms() + 3_600_000), "#/results/3/scheduled_at", "ahead"),
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
