"""A year of many monitors, written into the tables as the stream would: made inside the engine, the same at every run.

What a round of checks saw holds until the next round, in all regions, so that raw rows tell what rollups must say.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.settings import Settings
from tests.infra.gateway import Gateway

REGIONS: Final = ("eu-west", "us-east")
DAY_S: Final = 86_400
RESULTS_AT_ONCE: Final = 2_000_000
"""The engine groups them in a few hundred megabytes."""
TOLD_AGAIN_DAYS: Final = 2
"""The newest days come once more: results repeated, buckets with a version that is overtaken and again with theirs."""
SETTINGS: Final = {"max_block_size": 8_192, "min_insert_block_size_bytes": 64 << 20}
"""Small blocks: a histogram is some hundred bytes."""

TROUBLES: Final = """
SELECT
    number AS monitor_number,
    concat('default/service-', leftPad(toString(monitor_number), 4, '0')) AS monitor,
    toUInt32({begin:UInt32} + day * 86400) AS day_s,
    cityHash64(monitor_number, day_s) AS fate,
    fate % 1000 < 15 + monitor_number % 60 AS fails,
    fate % 1000 >= 985 AS silent,
    intDiv(86400, {interval_s:UInt32}) AS rounds,
    intDiv(fate, 1000) % rounds AS first_bad,
    least(rounds, first_bad + 1 + intDiv(fate, 1000000) % intDiv(rounds, 6)) AS first_good,
    if(intDiv(fate, 7) % 3 = 0, 'degraded', 'down') AS severity
FROM numbers({monitors:UInt32})
ARRAY JOIN range(intDiv({end:UInt32} - {begin:UInt32}, 86400)) AS day
"""
"""Of each monitor and day: whether it fails, or is silent, and from which of the day's rounds until which."""

RESULTS: Final = f"""
INSERT INTO check_results
    (monitor, region, scheduled_at, version, started_delay_ms, monitor_version, outcome, reason, status_code,
     dns_us, connect_us, tls_us, ttfb_us, transfer_us, total_us)
WITH (hash, place) -> bitAnd(bitShiftRight(hash, place), 1023) / 1023 AS share
SELECT
    monitor, region,
    fromUnixTimestamp64Milli(1000 * toInt64(day_s + round * {{interval_s:UInt32}}), 'UTC') AS scheduled_at,
    bitShiftLeft(1::UInt64, 48) + intDiv(day_s, 10) + round AS version,
    luck % 7 AS started_delay_ms, monitor_number AS monitor_version,
    if(troubled AND fails, severity, 'up') AS outcome,
    multiIf(outcome = 'up', 'ok', outcome = 'down', 'timeout', 'latency') AS reason,
    if(outcome = 'down', 0, 200) AS status_code,
    toUInt32(200 + 600 * share(luck, 0)) AS dns_us,
    toUInt32((3000 + 5000 * (monitor_number % 9)) * (0.9 + 0.2 * share(luck, 10))) AS connect_us,
    toUInt32((4000 + 6000 * (monitor_number % 9)) * (0.9 + 0.2 * share(luck, 20))) AS tls_us,
    toUInt32((9000 + 7000 * (monitor_number % 13))
        * exp2(1.5 * (share(luck, 30) + share(luck, 40) - 1) + 2 * (luck % 101 = 0))) AS ttfb_us,
    toUInt32(100 + 400 * share(luck, 50)) AS transfer_us,
    dns_us + connect_us + tls_us + ttfb_us + transfer_us AS total_us
FROM (
    SELECT *, round, cityHash64(fate, region, round) AS luck, round >= first_bad AND round < first_good AS troubled
    FROM (SELECT *, region FROM ({TROUBLES}) ARRAY JOIN {list(REGIONS)} AS region)
    ARRAY JOIN range(rounds) AS round
)
WHERE NOT (silent AND troubled)
"""

BUCKETS: Final = f"""
INSERT INTO uptime_buckets
WITH if({{step:String}} = 'hour', 3600, 86400)::UInt32 AS whole_s, 1000 * {{interval_s:UInt32}} AS round_ms
SELECT
    monitor, {{step:String}} AS step,
    if({{step:String}} = 'hour', toStartOfHour(scheduled_at), toStartOfDay(scheduled_at)) AS bucket,
    bitShiftLeft(1::UInt64, 48) + toUnixTimestamp(bucket) - {{overtaken:Bool}} AS version,
    bucket + whole_s AS known_until,
    if({{overtaken:Bool}}, 0, round_ms * intDiv(countIf(outcome = 'up'), {len(REGIONS)})) AS up_ms,
    round_ms * intDiv(countIf(outcome = 'degraded'), {len(REGIONS)}) AS degraded_ms,
    round_ms * intDiv(countIf(outcome = 'down'), {len(REGIONS)}) AS down_ms,
    1000 * whole_s - up_ms - degraded_ms - down_ms AS unknown_ms, 0 AS maintenance_ms, 0 AS paused_ms
FROM check_results FINAL
WHERE scheduled_at >= toDateTime({{begin:UInt32}}, 'UTC') AND scheduled_at < toDateTime({{end:UInt32}}, 'UTC')
GROUP BY monitor, bucket
"""

