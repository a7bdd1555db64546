"""`/v1/monitors`, over a log in memory."""

import json
from typing import Any

import pytest

from infra.kafka import partition_of
from query.management.models import MonitorDetail, MonitorList
from schemas.monitors import Monitor, Record
from schemas.topics import MONITORS
from tests.query.management.service import Service, with_service

API = {"slug": "api", "url": "https://api.example.com/health", "interval": "30s"}


def test_a_monitor_is_created_as_an_event_and_can_be_read_at_once() -> None:
    async def scenario(service: Service) -> None:
        created = await service.client.post("/v1/monitors", json=API)
        assert created.status_code == 201
        assert created.headers["Location"] == "/v1/monitors/api"

        [record] = service.log.all("monitors")
        assert record.key == "default/api"
        told = Record[Monitor].from_log(record.value or b"")
        assert (told.workspace, told.by) == ("default", "admin-key")
        assert told.document == Monitor.model_validate(API)

        read = await service.client.get("/v1/monitors/api")
        assert read.status_code == 200
        assert read.json() == created.json()
        assert read.json()["monitor"] == API
        assert read.headers["ETag"] == f'"{record.offset}"'
        MonitorDetail.model_validate(read.json())

    with_service(scenario)


def test_the_partition_is_the_one_that_its_results_have() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        assert list(service.log.records) == [("monitors", partition_of("default/api", 8))]

    with_service(scenario)


def test_the_same_document_again_changes_nothing() -> None:
    async def scenario(service: Service) -> None:
        assert (await service.client.put("/v1/monitors/api", json=API)).status_code == 201
        again = await service.client.put("/v1/monitors/api", json={**API, "method": "GET"})
        assert again.status_code == 200
        assert again.json()["version"] == 0
        changed = await service.client.put("/v1/monitors/api", json={**API, "interval": "60s"})
        assert changed.json()["version"] == 1
        assert len(service.log.all("monitors")) == 2

    with_service(scenario)


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), (None, 0), ([1], [True])])
def test_a_number_that_becomes_a_boolean_is_a_change(before: Any, after: Any) -> None:
    async def scenario(service: Service) -> None:
        for value in (before, after):
            told = {"assertions": [{"jsonpath": "$.x", "equals": value}], "json": value, "method": "POST"}
            assert (await service.client.put("/v1/monitors/api", json=API | told)).is_success
        assert len(service.log.all("monitors")) == 2
        for body in (API, API | {"json": None}):
            await service.client.put("/v1/monitors/api", json=body)
        assert len(service.log.all("monitors")) == 4

    with_service(scenario)


def test_equals_null_is_another_test_than_not_equals_null() -> None:
    async def scenario(service: Service) -> None:
        for operator in ("equals", "not_equals"):
            body = {**API, "assertions": [{"jsonpath": "$.x", operator: None}]}
            answer = await service.client.put("/v1/monitors/api", json=body)
            assert answer.json()["monitor"]["assertions"] == [{"jsonpath": "$.x", operator: None}]
        assert len(service.log.all("monitors")) == 2

    with_service(scenario)


def test_a_creation_that_is_sent_again_is_answered_as_the_first_was() -> None:
    async def scenario(service: Service) -> None:
        first, again = [await service.client.post("/v1/monitors", json=API) for _ in range(2)]
        assert (again.status_code, again.headers, again.json()) == (201, first.headers, first.json())
        assert len(service.log.all("monitors")) == 1

    with_service(scenario)


def test_a_creation_of_another_document_under_the_same_slug_is_a_conflict() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        again = await service.client.post("/v1/monitors", json={**API, "interval": "10s"})
        assert again.status_code == 409
        assert again.headers["Content-Type"] == "application/problem+json"
        assert again.json()["type"] == "urn:pulse:problem:conflict"
        assert "PUT" in again.json()["detail"]

    with_service(scenario)


def test_every_wrong_field_is_told_at_once_with_its_pointer() -> None:
    async def scenario(service: Service) -> None:
        body = {
            "slug": "API",
            "url": "ftp://x",
            "interval": "3x",
            "intervall": "30s",
            "assertions": [{"jsonpath": "$.a["}, {"jsonpath": "$.a", "lt": {}}],
        }
        answer = await service.client.post("/v1/monitors", json=body)
        assert answer.status_code == 422
        told = {error["pointer"]: error["detail"] for error in answer.json()["errors"]}
        assert "lower case" in told["#/slug"]
        assert "http://" in told["#/url"]
        assert "like 500ms, 30s" in told["#/interval"]
        assert told["#/intervall"] == "unknown field; did you mean interval?"
        assert "JSONPath" in told["#/assertions/0/jsonpath"]
        assert service.log.all("monitors") == []

    with_service(scenario)


