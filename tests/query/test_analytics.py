"""`/v1/analytics` over a real ClickHouse, against sums made here."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from clickhouse_connect.driver.asyncclient import AsyncClient

from infra.clickhouse import open_client
from infra.settings import Settings
from query.analytics.common import SPANS, steps_of
from query.analytics.models import CompareAnswer, UptimeAnswer
from query.uptime import DAY_MS, HOUR_MS
from tests.query.management.service import Service, running_service, with_service

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
MONITORS = ("api", "web", "quiet")


def ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def spans_of(monitor: str, hour: int) -> tuple[int, ...]:
    """What the tests write for an hour, counted from the first: up, degraded, down, unknown, maintenance, paused."""
    down = (hour * 7_919 + len(monitor)) % 600_000
    degraded = (hour * 104_729) % 300_000
    unknown = 600_000 if monitor == "web" else 0
    return HOUR_MS - down - degraded - unknown, degraded, down, unknown, 0, 0


async def fill(store: AsyncClient, days: int) -> None:
    """Hours and days of two monitors, hours of latency and results of one, and its incidents."""
    first = TODAY - timedelta(days=days)
    rows: list[list[Any]] = []
    for monitor in MONITORS[:2]:
        by_day: dict[datetime, list[int]] = {}
        for hour in range(days * 24):
            begin = first + timedelta(hours=hour)
            spans = spans_of(monitor, hour)
            rows.append([f"default/{monitor}", "hour", begin, 1, begin + timedelta(hours=1), *spans])
            day = by_day.setdefault(begin.replace(hour=0), [0] * 6)
            day[:] = map(sum, zip(day, spans, strict=True))
        rows += [[f"default/{monitor}", "day", b, 1, b + timedelta(days=1), *spans] for b, spans in by_day.items()]
    columns = ["monitor", "step", "bucket", "version", "known_until"]
    columns += [f"{each}_ms" for each in ("up", "degraded", "down", "unknown", "maintenance", "paused")]
    await store.insert("uptime_buckets", rows, columns)
    await store.command(
        "INSERT INTO latency_hourly SELECT 'default/api', region, toDateTime({begin:UInt32}, 'UTC') + 3600 * number, "
        "1, 100, 100000, 0, 0, 0, 0, 3200000, arrayMap(i -> if(i = 41, 100, 0), range(1, 129)) "
        "FROM numbers(48) ARRAY JOIN ['eu', 'us'] AS region",
        {"begin": ms(TODAY - timedelta(days=2)) // 1000},
    )
    await store.command(
        "INSERT INTO check_results "
        "(monitor, region, scheduled_at, version, outcome, reason, total_us, message, dns_us, detail) "
        "SELECT 'default/api', 'eu', fromUnixTimestamp64Milli({begin:Int64} + 60000 * number), 1, "
        "if(number % 10 = 0, 'down', 'up'), multiIf(number % 10, 'ok', number % 20, 'timeout', 'http_status'), "
        "number * 1000, 'a, \"b\"', number * 500, "
        """if(number % 10, '', '{"components":[{"name":"db","outcome":"down"},{"name":"mail","outcome":"up"}]}') """
        "FROM numbers(300)",
        {"begin": ms(TODAY - timedelta(days=1))},
    )
    await store.command(
        "INSERT INTO components (monitor, region, component, version, outcome) VALUES "
        "('default/api', 'eu', 'db', 1, 'up'), ('default/api', 'us', 'db', 1, 'down'), "
        "('default/api', 'eu', 'mail', 1, 'up'), ('default/api', 'silent', 'mail', 1, 'unknown')"
    )
    await store.command(
        "INSERT INTO incidents "
        "(monitor, id, version, state, severity, components, opened_at, decided_at, resolved_at) "
        "SELECT 'default/api', toString(number), 1, "
        "['resolved', 'open', 'annulled'][number + 1], 'down', ['db', 'db'], "
        "fromUnixTimestamp64Milli({begin:Int64}), fromUnixTimestamp64Milli({begin:Int64} + 5000), "
        "if(number = 1, NULL, fromUnixTimestamp64Milli({begin:Int64} + 60000)) FROM numbers(3)",
        {"begin": ms(TODAY - timedelta(days=1))},
    )


def with_filled_service(settings: Settings, scenario: Callable[[Service], Awaitable[None]], days: int = 10) -> None:
    async def run() -> None:
        async with running_service(clickhouse=settings.clickhouse) as service, open_client(settings) as store:
            await fill(store, days)
            for slug in MONITORS:
                await service.client.post("/v1/monitors", json={"slug": slug, "url": "http://a"})
            await scenario(service)

    asyncio.run(run())


async def ask(service: Service, name: str, **parameters: Any) -> Any:
    answer = await service.client.get(f"/v1/analytics/{name}", params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.engines
def test_uptime_by_day_is_the_sum_of_what_was_written(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        begin = TODAY - timedelta(days=5)
        told = await ask(
            service, "uptime", **{"monitor": ["api", "web"], "from": begin.isoformat(), "to": TODAY.isoformat()}
        )
        assert told["source"] == "uptime_daily"
        assert told["as_of"] == f"{TODAY:%Y-%m-%dT00:00:00.000Z}"
        for monitor in told["monitors"]:
            assert len(monitor["points"]) == 5
            for day, point in enumerate(monitor["points"]):
                hours = range((5 + day) * 24, (6 + day) * 24)
                up, degraded, down, unknown, *_ = (
                    sum(column) for column in zip(*(spans_of(monitor["monitor"], h) for h in hours), strict=True)
                )
                assert (point["up_ms"], point["down_ms"], point["unknown_ms"]) == (up, down, unknown)
                assert point["uptime"] == pytest.approx((up + degraded) / (up + degraded + down))
                assert point["coverage"] == pytest.approx(1 - unknown / DAY_MS)

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_days_of_tokyo_are_made_of_hours(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        begin = TODAY - timedelta(days=3)
        window = {"from": begin.isoformat(), "to": TODAY.isoformat()}
        told = await ask(service, "uptime", monitor="api", tz="Asia/Tokyo", **window)
        assert told["source"] == "uptime_hourly"
        [monitor] = told["monitors"]
        assert [point["begin"][11:16] for point in monitor["points"]] == ["00:00", "15:00", "15:00", "15:00"]
        cuts = [0, 15, 39, 63, 72]
        for (cut, end), point in zip(pairwise(cuts), monitor["points"], strict=True):
            assert point["down_ms"] == sum(spans_of("api", 7 * 24 + hour)[2] for hour in range(cut, end))
        hourly = await ask(service, "uptime", monitor="api", step="hour", **window)
        assert len(hourly["monitors"][0]["points"]) == 72
        assert hourly["monitors"][0]["total"] == monitor["total"]

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_few_monitors_and_buckets_are_told_as_many_are(
    engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(service: Service) -> None:
        window = {"from": (TODAY - timedelta(days=3)).isoformat(), "to": TODAY.isoformat()}
        questions: list[tuple[str, dict[str, Any]]] = [
            ("uptime", {"tz": "Asia/Tokyo"}),
            ("uptime", {"step": "all"}),
            ("latency", {"monitor": "api", "step": "day"}),
        ]
        few = [await ask(service, name, **window, **asked) for name, asked in questions]
        monkeypatch.setattr("query.analytics.common.FEW_BUCKETS", 0)
        monkeypatch.setattr("query.analytics.common.MAX_MONITORS", 0)
        assert [await ask(service, name, **window, **asked) for name, asked in questions] == few

    with_filled_service(engine_settings, scenario)


def test_steps_that_are_buckets_are_no_borders_even_where_the_last_is_not_over() -> None:
    now = 2 * HOUR_MS + HOUR_MS // 2

    assert steps_of([0, HOUR_MS, 2 * HOUR_MS, now], "uptime_hourly") == (
        "toUnixTimestamp(bucket)",
        {"since": 0, "until": now // 1000},
    )
    assert steps_of([0, HOUR_MS, now], "uptime_hourly")[1]["borders"] == [0, HOUR_MS // 1000]


class Others:
    """Other requests, and how often they had their turn since the store has answered."""

    def __init__(self) -> None:
        self.turns = 0

    async def wait(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


def test_others_have_their_turn_while_a_long_answer_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others()

    async def rows(context: Any, monitors: list[str], source: str, places: list[int]) -> list[dict[str, Any]]:
        others.turns = 0
        spans = dict(zip(("as_of", *SPANS), (places[-1], DAY_MS, 0, 0, 0, 0, 0), strict=True))
        return [{"monitor": monitor, "begin": at // 1000, **spans} for monitor in monitors for at in places[:-1]]

    monkeypatch.setattr("query.analytics.uptime.uptime_rows", rows)

    async def scenario(service: Service) -> None:
        for number in range(50):
            await service.client.post("/v1/monitors", json={"slug": f"api-{number}", "url": "http://a"})
        waiting = asyncio.create_task(others.wait())
        window = {"from": (TODAY - timedelta(days=3)).isoformat(), "to": TODAY.isoformat()}
        told = await ask(service, "uptime", **window)
        waiting.cancel()
        assert others.turns >= 50
        answer = UptimeAnswer.model_validate(told)
        assert [(each.total.up_ms, len(each.points)) for each in answer.monitors] == [(3 * DAY_MS, 3)] * 50
        assert answer.coverage == 1

    with_service(scenario)


def test_others_have_their_turn_while_many_monitors_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others()

    async def no_rows(*_: object, **__: object) -> list[dict[str, Any]]:
        others.turns = 0
        return []

    monkeypatch.setattr("query.store.rows", no_rows)

    async def scenario(service: Service) -> None:
        for number in range(50):
            await service.client.post("/v1/monitors", json={"slug": f"api-{number}", "url": "http://a"})
        waiting = asyncio.create_task(others.wait())
        told = await ask(service, "compare")
        waiting.cancel()
        assert others.turns >= 50
        assert len(CompareAnswer.model_validate(told).monitors) == 50

    with_service(scenario)


@pytest.fixture
def empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of anything."""

    async def no_rows(*_: object, **__: object) -> list[dict[str, Any]]:
        return []

    monkeypatch.setattr("query.store.rows", no_rows)


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Kolkata", "+05:30"), ("Asia/Kathmandu", "+05:45"), ("Asia/Tokyo", "+09:00")]
)
@pytest.mark.usefixtures("empty_store")
def test_a_week_of_a_zone_has_seven_days_whatever_its_offset(zone: str, offset: str) -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        window = {"from": f"2026-03-02T00:00:00{offset}", "to": f"2026-03-09T00:00:00{offset}"}
        told = await ask(service, "uptime", monitor="api", tz=zone, **window)
        begins = [datetime.fromisoformat(point["begin"]) for point in told["monitors"][0]["points"]]
        assert [begin.astimezone(ZoneInfo(zone)).day for begin in begins] == list(range(2, 9))
        assert told["begin"] == told["monitors"][0]["points"][0]["begin"]
        latency = await ask(service, "latency", monitor="api", step="day", tz=zone, **window)
        assert latency["begin"] == told["begin"]

    with_service(scenario)


