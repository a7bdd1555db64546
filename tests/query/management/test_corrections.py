"""Orders to correct a record, over a log in memory: what the log gets, and what is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from query import store
from schemas.enums import CorrectionKind
from schemas.events import CorrectionOrdered, PolicyChange, decode_log
from tests.query.management.service import Service, key_of_another_workspace, with_service

URL = "https://api.example.com/health"
NOW = datetime.now(UTC).replace(microsecond=0)


def ago(**span: float) -> str:
    return (NOW - timedelta(**span)).isoformat()


async def monitor(service: Service) -> None:
    assert (await service.client.post("/v1/monitors", json={"slug": "api", "url": URL})).status_code == 201


def orders(service: Service) -> list[CorrectionOrdered]:
    decoded = [decode_log(record.value or b"") for record in service.log.all("check-results")]
    return [event for event in decoded if isinstance(event, CorrectionOrdered)]


def test_a_replay_is_in_the_log_before_it_is_answered() -> None:
    async def scenario(service: Service) -> None:
        await monitor(service)
        order = {"from": ago(hours=2), "policy": {"confirmations": 3, "reopen_gap": "5m"}, "reason": "noise"}

        answer = await service.client.post("/v1/monitors/api/replays", json=order)

        (sent,) = orders(service)
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/v1/monitors/api/corrections/{sent.id}"
        assert (sent.monitor, sent.kind, sent.reason) == ("default/api", CorrectionKind.REPLAY, "noise")
        assert sent.policy == PolicyChange(confirmations=3, reopen_gap_ms=300_000)
        assert sent.since == int((NOW - timedelta(hours=2)).timestamp() * 1000)
        assert sent.since < sent.until <= sent.at
        assert sent.by.startswith("key:") or sent.by

    with_service(scenario)


@pytest.mark.parametrize(
    ("path", "order", "pointer"),
    [
        ("replays", {"from": ago(hours=-1), "reason": "r"}, "#/from"),
        ("replays", {"from": ago(days=200), "reason": "r"}, "#/from"),
        ("replays", {"from": ago(hours=1), "reason": ""}, "#/reason"),
        ("replays", {"from": ago(hours=1), "reason": "r", "policy": {"confirmations": 0}}, "#/policy/confirmations"),
        ("replays", {"from": ago(hours=1), "policy": {"flap_start": 20}, "reason": "r"}, "#/policy/flap_stop"),
        ("annulments", {"from": ago(hours=1), "to": ago(hours=-1), "reason": "r"}, "#/to"),
        ("annulments", {"from": ago(hours=1), "to": ago(hours=2), "reason": "r"}, "#/from"),
        ("annulments", {"from": ago(hours=1), "reason": "r"}, "#/to"),
    ],
)
def test_an_order_that_cannot_be_carried_out_is_refused_with_its_place(
    path: str, order: dict[str, Any], pointer: str
) -> None:
    async def scenario(service: Service) -> None:
        await monitor(service)

        answer = await service.client.post(f"/v1/monitors/api/{path}", json=order)

        assert answer.status_code == 422
        assert pointer in [error.get("pointer") for error in answer.json()["errors"]]
        assert orders(service) == []

    with_service(scenario)


def test_a_monitor_that_is_checked_seldom_is_corrected_less_far_back_as_its_runs_of_results_are_longer() -> None:
    async def scenario(service: Service) -> None:
        daily = {"slug": "api", "url": URL, "interval": "1d"}
        assert (await service.client.post("/v1/monitors", json=daily)).status_code == 201

        answers = [
            await service.client.post("/v1/monitors/api/replays", json={"from": ago(days=days), "reason": "r"})
            for days in (40, 60)
        ]

        assert [answer.status_code for answer in answers] == [202, 422]
        assert "results are kept for 90 days; of this monitor the last 46 can be corrected" in answers[1].text

    with_service(scenario)


def test_a_correction_whose_results_are_gone_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = int((NOW - timedelta(days=100)).timestamp() * 1000)

    async def rows(*_: Any) -> list[dict[str, Any]]:
        return [{"kind": CorrectionKind.ANNUL, "begin": begin, "end": begin + 60_000}]

    async def scenario(service: Service) -> None:
        await monitor(service)

        answer = await service.client.post("/v1/monitors/api/corrections/c1/undo", json={"reason": "it was real"})

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] == "correction"
        assert orders(service) == []

    monkeypatch.setattr(store, "rows", rows)
    with_service(scenario)


def test_another_workspace_finds_no_such_monitor() -> None:
    async def scenario(service: Service) -> None:
        await monitor(service)
        async with service.as_key(await key_of_another_workspace(service)) as theirs:
            for path in ("replays", "annulments"):
                order = {"from": ago(hours=2), "to": ago(hours=1), "reason": "r"}
                assert (await theirs.post(f"/v1/monitors/api/{path}", json=order)).status_code == 404
        assert orders(service) == []

    with_service(scenario)


def test_an_order_that_the_log_does_not_take_is_refused() -> None:
    async def scenario(service: Service) -> None:
        await monitor(service)
        service.log.away = True

        answer = await service.client.post("/v1/monitors/api/replays", json={"from": ago(hours=2), "reason": "r"})

        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")

    with_service(scenario)