def test_a_missing_body_and_a_body_that_is_not_json_are_told_apart() -> None:
    async def scenario(service: Service) -> None:
        missing = await service.client.post("/v1/monitors")
        assert missing.status_code == 422
        broken = await service.client.post("/v1/monitors", content=b"{", headers={"Content-Type": "application/json"})
        assert broken.status_code == 400
        assert "not JSON" in broken.json()["detail"]
        bytes_that_are_no_text = await service.client.post(
            "/v1/monitors", content=b'{"slug": "\xff"}', headers={"Content-Type": "application/json"}
        )
        assert bytes_that_are_no_text.status_code == 400

    with_service(scenario)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_a_body_that_is_not_said_to_be_json_is_told_how_to_say_it(content_type: str) -> None:
    async def scenario(service: Service) -> None:
        headers = {"Content-Type": content_type} if content_type else {}
        refused = await service.client.post("/v1/monitors", content=json.dumps(API), headers=headers)
        assert refused.status_code == 400
        assert refused.json()["detail"].endswith(f"Content-Type: application/json, and not {content_type!r}")
        listed = await service.client.post("/v1/monitors", json=[API])
        assert listed.json()["detail"] == "#: should be a mapping of fields"

    with_service(scenario)


def test_a_body_of_more_than_a_megabyte_is_refused() -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.post("/v1/monitors", json={**API, "name": "x" * (1 << 20)})
        assert answer.status_code == 413

    with_service(scenario)


def test_an_unknown_slug_is_not_found() -> None:
    async def scenario(service: Service) -> None:
        for method, path in (("GET", "nothing"), ("DELETE", "nothing"), ("GET", "NOT%20A%20SLUG")):
            answer = await service.client.request(method, f"/v1/monitors/{path}")
            assert answer.status_code == 404
            assert answer.json()["title"] == "There is no such thing"

    with_service(scenario)


def test_the_slug_of_the_address_and_of_the_body_must_agree() -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.put("/v1/monitors/web", json=API)
        assert answer.status_code == 422
        assert answer.json()["errors"] == [{"detail": "the address says web", "pointer": "#/slug"}]

    with_service(scenario)


def test_if_match_changes_only_the_version_that_was_read() -> None:
    async def scenario(service: Service) -> None:
        nothing_yet = await service.client.put("/v1/monitors/api", json=API, headers={"If-Match": "*"})
        assert nothing_yet.status_code == 412
        etag = (await service.client.post("/v1/monitors", json=API)).headers["ETag"]
        mine = {**API, "interval": "10s"}
        assert (await service.client.put("/v1/monitors/api", json=mine, headers={"If-Match": etag})).status_code == 200
        again = await service.client.put("/v1/monitors/api", json=mine, headers={"If-Match": etag})
        assert again.status_code == 200, "its first answer may have been lost"
        late = await service.client.put("/v1/monitors/api", json=API, headers={"If-Match": etag})
        assert late.status_code == 412
        assert (await service.client.delete("/v1/monitors/api", headers={"If-Match": etag})).status_code == 412

    with_service(scenario)


def test_a_write_is_judged_by_what_another_process_has_just_written() -> None:
    async def scenario(service: Service) -> None:
        etag = (await service.client.post("/v1/monitors", json=API)).headers["ETag"]
        theirs = Monitor.model_validate({**API, "interval": "10s"})
        record = Record[Monitor](workspace="default", by="ada", at=1, document=theirs)
        partition = partition_of("default/api", 8)
        service.log.of_another_process(MONITORS, record.to_log(), "default/api", partition)
        mine = {**API, "interval": "60s"}
        assert (await service.client.put("/v1/monitors/api", json=mine, headers={"If-Match": etag})).status_code == 412

        service.log.of_another_process(MONITORS, record.to_log(), "default/api", partition)
        assert (await service.client.put("/v1/monitors/api", json=API)).json()["version"] == 3

    with_service(scenario)


def test_while_it_cannot_be_known_what_stands_in_the_log_a_write_is_refused() -> None:
    async def scenario(service: Service) -> None:
        service.log.catalog.away = True
        refused = await service.client.post("/v1/monitors", json=API)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert service.log.all("monitors") == []

    with_service(scenario)