LATENCY: Final = """
INSERT INTO latency_hourly
WITH
    arrayPushFront(groupArray(bin), 0::UInt32) AS bins,
    arrayPushFront(groupArray(toUInt32(checks)), 0::UInt32) AS counts
SELECT
    monitor, region, hour, bitShiftLeft(1::UInt64, 48) + toUnixTimestamp(hour), sum(checks),
    sum(dns), sum(connect), sum(tls), sum(ttfb), sum(transfer), sum(total),
    mapPopulateSeries(bins, counts).2
FROM (
    SELECT
        monitor, region, toStartOfHour(scheduled_at) AS hour,
        toUInt32(least(127, greatest(0, floor(log2(total_us / 1000) * 8)))) AS bin, count() AS checks,
        sum(dns_us) AS dns, sum(connect_us) AS connect, sum(tls_us) AS tls,
        sum(ttfb_us) AS ttfb, sum(transfer_us) AS transfer, sum(total_us) AS total
    FROM check_results FINAL
    WHERE scheduled_at >= toDateTime({begin:UInt32}, 'UTC') AND scheduled_at < toDateTime({end:UInt32}, 'UTC')
      AND outcome IN ('up', 'degraded')
    GROUP BY monitor, region, hour, bin
)
GROUP BY monitor, region, hour
"""
"""Bin 0, which no answer here is fast enough for, is where the series of bins begins."""

INCIDENTS: Final = f"""
INSERT INTO incidents (monitor, id, version, state, severity, opened_at, decided_at, resolved_at, reason)
WITH round -> fromUnixTimestamp64Milli(1000 * toInt64(day_s + round * {{interval_s:UInt32}}), 'UTC') AS moment
SELECT
    monitor, hex(fate), bitShiftLeft(1::UInt64, 48) + fate % 1000000, 'resolved', severity,
    moment(first_bad), moment(first_bad + 1), moment(first_good), if(severity = 'down', 'timeout', 'latency')
FROM ({TROUBLES}) WHERE fails
"""

CHANGES: Final = """
INSERT INTO status_changes (monitor, at, version, decided_at, previous, status, reason, incident)
SELECT
    monitor, change.1, version, change.1, if(change.2 = 'up', severity, 'up'), change.2,
    if(change.2 = 'up', 'ok', reason), id
FROM incidents FINAL ARRAY JOIN [(opened_at, severity), (assumeNotNull(resolved_at), 'up')] AS change
"""

CURRENT: Final = """
INSERT INTO current_status (monitor, version, status, since, known_until, reason)
SELECT monitor, max(version), 'up', max(resolved_at), toDateTime({end:UInt32}, 'UTC'), 'ok' FROM incidents FINAL
GROUP BY monitor
"""

ENDED_MONTHS: Final = """
SELECT DISTINCT table, partition FROM system.parts
WHERE active AND database = 'pulse' AND table IN ('latency_hourly', 'uptime_hourly', 'uptime_daily')
  AND partition < toString(toYYYYMM(now('UTC')))
"""


@dataclass(frozen=True, slots=True)
class Year:
    """How much there is: all monitors, all days, and a round of checks every `interval_s`, which divides an hour."""

    monitors: int
    interval_s: int
    days: int = 364

    @property
    def days_at_once(self) -> int:
        """Days that are written together."""
        return max(1, RESULTS_AT_ONCE // (self.monitors * len(REGIONS) * DAY_S // self.interval_s))

    @property
    def end_s(self) -> int:
        """The last midnight."""
        return int(time.time()) // DAY_S * DAY_S

    @property
    def begin_s(self) -> int:
        """The first midnight."""
        return self.end_s - self.days * DAY_S


def write(gateway: Gateway, year: Year) -> None:
    """Make the tables and fill them, some days at once; the newest days twice. Returns when all is merged.

    Months that have ended are a part each in the rollups, which their settings would make of them within a day.
    """
    settings = Settings(clickhouse=SecretStr(gateway.settings_url()), retention_days=year.days + 30)
    asyncio.run(migrate(settings))
    for begin_s in range(year.begin_s, year.end_s, year.days_at_once * DAY_S):
        _write_days(gateway, year, begin_s, min(begin_s + year.days_at_once * DAY_S, year.end_s))
    _write_days(gateway, year, year.end_s - TOLD_AGAIN_DAYS * DAY_S, year.end_s, overtaken=True)
    for sql in (CHANGES, CURRENT):
        _run(gateway, year, sql, year.begin_s, year.end_s)
    while gateway.rows("SELECT count() FROM system.merges") != [["0"]]:  # of a year in minutes, as nobody writes it
        time.sleep(0.2)
    for table, month in gateway.rows(ENDED_MONTHS):
        assert gateway.post(f"OPTIMIZE TABLE pulse.{table} PARTITION {month} FINAL").status_code == 200


def _write_days(gateway: Gateway, year: Year, begin_s: int, end_s: int, *, overtaken: bool = False) -> None:
    for sql in (RESULTS, LATENCY, INCIDENTS):
        _run(gateway, year, sql, begin_s, end_s)
    for version in (True, False) if overtaken else (False,):
        for step in ("hour", "day"):
            _run(gateway, year, BUCKETS, begin_s, end_s, param_step=step, param_overtaken=int(version))


def _run(gateway: Gateway, year: Year, sql: str, begin_s: int, end_s: int, **parameters: str | int) -> None:
    wanted = {"monitors": year.monitors, "interval_s": year.interval_s, "begin": begin_s, "end": end_s}
    used = {f"param_{name}": value for name, value in wanted.items() if f"{{{name}:" in sql}
    response = gateway.post(sql, database="pulse", **SETTINGS, **used, **parameters)
    assert response.status_code == 200, response.text
