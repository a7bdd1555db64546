"""`pulse check URL`: one check from this machine, as a probe would do it, shown in the terminal."""

import asyncio
import sys
from typing import Annotated, Final

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.cli import Exit, fail
from probes.check import check_once
from probes.shorthand import InvalidAssertion, parse_assertion
from schemas.documents import field_path, message_of
from schemas.enums import Outcome, Reason
from schemas.events import CheckResult
from schemas.monitors import Assertion, Monitor

NO_CONNECTION: Final = frozenset({Reason.DNS_ERROR, Reason.CONNECT_REFUSED, Reason.CONNECT_ERROR})
JUDGED: Final = frozenset(
    {Reason.OK, Reason.HTTP_STATUS, Reason.ASSERTION, Reason.COMPONENT, Reason.LATENCY, Reason.CERTIFICATE}
)
"""Reasons that an answer gets which came whole."""
BAR_WIDTH: Final = 40

_COLOURS: Final = {Outcome.UP: "green", Outcome.DEGRADED: "yellow", Outcome.DOWN: "red", Outcome.UNKNOWN: "magenta"}
_PHASES: Final = (("dns", "cyan"), ("connect", "blue"), ("tls", "magenta"), ("ttfb", "yellow"), ("transfer", "green"))


def check_command(
    url: Annotated[str, typer.Argument(help="What to check: http(s)://, tcp://, tls://, dns://, ws(s)://.")],
    asserted: Annotated[
        list[str] | None,
        typer.Option("--assert", "-a", help="""A test, like '$.database == "ok"', 'status == 200', 'latency < 500'."""),
    ] = None,
    timeout: Annotated[str, typer.Option(help="How long the whole check may take.")] = "10s",
    method: Annotated[str, typer.Option(help="The HTTP method.")] = "GET",
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help="A header, 'Name: value'.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Check again every few seconds, until Ctrl-C.")] = False,
    every: Annotated[str, typer.Option(help="With --watch: how often.")] = "5s",
    as_json: Annotated[bool, typer.Option("--json", help="Print the check result as it goes into the log.")] = False,
) -> None:
    """Check a URL once from this machine. Exit code: 0 up, 1 not up, 2 wrong use, 3 nobody answers there.

    Example: pulse check https://api.example.com/health --assert '$.database == "ok"'
    """
    monitor = _monitor(url, asserted or [], timeout, method, header or [], every)
    try:
        code = asyncio.run(_run(monitor, watch=watch, as_json=as_json))
    except KeyboardInterrupt:
        code = Exit.FINE
    raise typer.Exit(code)


def _monitor(url: str, asserted: list[str], timeout: str, method: str, headers: list[str], every: str) -> Monitor:
    if "://" not in url:
        url = f"https://{url}"
    try:
        assertions = [parse_assertion(text) for text in asserted]
        pairs = dict(_header(text) for text in headers)
        return Monitor.model_validate(
            {"slug": "check", "url": url, "method": method.upper(), "headers": pairs, "timeout": timeout}
            | {"interval": every, "assertions": [each.model_dump(exclude_unset=True) for each in assertions]}
        )
    except InvalidAssertion as error:
        fail(str(error), Exit.USAGE)
    except ValidationError as error:
        lines = [f"{field_path(each['loc'])}: {message_of(each, Monitor)}" for each in error.errors()]
        fail("\n".join(lines), Exit.USAGE)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        fail(f"not a header: {text!r}; write 'Name: value'", Exit.USAGE)
    return name.strip(), value.strip()


async def _run(monitor: Monitor, *, watch: bool, as_json: bool) -> Exit:
    """Check once, or until Ctrl-C; the exit code of the last."""
    while True:
        result = await check_once(monitor)
        _print(result, monitor, as_json=as_json)
        if not watch:
            return _exit_code(result)
        await asyncio.sleep(monitor.interval_ms / 1_000)


def _print(result: CheckResult, monitor: Monitor, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        sys.stdout.flush()
    else:
        Console(highlight=False).print(_shown(result, monitor))


def _exit_code(result: CheckResult) -> Exit:
    if result.outcome is Outcome.UP:
        return Exit.FINE
    return Exit.UNREACHABLE if result.reason in NO_CONNECTION else Exit.NOT_FINE


def _shown(result: CheckResult, monitor: Monitor) -> RenderableType:
    colour = _COLOURS[result.outcome]
    request_line = f"{monitor.method} {monitor.url}" if monitor.over_http else monitor.url
    headline = Text.assemble((f"● {result.outcome}", f"bold {colour}"), f"  {request_line}")
    if result.status_code:
        headline.append(f"  {result.status_code}", "bold")
    headline.append(f"  {_milliseconds(result.total_us)}")
    parts: list[RenderableType] = [headline]
    if result.message:
        parts.append(Text(f"  {result.reason}: {result.message}", colour))
    if result.ttfb_us:
        parts.append(_bar(result))
    if result.components:
        parts.append(_components(result))
    if monitor.assertions:
        parts.append(_assertions(result, monitor.assertions))
    if result.evidence and result.evidence.body:
        parts.append(Text(_indented(result.evidence.body), "dim"))
    return Group(*parts)


def _milliseconds(duration_us: int) -> str:
    return f"{duration_us / 1_000:.1f} ms" if duration_us < 10_000 else f"{duration_us / 1_000:.0f} ms"


def _bar(result: CheckResult) -> Text:
    """The phases, each as wide as its share of the time."""
    times = [(name, colour, getattr(result, f"{name}_us")) for name, colour in _PHASES]
    known = [each for each in times if each[2]]
    whole_us = sum(time_us for *_, time_us in known) or 1
    bar = Text("  ")
    for _, colour, time_us in known:
        bar.append("█" * max(1, round(BAR_WIDTH * time_us / whole_us)), colour)
    for name, colour, time_us in known:
        bar.append(f"  {name} ", colour).append(_milliseconds(time_us))
    return bar


def _components(result: CheckResult) -> Table:
    table = Table.grid(padding=(0, 1))
    for part in result.components:
        table.add_row(Text(f"  ● {part.name}", _COLOURS[part.outcome]), Text(part.outcome), Text(part.message, "dim"))
    return table


def _assertions(result: CheckResult, assertions: list[Assertion]) -> RenderableType:
    failed = [Text(f"  ✗ {failure.message}", "red") for failure in result.failures]
    held = len(assertions) - len(failed) if _is_judged(result) else 0
    untested = len(assertions) - len(failed) - held
    lines = [*failed]
    if held:
        lines.append(Text(f"  ✓ {held} of {len(assertions)} assertions hold", "green"))
    if untested:
        lines.append(Text(f"  - {untested} assertions not tested: no answer", "dim"))
    return Group(*lines)


def _is_judged(result: CheckResult) -> bool:
    """A whole answer came; a WebSocket that was refused has a bad status, too, and no code."""
    return result.reason in JUDGED and (result.reason is not Reason.HTTP_STATUS or bool(result.status_code))


def _indented(body: str) -> str:
    lines = body.strip().splitlines()[:12]
    return "\n".join(f"  │ {line[:160]}" for line in lines)