def test_a_deleted_monitor_is_gone_and_its_record_says_who_did_it() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        assert (await service.client.delete("/v1/monitors/api")).status_code == 204
        assert (await service.client.get("/v1/monitors/api")).status_code == 404
        told = json.loads(service.log.all("monitors")[-1].value or b"")
        assert (told["by"], told["document"]) == ("admin-key", None)

    with_service(scenario)


@pytest.mark.parametrize(
    "address",
    ["monitors/{}/history", "monitors/{}/corrections", "analytics/budget?monitor={}&objective=0.99"]
    + [f"analytics/{kind}?monitor={{}}" for kind in ("uptime", "latency", "reasons", "results", "components")],
)
def test_the_history_of_a_deleted_monitor_can_be_asked_for_and_of_one_that_never_was_not(address: str) -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        await service.client.delete("/v1/monitors/api")
        told = await service.client.get(f"/v1/{address.format('api')}")
        assert told.json()["type"] == "urn:pulse:problem:store-away", "there is no ClickHouse here to answer"
        told = await service.client.get(f"/v1/{address.format('apy')}")
        assert told.status_code == 404

    with_service(scenario)


def test_a_monitor_that_a_page_shows_is_not_deleted() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        page = {"slug": "acme", "groups": [{"name": "API", "monitors": ["api"]}]}
        assert (await service.client.post("/v1/pages", json=page)).status_code == 201
        refused = await service.client.delete("/v1/monitors/api")
        assert refused.status_code == 409
        assert "acme" in refused.json()["detail"]
        await service.client.delete("/v1/pages/acme")
        assert (await service.client.delete("/v1/monitors/api")).status_code == 204

    with_service(scenario)


def test_the_list_goes_by_slug_a_page_at_a_time() -> None:
    async def scenario(service: Service) -> None:
        slugs = [f"m{number}" for number in range(7)]
        for slug in reversed(slugs):
            await service.client.put(f"/v1/monitors/{slug}", json={**API, "slug": slug})
        seen: list[str] = []
        cursor: str | None = None
        while True:
            parameters = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
            answer = await service.client.get("/v1/monitors", params=parameters)
            listed = MonitorList.model_validate(answer.json())
            seen += [monitor.slug for monitor in listed.monitors]
            cursor = listed.next_cursor
            if cursor is None:
                break
        assert seen == slugs

    with_service(scenario)


def test_the_list_tells_documents_only_when_asked() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        [line] = (await service.client.get("/v1/monitors")).json()["monitors"]
        assert "monitor" not in line
        [line] = (await service.client.get("/v1/monitors", params={"document": "true"})).json()["monitors"]
        assert line["monitor"] == API

    with_service(scenario)


def test_a_foreign_cursor_and_a_bad_limit_are_refused_by_their_names() -> None:
    async def scenario(service: Service) -> None:
        for parameters in ({"cursor": "x"}, {"cursor": "WzFd"}, {"limit": "0"}, {"limit": "9999"}, {"limit": "many"}):
            answer = await service.client.get("/v1/monitors", params=parameters)
            assert answer.status_code == 422
            assert [error["parameter"] for error in answer.json()["errors"]] == list(parameters)

    with_service(scenario)


def test_without_kafka_a_write_is_refused_and_nothing_is_half_done() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        service.log.away = True
        for answer in (
            await service.client.post("/v1/monitors", json={**API, "slug": "web"}),
            await service.client.put("/v1/monitors/api", json={**API, "interval": "10s"}),
            await service.client.delete("/v1/monitors/api"),
        ):
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "5"
        service.log.away = False
        assert (await service.client.get("/v1/monitors/api")).json()["monitor"] == API
        assert (await service.client.get("/v1/monitors/web")).status_code == 404

    with_service(scenario)


def test_a_workspace_has_a_largest_number_of_monitors() -> None:
    async def scenario(service: Service) -> None:
        assert (await service.client.post("/v1/monitors", json=API)).status_code == 201
        refused = await service.client.post("/v1/monitors", json={**API, "slug": "web"})
        assert refused.status_code == 422
        assert refused.json()["detail"] == "a workspace has 1 monitors at most"
        assert (await service.client.put("/v1/monitors/api", json={**API, "interval": "5s"})).status_code == 200

    with_service(scenario, max_monitors=1)


def test_a_private_address_is_judged_by_the_probe_and_not_here() -> None:
    async def scenario(service: Service) -> None:
        answer = await service.client.post("/v1/monitors", json={**API, "url": "http://127.0.0.1:18000/health"})
        assert answer.status_code == 201

    with_service(scenario)
