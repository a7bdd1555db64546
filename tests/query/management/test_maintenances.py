"""`/v1/maintenances`, over a log in memory."""

import time
from typing import Any

from query.management.models import MaintenanceDetail, MaintenanceList
from schemas.moments import format_moment, parse_moment
from schemas.monitors import Maintenance, Record
from tests.query.management.service import Service, key_of_another_workspace, with_service

API = {"slug": "api", "url": "https://api.example.com/health"}
HOUR_MS = 3_600_000


def upgrade(starts_in_ms: int = HOUR_MS, **fields: Any) -> dict[str, Any]:
    starts_at = time.time_ns() // 1_000_000 + starts_in_ms
    return {
        "slug": "upgrade",
        "title": "Upgrade",
        "monitors": ["api"],
        "starts_at": format_moment(starts_at),
        "ends_at": format_moment(starts_at + HOUR_MS),
        **fields,
    }


async def take_place(service: Service, starts_in_ms: int, **fields: Any) -> dict[str, Any]:
    """Write a maintenance as if it had been planned earlier."""
    written = upgrade(starts_in_ms, **fields)
    record = Record[Maintenance](workspace="default", by="ada", at=1, document=Maintenance.model_validate(written))
    await service.log.send("maintenances", record.to_log(), f"default/{written['slug']}".encode(), 0)
    return written


def test_a_maintenance_is_planned_read_changed_and_deleted() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        planned = upgrade()
        created = await service.client.post("/v1/maintenances", json=planned)
        assert created.status_code == 201
        assert created.headers["Location"] == "/v1/maintenances/upgrade"
        detail = MaintenanceDetail.model_validate(created.json())
        assert (detail.state, detail.updated_by, detail.starts_at) == ("upcoming", "admin-key", planned["starts_at"])

        changed = await service.client.put(
            "/v1/maintenances/upgrade", json=planned | {"title": "Big upgrade"}, headers={"If-Match": '"0"'}
        )
        assert changed.json()["title"] == "Big upgrade"
        unchanged = await service.client.put("/v1/maintenances/upgrade", json=planned | {"title": "Big upgrade"})
        assert unchanged.json()["version"] == changed.json()["version"] == 1
        assert (await service.client.get("/v1/maintenances/upgrade")).json() == changed.json()
        late = await service.client.put("/v1/maintenances/upgrade", json=planned, headers={"If-Match": '"0"'})
        assert late.status_code == 412

        assert (await service.client.delete("/v1/maintenances/upgrade")).status_code == 204
        assert (await service.client.get("/v1/maintenances/upgrade")).status_code == 404

    with_service(scenario)


def test_one_moment_written_in_two_zones_is_no_change() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        for starts_at in ("2090-06-01T02:00:00Z", "2090-06-01T04:00+02:00"):
            planned = upgrade(starts_at=starts_at, ends_at="2090-06-01T03:00Z")
            answer = await service.client.put("/v1/maintenances/upgrade", json=planned)
            assert answer.json()["version"] == 0
            assert answer.json()["maintenance"]["starts_at"] == "2090-06-01T02:00:00.000Z"

    with_service(scenario)


def test_a_maintenance_of_unknown_monitors_or_of_the_past_is_refused_with_each_field() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        refused = await service.client.post("/v1/maintenances", json=upgrade(-HOUR_MS * 3, monitors=["api", "x"]))
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == ["#/starts_at", "#/ends_at", "#/monitors/1"]
        assert "it can start now" in refused.json()["errors"][0]["detail"]

    with_service(scenario)


def test_one_that_runs_is_ended_early_and_then_stays_as_it_was() -> None:
    async def scenario(service: Service) -> None:
        running = await take_place(service, -HOUR_MS // 2)
        assert (await service.client.delete("/v1/maintenances/upgrade")).status_code == 409
        now = format_moment(time.time_ns() // 1_000_000)
        ended = await service.client.put("/v1/maintenances/upgrade", json=running | {"ends_at": now})
        assert (ended.status_code, ended.json()["state"]) == (200, "past")
        refused = await service.client.put("/v1/maintenances/upgrade", json=running)
        assert refused.json()["errors"] == [
            {"detail": "it is over: only title and description can change", "pointer": "#/ends_at"}
        ]
        assert (await service.client.delete("/v1/maintenances/upgrade")).status_code == 204

    with_service(scenario)


def test_its_monitor_may_be_gone_and_it_can_still_be_changed() -> None:
    async def scenario(service: Service) -> None:
        running = await take_place(service, -HOUR_MS // 2, monitors=["gone"])
        changed = await service.client.put("/v1/maintenances/upgrade", json=running | {"title": "Other"})
        assert changed.status_code == 200

    with_service(scenario)


def test_maintenances_are_listed_by_state_the_last_to_start_first_page_by_page() -> None:
    async def scenario(service: Service) -> None:
        for slug, starts_in_ms in (("was", -3 * HOUR_MS), ("is", -1), ("comes", HOUR_MS), ("later", 2 * HOUR_MS)):
            await take_place(service, starts_in_ms, slug=slug)
        await take_place(service, HOUR_MS, slug="never", cancelled=True)

        async def listed(**parameters: str | int) -> MaintenanceList:
            answer = await service.client.get("/v1/maintenances", params=parameters)
            return MaintenanceList.model_validate(answer.json())

        slugs, cursor = [], None
        while len(slugs) < 5:
            found = await listed(limit=2, **({"cursor": cursor} if cursor else {}))
            slugs += [each.slug for each in found.maintenances]
            cursor = found.next_cursor
        assert slugs == ["later", "never", "comes", "is", "was"]
        assert cursor is None
        by_state = {state: [each.slug for each in (await listed(state=state)).maintenances] for state in STATES}
        assert by_state == {"upcoming": ["later", "comes"], "active": ["is"], "past": ["was"], "cancelled": ["never"]}
        (whole,) = (await listed(state="active", document="true")).maintenances
        assert whole.maintenance is not None
        assert whole.maintenance.ends_at - whole.maintenance.starts_at == HOUR_MS
        assert parse_moment(whole.starts_at) == whole.maintenance.starts_at

    with_service(scenario)


STATES = ("upcoming", "active", "past", "cancelled")


def test_a_workspace_has_its_own_maintenances_up_to_a_limit() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        planned = upgrade()
        first, again = [await service.client.post("/v1/maintenances", json=planned) for _ in range(2)]
        assert (again.status_code, again.json()) == (201, first.json())
        assert (await service.client.post("/v1/maintenances", json=planned | {"title": "x"})).status_code == 409
        refused = await service.client.post("/v1/maintenances", json=upgrade(slug="second"))
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:pulse:problem:limit-reached")
        async with service.as_key(await key_of_another_workspace(service)) as theirs:
            assert (await theirs.get("/v1/maintenances")).json()["maintenances"] == []
            assert (await theirs.get("/v1/maintenances/upgrade")).status_code == 404

    with_service(scenario, max_maintenances=1)


def test_without_kafka_a_maintenance_is_not_written() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json=API)
        service.log.away = True
        assert (await service.client.post("/v1/maintenances", json=upgrade())).status_code == 503

    with_service(scenario)
