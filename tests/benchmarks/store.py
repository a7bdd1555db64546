"""Bytes that a check result takes on disk, beside the same table with ClickHouse's default codec (LZ4).

A week of 40 monitors from two regions every 30 s: phases of a request around each monitor's own medians, to the
microsecond, a failure now and then; merged as ClickHouse merges in time.
"""

import asyncio
import re
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr

from infra.clickhouse import migrate
from infra.settings import Settings
from tests.benchmarks.report import report
from tests.infra.gateway import Gateway, start

MONITORS = 40
REGIONS = 2
DAYS = 7
INTERVAL_S = 30
RESULTS = MONITORS * REGIONS * DAYS * 86_400 // INTERVAL_S

A_WEEK = f"""
SELECT
    concat('default/service-', toString(monitor_number)) AS monitor,
    if(who % 2 = 0, 'eu-west', 'us-east') AS region,
    fromUnixTimestamp64Milli(started_at + (round_number * {INTERVAL_S} + monitor_number % 30) * 1000) AS scheduled_at,
    bitShiftLeft(1::UInt64, 48) + round_number * 45 + rand(1) % 7 + intDiv(who, 8) AS version,
    toUInt32(least(50, exp(randNormal(0, 0.7, 2)))) AS started_delay_ms,
    toUInt64(monitor_number * 7 + 3) AS monitor_version,
    multiIf(luck < 0.002, 'down', luck < 0.008, 'degraded', 'up') AS outcome,
    multiIf(luck < 0.002, 'timeout', luck < 0.008, 'latency', 'ok') AS reason,
    if(luck < 0.002, 0, 200) AS status_code,
    toUInt32(exp(randNormal(6.2, 0.4, 3))) AS dns_us,
    toUInt32((3000 + 5000 * (monitor_number % 9)) * exp(randNormal(0, 0.08, 4))) AS connect_us,
    toUInt32((4000 + 6000 * (monitor_number % 9)) * exp(randNormal(0, 0.10, 5))) AS tls_us,
    toUInt32((20000 + 9000 * (monitor_number % 13)) * exp(randNormal(0, 0.25, 6))) AS ttfb_us,
    toUInt32(exp(randNormal(5.5, 0.5, 7))) AS transfer_us,
    dns_us + connect_us + tls_us + ttfb_us + transfer_us + 40 + rand(8) % 30 AS total_us,
    multiIf(
        outcome = 'down', 'no answer within 10 s',
        outcome = 'degraded', concat('answered in ', toString(intDiv(total_us, 1000)), ' ms, more than 300 ms'),
        ''
    ) AS message,
    if(outcome = 'degraded', concat('{{"failures":[{{"test":"latency","seen":"', message, '"}}]}}'), '') AS detail
FROM (
    SELECT
        number % {MONITORS * REGIONS} AS who,
        intDiv(who, 2) AS monitor_number,
        intDiv(number, {MONITORS * REGIONS}) AS round_number,
        randCanonical(9) AS luck,
        toUnixTimestamp64Milli(now64(3)) - {DAYS * 86_400_000} AS started_at
    FROM numbers({RESULTS})
)
"""


def main() -> None:
    """Fill both tables from the same rows, merge, and ask the engine what they take."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        gateway = start(Path(folder) / "data")
        try:
            _fill(gateway)
            value, reference = (_bytes_a_result(gateway, table) for table in ("check_results", "default_codec"))
        finally:
            gateway.stop()
    report("store", value, "bytes a result", "the same table with LZ4", reference, started, results=RESULTS)


def _fill(gateway: Gateway) -> None:
    asyncio.run(migrate(Settings(clickhouse=SecretStr(gateway.settings_url()))))
    (created,) = gateway.post("SHOW CREATE TABLE pulse.check_results FORMAT TSVRaw").text.split("\n\n")
    plain = re.sub(r" CODEC\(.*\)(?=,?$)", "", created, flags=re.MULTILINE)
    _do(gateway, plain.replace("pulse.check_results", "pulse.default_codec"))
    names = re.findall(r" AS (\w+),?$", A_WEEK.split("FROM (")[0], re.MULTILINE)
    _do(gateway, f"INSERT INTO pulse.check_results ({', '.join(names)}) {A_WEEK}")
    _do(gateway, "INSERT INTO pulse.default_codec SELECT * FROM pulse.check_results")
    for table in ("check_results", "default_codec"):
        _do(gateway, f"OPTIMIZE TABLE pulse.{table} FINAL")


def _do(gateway: Gateway, sql: str) -> None:
    response = gateway.post(sql)
    assert response.status_code == 200, response.text


def _bytes_a_result(gateway: Gateway, table: str) -> float:
    parts = f"system.parts WHERE database = 'pulse' AND table = '{table}' AND active"
    return float(gateway.rows(f"SELECT sum(bytes_on_disk) / sum(rows) FROM {parts}")[0][0])


if __name__ == "__main__":
    main()
