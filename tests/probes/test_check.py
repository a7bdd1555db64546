"""Whatever a server says and a monitor wants, a check ends by its deadline with an outcome and a reason."""

import asyncio
import time
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from probes.check import check
from probes.compiled import CompiledMonitor, Compiler, Prepared
from probes.fetch import Fetched, Fetcher
from probes.lag import LagMeter
from probes.own_health import OwnNetwork
from probes.schedule import wall_clock_ms
from probes.secrets import Secrets
from schemas.enums import Outcome, Reason
from schemas.events import CheckBatch, CheckResult, decode_log, encode
from schemas.monitors import Monitor

TIMEOUT_MS = 300
PATIENCE_S = 30

heads = st.sampled_from(
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n",
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 30\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ",
        b"HTTP/1.1 101 Switching Protocols\r\n",
    ]
)
bodies = st.binary(max_size=200) | st.sampled_from(
    [b'{"status":"fail","checks":{"a":[{"status":"x"}]}}', b"[" * 5_000, b"5\r\nhello\r\n0\r\n\r\n", b'{"a":1e999}']
)
wanted = st.sampled_from(
    [
        {"jsonpath": "$.a", "equals": 1},
        {"jsonpath": "$..a", "lt": 5},
        {"jsonpath": "$[?(@.a == @.b)]", "length": 0},
        {"body": "text", "matches": "(a*)*b"},
        {"header": "Location", "matches": "x"},
        {"status": "1xx, 200-599"},
        {"latency": "0ms"},
        {"certificate_days": 3_650},
    ]
)
monitors = st.fixed_dictionaries(
    {"method": st.sampled_from(["GET", "HEAD", "POST"]), "follow_redirects": st.booleans()},
    optional={
        "assertions": st.lists(wanted, max_size=4),
        "latency_threshold": st.just("0ms"),
        "body": st.text(max_size=9),
    },
)


async def checked(answer: bytes, ends: bool, scheme: str, fields: dict[str, Any]) -> CheckResult:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if ends:
            writer.close()

    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    fetcher = Fetcher(allow=[ip_network("127.0.0.0/8")])
    async with server:
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        document = {"slug": "api", "url": url, "timeout": f"{TIMEOUT_MS}ms"} | fields
        compiled = Compiler(fetcher, Secrets(None, {})).compile(
            "default/api", Monitor.model_validate(document), version=1, partition=0
        )
        result = await check(compiled, int(wall_clock_ms()), LagMeter())
        await fetcher.close()
        return result


@settings(max_examples=60, deadline=None)
@given(heads, bodies, st.booleans(), st.sampled_from(["http", "https"]), monitors)
def test_any_bytes_for_any_monitor(head: bytes, body: bytes, ends: bool, scheme: str, fields: dict[str, Any]) -> None:
    result = asyncio.run(asyncio.wait_for(checked(head + body, ends, scheme, fields), PATIENCE_S))

    assume(not result.overloaded)
    assert result.outcome in (Outcome.UP, Outcome.DEGRADED, Outcome.DOWN)
    assert (result.reason is Reason.OK) == (result.outcome is Outcome.UP)
    assert result.reason is not Reason.PROBE_ERROR, result.message
    batch = CheckBatch("p", "r", 1, (result,))
    assert decode_log(encode(batch)) == batch


def compiled_of(exchange: Any) -> CompiledMonitor:
    document = Monitor.model_validate({"slug": "api", "url": "http://example.com/"})
    compiled = Compiler(Fetcher(), Secrets(None, {})).compile("default/api", document, version=3, partition=0)
    return CompiledMonitor(
        compiled.monitor,
        compiled.version,
        compiled.interval_ms,
        compiled.target,
        compiled.partition,
        compiled.rules,
        lambda: Prepared(exchange),
    )


def test_a_fault_of_our_own_is_unknown_and_not_the_targets() -> None:
    async def exchange() -> Fetched:
        raise RuntimeError("a bug")

    result = asyncio.run(check(compiled_of(exchange), 1_000, LagMeter()))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.PROBE_ERROR)
    assert (result.scheduled_at, result.monitor_version) == (1_000, 3)


def test_what_a_probe_without_a_network_sees_is_unknown_and_not_the_targets() -> None:
    async def exchange() -> Fetched:
        return Fetched(Reason.TIMEOUT, "still connecting", address="8.8.4.4")

    network = OwnNetwork(route=lambda: False)
    result = asyncio.run(check(compiled_of(exchange), 1_000, LagMeter(), network))

    assert (result.outcome, result.reason) == (Outcome.UNKNOWN, Reason.PROBE_OFFLINE)
    assert result.message == f"{network.verdict} (here: still connecting)"


@pytest.mark.parametrize(("blocked_s", "overloaded"), [(0.0, False), (0.2, True)])
def test_a_result_taken_while_the_loop_was_held_up_is_marked(blocked_s: float, overloaded: bool) -> None:
    async def exchange() -> Fetched:
        time.sleep(blocked_s)
        await asyncio.sleep(0)
        return Fetched(Reason.TIMEOUT)

    async def main() -> CheckResult:
        lag = LagMeter()
        for _ in range(100):  # a busy machine may lag by itself: take a moment at which it did not
            result = await check(compiled_of(exchange), 1, lag)
            if result.overloaded == overloaded:
                break
            await asyncio.sleep(0.05)
        return result

    assert asyncio.run(main()).overloaded is overloaded
