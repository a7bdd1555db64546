"""Milliseconds that ClickHouse takes for what people ask of a year, beside the same answers from the raw rows.

A year of 1,000 monitors from two regions: all its hours and days as a check a minute would leave them, but only every
tenth result, as a disk may not take a billion. PULSE_BENCH_INTERVAL_S=60 writes them all. Both answers must be equal.
"""

import asyncio
import math
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any, Final

from clickhouse_connect.driver.asyncclient import AsyncClient
from pydantic import SecretStr

from infra.clickhouse import open_client
from infra.settings import Settings
from query.analytics.common import PACKAGE, between, chosen_among, steps_of, summed, uptime_question
from query.analytics.latency import SHARES
from query.store import limits, sql
from query.uptime import DAY_MS, HOUR_MS
from tests.benchmarks._year import REGIONS, Year, write
from tests.benchmarks.report import report
from tests.infra.gateway import start

MONITORS: Final = int(os.environ.get("PULSE_BENCH_MONITORS", "1000"))
INTERVAL_S: Final = int(os.environ.get("PULSE_BENCH_INTERVAL_S", "600"))
ROUNDS: Final = 9
RAW_ROUNDS: Final = 3
ON_A_PAGE: Final = 50
RANKED: Final = 100
BIN_OCTAVES: Final = 1 / 8
SETTINGS: Final = limits() | {"max_execution_time": 0}
"""As the product asks, but for the time: a billion raw rows take theirs."""

Rows = list[dict[str, Any]]

OF_FLEET: Final = "startsWith(monitor, {prefix:String})"
RAW_UPTIME: Final = f"""
SELECT
    monitor, roundDown(toUnixTimestamp(toDateTime(scheduled_at)), {{borders:Array(UInt32)}}) AS begin,
    {{round_ms:UInt64}} * intDiv(countIf(outcome = 'up'), {len(REGIONS)}) AS up,
    {{round_ms:UInt64}} * intDiv(countIf(outcome = 'degraded'), {len(REGIONS)}) AS degraded,
    {{round_ms:UInt64}} * intDiv(countIf(outcome = 'down'), {len(REGIONS)}) AS down
FROM check_results FINAL
WHERE {{chosen}}
  AND scheduled_at >= toDateTime({{since:UInt32}}, 'UTC') AND scheduled_at < toDateTime({{until:UInt32}}, 'UTC')
GROUP BY monitor, begin
"""
RAW_BARS: Final = f"{RAW_UPTIME} ORDER BY monitor, begin"
RAW_RANKING: Final = f"""
{RAW_UPTIME}
ORDER BY (up + degraded) / (up + degraded + down), down DESC, monitor
LIMIT {RANKED}
"""
RAW_LATENCY: Final = """
WITH arraySort(groupArray(total_us)) AS ordered
SELECT
    roundDown(toUnixTimestamp(toDateTime(scheduled_at)), {borders:Array(UInt32)}) AS begin, count() AS answered,
    arrayMap(share -> ordered[toUInt32(ceil(share * answered))] / 1000, {shares:Array(Float64)}) AS quantiles_ms
FROM check_results FINAL
WHERE {chosen} AND outcome IN ('up', 'degraded')
  AND scheduled_at >= toDateTime({since:UInt32}, 'UTC') AND scheduled_at < toDateTime({until:UInt32}, 'UTC')
GROUP BY begin
ORDER BY begin
"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the rollups by the product's own SQL, what of the raw rows, and when both say the same."""

    name: str
    product: str
    raw: str
    marks: dict[str, str]
    parameters: dict[str, Any]
    agree: Callable[[Rows, Rows], bool]


@dataclass(frozen=True, slots=True)
class Took:
    """Medians of ClickHouse's own time, and what it read of the rollups."""

    rollups_ms: float
    raw_ms: float
    read_rows: int
    read_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """One side's rows, and what they cost."""

    rows: Rows
    took_ms: float
    read_rows: int
    read_bytes: int


def main() -> None:
    """One line: a page's bars, and beside them a badge, the ranking, a month of latency, with their raw twins."""
    started = time.monotonic()
    year = Year(MONITORS, INTERVAL_S)
    with tempfile.TemporaryDirectory() as folder:
        gateway = start(Path(folder) / "data")
        try:
            write(gateway, year)
            built_s = time.monotonic() - started
            (results,), (disk_bytes,) = (
                gateway.rows("SELECT count() FROM pulse.check_results"),
                gateway.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'pulse'"),
            )
            settings = Settings(clickhouse=SecretStr(gateway.settings_url()))
            took = asyncio.run(_ask_all(settings, questions(year)))
            nothing_ms = asyncio.run(_ask_nothing(settings))
        finally:
            gateway.stop()
    read = {name: (each.read_rows, each.read_bytes) for name, each in took.items()}
    bars = took.pop("bars")
    more = {f"{name}_ms": round(each.rollups_ms, 2) for name, each in took.items()}
    more |= {f"{name}_raw_ms": round(each.raw_ms, 1) for name, each in took.items()}
    report(
        "analytics",
        bars.rollups_ms,
        f"ms of ClickHouse for 90 days of {ON_A_PAGE} monitors",
        "the same from raw rows",
        bars.raw_ms,
        started,
        **more,
        select_1_ms=round(nothing_ms, 2),
        read_rows_and_bytes=read,
        monitors=MONITORS,
        interval_s=INTERVAL_S,
        results=int(results[0]),
        share_of_a_billion=round(int(results[0]) / 1e9, 3),
        disk_bytes=int(disk_bytes[0]),
        built_s=round(built_s),
    )