@pytest.mark.engines
def test_a_monitor_of_which_nothing_is_known_has_no_uptime(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        told = await ask(service, "uptime", step="all")
        assert [monitor["monitor"] for monitor in told["monitors"]] == ["api", "quiet", "web"]
        quiet = told["monitors"][1]["total"]
        assert (quiet["uptime"], quiet["coverage"]) == (None, 0)

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_latency_is_read_off_the_histograms(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        begin = TODAY - timedelta(days=2)
        window = {"from": begin.isoformat(), "to": TODAY.isoformat()}
        told = await ask(service, "latency", monitor="api", step="day", **window)
        assert [point["checks"] for point in told["points"]] == [4_800, 4_800]
        low, high = 2 ** (40 / 8), 2 ** (41 / 8)
        for point in told["points"]:
            assert low <= point["p50_ms"] <= point["p99_ms"] <= point["p999_ms"] <= high
            assert point["mean"]["total_ms"] == pytest.approx(32)
        hourly = await ask(service, "latency", monitor="api", step="hour", **window)
        begins = [f"{begin + timedelta(hours=hour):%Y-%m-%dT%H:00:00.000Z}" for hour in range(48)]
        assert [(point["begin"], point["checks"]) for point in hourly["points"]] == [(begin, 200) for begin in begins]
        assert hourly["as_of"] == hourly["end"]
        split = await ask(service, "latency", monitor="api", step="all", by_region="true", **window)
        assert [(point["region"], point["checks"]) for point in split["points"]] == [("eu", 4_800), ("us", 4_800)]
        only = await ask(service, "latency", monitor="api", step="all", region="us", **window)
        assert [point["checks"] for point in only["points"]] == [4_800]

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_a_phase_has_quantiles_of_its_own(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        window = {"from": (TODAY - timedelta(days=1)).isoformat(), "to": TODAY.isoformat()}
        unmeasured = ["default/api", "office", TODAY - timedelta(hours=1), "up"]
        columns = ["monitor", "region", "scheduled_at", "outcome"]
        await service.context.clickhouse.get().insert("check_results", [unmeasured], columns)
        told = await ask(service, "latency", monitor="api", step="all", phase="dns", **window)
        assert (told["source"], told["phase"]) == ("check_results", "dns")
        [point] = told["points"]
        answered = [number for number in range(300) if number % 10]
        assert point["checks"] == len(answered)
        assert point["p50_ms"] == pytest.approx(answered[134] * 0.5)
        assert point["p999_ms"] == pytest.approx(answered[-1] * 0.5)
        assert point["mean"]["dns_ms"] == pytest.approx(sum(answered) / len(answered) * 0.5)

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_two_windows_are_compared(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        window = {"from": (TODAY - timedelta(days=1)).isoformat(), "to": TODAY.isoformat()}
        told = await ask(service, "compare", monitor=["api", "quiet"], **window)
        assert told["before_begin"] == f"{TODAY - timedelta(days=2):%Y-%m-%dT00:00:00.000Z}"
        assert (told["before_end"], told["source"]) == (told["begin"], "uptime_hourly")
        api, quiet = told["monitors"]
        assert api["now"]["uptime"]["down_ms"] == sum(spans_of("api", hour)[2] for hour in range(216, 240))
        assert api["before"]["uptime"]["down_ms"] == sum(spans_of("api", hour)[2] for hour in range(192, 216))
        assert api["uptime_change"] == api["now"]["uptime"]["uptime"] - api["before"]["uptime"]["uptime"]
        assert (api["now"]["incidents"]["incidents"], api["before"]["incidents"]["incidents"]) == (2, 0)
        assert (api["now"]["latency"]["checks"], api["p95_change_ms"]) == (4_800, 0)
        assert (quiet["uptime_change"], quiet["now"]["latency"], quiet["p95_change_ms"]) == (None, None, None)
        other = await ask(service, "compare", monitor="api", before=(TODAY - timedelta(days=9)).isoformat(), **window)
        [api] = other["monitors"]
        assert api["before"]["uptime"]["down_ms"] == sum(spans_of("api", hour)[2] for hour in range(24, 48))

    with_filled_service(engine_settings, scenario)


@pytest.mark.parametrize(("days", "unit_ms"), [(1, HOUR_MS), (6, HOUR_MS), (8, DAY_MS)])
@pytest.mark.usefixtures("empty_store")
def test_a_short_window_as_a_whole_is_widened_to_hours_not_to_days(days: int, unit_ms: int) -> None:
    async def scenario(service: Service) -> None:
        begin = datetime.now(UTC) - timedelta(days=days)
        until = begin + timedelta(days=days)
        window = {"from": begin.isoformat(), "to": until.isoformat()}
        for told in (await ask(service, "uptime", step="all", **window), await ask(service, "incidents", **window)):
            assert ms(datetime.fromisoformat(told["begin"])) == ms(begin) // unit_ms * unit_ms

    with_service(scenario)


@pytest.mark.parametrize(("days", "unit_ms"), [(2, HOUR_MS), (8, DAY_MS)])
@pytest.mark.usefixtures("empty_store")
def test_compared_windows_are_equally_long_though_the_present_one_has_not_ended(days: int, unit_ms: int) -> None:
    async def scenario(service: Service) -> None:
        begin = datetime.now(UTC) - timedelta(days=days)
        told = await ask(service, "compare", **{"from": begin.isoformat()})
        ends = ("begin", "end", "before_begin", "before_end")
        since, until, other, other_until = (ms(datetime.fromisoformat(told[name])) for name in ends)
        assert until - since == other_until - other
        assert [each % unit_ms for each in (since, until, other, other_until)] == [0, 0, 0, 0]
        assert ms(datetime.now(UTC)) - until < unit_ms
        assert other_until == since

    with_service(scenario)


@pytest.mark.engines
def test_components_are_told_apart(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        window = {"from": (TODAY - timedelta(days=1, seconds=-30)).isoformat(), "to": TODAY.isoformat()}
        told = await ask(service, "components", monitor="api", **window)
        assert told["components"] == [
            {
                "component": "db",
                "outcome": "down",
                "degraded": 0,
                "down": 29,
                "unknown": 0,
                "incidents": 2,
                "affected_ms": DAY_MS,
            },
            {
                "component": "mail",
                "outcome": "up",
                "degraded": 0,
                "down": 0,
                "unknown": 0,
                "incidents": 0,
                "affected_ms": 0,
            },
        ]

    with_filled_service(engine_settings, scenario)


def test_an_open_incident_affects_its_components_until_now_and_not_until_a_later_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: list[datetime] = []

    async def rows(context: Any, package: str, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        if name == "component_incidents":
            ends.append(datetime.fromtimestamp(parameters["until"] / 1000, UTC))
        return []

    monkeypatch.setattr("query.store.rows", rows)

    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        told = await ask(service, "components", monitor="api", to=(TODAY + timedelta(days=3)).isoformat())
        assert ends[0] <= datetime.now(UTC)
        assert datetime.fromisoformat(told["end"]) == ends[0]

    with_service(scenario)


@pytest.mark.engines
def test_incidents_have_means_and_annulled_ones_never_were(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        told = await ask(service, "incidents")
        [api] = told["monitors"]
        assert (api["monitor"], api["incidents"], api["open"], api["down"]) == ("api", 2, 1, 2)
        assert (api["mttr_ms"], api["mttd_ms"]) == (60_000, 5_000)
        assert api["longest_ms"] == told["total"]["longest_ms"] >= DAY_MS
        held = sum(sum(spans_of("api", hour)[:2]) for hour in range(240))
        assert api["mtbf_ms"] == held // 2
        assert told["total"]["incidents"] == 2

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_the_worst_monitors_come_first(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        told = await ask(service, "worst")
        uptimes = [monitor["uptime"] for monitor in told["monitors"]]
        assert {monitor["monitor"] for monitor in told["monitors"]} == {"api", "web"}
        assert uptimes == sorted(uptimes)
        assert len((await ask(service, "worst", limit=1))["monitors"]) == 1

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_a_budget_is_what_the_objective_leaves(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        window = {"from": (TODAY - timedelta(days=4)).isoformat(), "to": TODAY.isoformat()}
        told = await ask(service, "budget", monitor="api", objective="0.99", **window)
        hours = range(6 * 24, 240)
        used = sum(spans_of("api", hour)[2] for hour in hours)
        assert told["allowed_ms"] == round(4 * DAY_MS * 0.01)
        assert (told["used_ms"], told["left_ms"]) == (used, told["allowed_ms"] - used)
        up, degraded, down, *_ = spans_of("api", 239)
        assert told["burn"][0] == {"hours": 1, "rate": pytest.approx(down / (up + degraded + down) / 0.01)}
        assert [burn["hours"] for burn in told["burn"]] == [1, 6, 24, 72]

    with_filled_service(engine_settings, scenario)


@pytest.mark.parametrize(("hours_ago", "told"), [(1, (1, 6, 24, 72)), (5, (6, 24, 72)), (30, (72,))])
def test_a_burn_rate_is_of_its_hours_and_the_present_one(
    monkeypatch: pytest.MonkeyPatch, hours_ago: int, told: tuple[int, ...]
) -> None:
    parts: list[int] = []

    async def rows(context: Any, monitors: list[str], source: str, places: list[int]) -> list[dict[str, Any]]:
        """One whole hour was down, the others up, the present one so far; in sums from border to border."""
        present, until = places[-1] // HOUR_MS * HOUR_MS, places[-1]
        parts.append(until - present)
        sums = {place // 1000: dict.fromkeys(("as_of", *SPANS), 0) for place in places[:-1]}
        for hour in range(places[0] // HOUR_MS * HOUR_MS, until, HOUR_MS):
            begin = max(border for border in sums if border <= hour // 1000)
            status = "down" if hour == present - hours_ago * HOUR_MS else "up"
            sums[begin][status] += min(HOUR_MS, until - hour)
        return [{"begin": begin, **each} for begin, each in sums.items()]

    monkeypatch.setattr("query.analytics.uptime.uptime_rows", rows)

    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        begin = datetime.now(UTC) - timedelta(days=1)
        answer = await ask(service, "budget", monitor="api", objective="0.99", **{"from": begin.isoformat()})
        [part] = parts
        for burn in answer["burn"]:
            rate = HOUR_MS / (burn["hours"] * HOUR_MS + part) / 0.01 if burn["hours"] in told else 0
            assert burn["rate"] == pytest.approx(rate), burn
        assert answer["used_ms"] == (HOUR_MS if hours_ago < 24 else 0)

    with_service(scenario)


@pytest.mark.parametrize(("down_ms", "is_missed"), [(DAY_MS // 1_000 - 1, False), (DAY_MS // 1_000 + 1, True)])
def test_a_budget_is_spent_when_the_uptime_is_below_the_objective(
    monkeypatch: pytest.MonkeyPatch, down_ms: int, is_missed: bool
) -> None:
    async def rows(context: Any, monitors: list[str], source: str, places: list[int]) -> list[dict[str, Any]]:
        """One day of thirty was watched; of the others nothing is known, or it was in maintenance."""
        spans = (DAY_MS - down_ms, 0, down_ms, DAY_MS, DAY_MS, 0)
        return [{"begin": places[-2] // 1000, "as_of": 0, **dict(zip(SPANS, spans, strict=True))}]

    monkeypatch.setattr("query.analytics.uptime.uptime_rows", rows)

    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        told = await ask(service, "budget", monitor="api", objective="0.999")
        assert (told["uptime"] < 0.999) == (told["left_ms"] < 0) == is_missed

    with_service(scenario)


@pytest.mark.engines
def test_reasons_are_counted(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        told = await ask(service, "reasons", monitor="api")
        assert told["reasons"] == [
            {"outcome": "down", "reason": "http_status", "checks": 15},
            {"outcome": "down", "reason": "timeout", "checks": 15},
        ]

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_results_are_listed_by_filters_a_page_at_a_time(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        window = {"from": (TODAY - timedelta(days=2)).isoformat()}
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            told = await ask(service, "results", monitor="api", outcome="down", limit=7, **window, **cursor)
            seen += [result["scheduled_at"] for result in told["results"]]
            if told["next_cursor"] is None:
                break
            cursor = {"cursor": told["next_cursor"]}
        assert len(seen) == len(set(seen)) == 30
        assert seen == sorted(seen, reverse=True)
        slow = await ask(service, "results", monitor="api", slower_ms=298, **window)
        assert [result["total_us"] for result in slow["results"]] == [299_000, 298_000]
        assert (await ask(service, "results", monitor="api", region="us", **window))["results"] == []

    with_filled_service(engine_settings, scenario)


@pytest.mark.engines
def test_annulled_results_are_kept_but_count_nowhere(engine_settings: Settings) -> None:
    async def scenario(service: Service) -> None:
        begin = TODAY - timedelta(days=1)
        window = {"monitor": "api", "from": begin.isoformat(), "to": TODAY.isoformat()}
        store = service.context.clickhouse.get()
        for number, (monitor, region, kind) in enumerate(
            [("api", "eu", "annul"), ("api", "us", "annul"), ("web", "", "annul"), ("api", "", "annul")]
        ):
            row = [f"default/{monitor}", str(number), 1, kind, begin, begin + timedelta(minutes=100), region, ""]
            columns = ["monitor", "id", "stage", "kind", "since", "until", "region", "undoes"]
            await store.insert("corrections", [row], columns)
        await store.insert("corrections", [["default/api", "4", 1, "undo", "3"]], [*columns[:4], "undoes"])

        reasons = (await ask(service, "reasons", **window))["reasons"]
        assert sum(each["checks"] for each in reasons) == 20
        listed = (await ask(service, "results", limit=300, **window))["results"]
        assert [each["annulled"] for each in listed] == [False] * 200 + [True] * 100
        exported = await service.client.get("/v1/analytics/export.csv", params=window)
        assert exported.text.count(",true,") == 100
        minutes = "SELECT count() FROM pulse_results_minutely WHERE minute >= {begin:DateTime}"
        assert (await store.query(minutes, {"begin": begin})).result_rows == [(200,)]
        kept = await store.query("SELECT countIf(annulled), count() FROM pulse_results")
        assert kept.result_rows == [(100, 300)]

    with_filled_service(engine_settings, scenario)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("uptime?tz=Mars/Olympus", "tz"),
        ("uptime?step=minute", "step"),
        ("uptime?step=hour&from=2026-01-01T00:00:00Z&to=2026-06-01T00:00:00Z", "step"),
        ("uptime?from=2026-01-01T00:00:00", "from"),
        ("uptime?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("uptime?from=2099-01-01T00:00:00Z&to=2099-01-02T00:00:00Z", "from"),
        ("uptime?from=2001-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("uptime?from=0001-01-01T00:00:00Z", "from"),
        ("latency", "monitor"),
        ("budget?monitor=api&objective=1", "objective"),
        ("budget?monitor=api&objective=nan", "objective"),
        ("results?monitor=api&cursor=WzFd", "cursor"),
        ("results?monitor=api&limit=1001", "limit"),
        ("worst?limit=0", "limit"),
        ("export.xml", "form"),
        ("latency?monitor=api&phase=wire", "phase"),
        ("compare?before=1999-01-01T00:00:00Z", "before"),
        ("compare?before=2099-01-01T00:00:00Z", "before"),
    ],
)
def test_what_cannot_be_asked_is_told_by_its_parameter(path: str, parameter: str) -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        answer = await service.client.get(f"/v1/analytics/{path}")
        assert answer.status_code == 422, answer.text
        assert {error["parameter"] for error in answer.json()["errors"]} == {parameter}

    with_service(scenario)


def test_an_unknown_monitor_is_not_found() -> None:
    async def scenario(service: Service) -> None:
        for path in (
            "uptime?monitor=nobody",
            "compare?monitor=nobody",
            "components?monitor=nobody",
            "latency?monitor=nobody",
            "results?monitor=nobody",
            "export.csv?monitor=nobody",
        ):
            assert (await service.client.get(f"/v1/analytics/{path}")).status_code == 404

    with_service(scenario)


def test_without_the_store_the_service_says_so() -> None:
    async def scenario(service: Service) -> None:
        await service.client.post("/v1/monitors", json={"slug": "api", "url": "http://a"})
        for path in (
            "uptime",
            "worst",
            "latency?monitor=api",
            "incidents",
            "results?monitor=api",
            "export.arrow",
            "compare",
        ):
            answer = await service.client.get(f"/v1/analytics/{path}")
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "5"
            assert answer.json()["type"] == "urn:pulse:problem:store-away"

    with_service(scenario)


def test_a_store_that_never_answers_is_away_and_the_question_not_too_expensive(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs:
        async def query(self, *_: object, **__: object) -> None:
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr("query.store.MAX_EXECUTION_S", 0)
    monkeypatch.setattr("query.store.GRACE_S", 0.01)
    monkeypatch.setattr("query.connections.Connection.get", lambda _: Hangs())

    async def scenario(service: Service) -> None:
        answer = await service.client.get("/v1/analytics/worst")
        assert answer.json()["type"] == "urn:pulse:problem:store-away"

    with_service(scenario)