def questions(year: Year) -> list[Question]:
    """The four that the goals name."""
    until = year.end_s * 1000
    days = [*range(until - 90 * DAY_MS, until + 1, DAY_MS)]
    hours = [*range(until - 30 * DAY_MS, until + 1, HOUR_MS)]
    monitors = [f"default/service-{number:04}" for number in range(0, MONITORS, max(1, MONITORS // ON_A_PAGE))]
    month, quarter = [days[60], until], [days[0], until]
    by_day = {"source": "uptime_daily", "round_ms": year.interval_s * 1000}
    bars, _ = uptime_question(monitors, "uptime_daily", days)
    badge, _ = uptime_question(monitors[7:8], "uptime_daily", month)
    page, page_names = chosen_among(monitors)
    one, name = chosen_among(monitors[7:8])
    latency = {"chosen": one, "begin": steps_of(hours, "latency_hourly")[0]}
    fleet = {"prefix": "default/", "limit": RANKED}
    all_regions = {"region": "", "by_region": False, "shares": list(SHARES.values())}
    return [
        Question("bars", bars, RAW_BARS, {"chosen": page}, page_names | between(days) | by_day, _same_bars),
        Question(
            "badge",
            badge,
            RAW_BARS,
            {"chosen": one},
            name | between(month) | by_day,
            lambda rows, expected: _same_bars(summed(rows, month), expected),
        ),
        Question("ranking", "worst", RAW_RANKING, {"chosen": OF_FLEET}, fleet | between(quarter) | by_day, _same_spans),
        Question("latency", "latency", RAW_LATENCY, latency, name | between(hours) | all_regions, _same_quantiles),
    ]


async def _ask_all(settings: Settings, asked: list[Question]) -> dict[str, Took]:
    async with open_client(settings) as client:
        return {question.name: await _ask(client, question) for question in asked}


async def _ask_nothing(settings: Settings) -> float:
    """What a question costs that reads nothing: the floor under all others."""
    async with open_client(settings) as client:
        return median([(await _run(client, "SELECT 1", {})).took_ms for _ in range(ROUNDS)])


async def _ask(client: AsyncClient, question: Question) -> Took:
    """Both sides, in turn, and whether they agree."""
    rollups_ms, raw_ms = [], []
    for number in range(ROUNDS):
        answer = await _run(client, sql(PACKAGE, question.product, **question.marks), question.parameters)
        rollups_ms.append(answer.took_ms)
        if number < RAW_ROUNDS:
            raw = await _run(client, question.raw.replace("{chosen}", question.marks["chosen"]), question.parameters)
            raw_ms.append(raw.took_ms)
            agree = answer.rows and question.agree(answer.rows, raw.rows)
            assert agree, f"{question.name}: rollups and raw rows disagree"
    return Took(median(rollups_ms), median(raw_ms), answer.read_rows, answer.read_bytes)


async def _run(client: AsyncClient, text: str, parameters: dict[str, Any]) -> Answer:
    used = {name: value for name, value in parameters.items() if f"{{{name}:" in text}
    result = await client.query(text, parameters=used, settings=SETTINGS)
    told = {name: int(result.summary[name]) for name in ("elapsed_ns", "read_rows", "read_bytes")}
    return Answer(list(result.named_results()), told["elapsed_ns"] / 1e6, told["read_rows"], told["read_bytes"])


def _same_bars(rows: Rows, expected: Rows) -> bool:
    """Equal once they are in order, of which the product's have none."""
    return _same_spans(sorted(rows, key=itemgetter("monitor", "begin")), expected)


def _same_spans(rows: Rows, expected: Rows) -> bool:
    names = ("monitor", "up", "degraded", "down")
    return [[row[name] for name in names] for row in rows] == [[row[name] for name in names] for row in expected]


def _same_quantiles(rows: Rows, expected: Rows) -> bool:
    """Equal, once they are in order, but for the place in a bin, an eighth of an octave."""
    rows = sorted(rows, key=itemgetter("begin"))
    pairs = [
        (found, exact)
        for row, other in zip(rows, expected, strict=True)
        for found, exact in zip(row["quantiles_ms"], other["quantiles_ms"], strict=True)
    ]
    return [row["begin"] for row in rows] == [row["begin"] for row in expected] and all(
        abs(math.log2(found / exact)) <= BIN_OCTAVES for found, exact in pairs
    )


if __name__ == "__main__":
    main()
