"""What the management commands print: tables and differences for people, JSON with the API's keys for programs."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import typer
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from query.management.plan import Action, Change, FieldChange, Plan

_STATUS_COLOURS: Final = {
    "up": "green",
    "degraded": "yellow",
    "down": "red",
    "unknown": "magenta",
    "maintenance": "blue",
    "paused": "bright_black",
}
_ACTIONS: Final = {
    Action.CREATE: ("+", "green", "to create"),
    Action.CHANGE: ("~", "yellow", "to change"),
    Action.DELETE: ("-", "red", "to delete"),
    Action.KEEP: ("=", "dim", "unchanged"),
}
VALUE_WIDTH: Final = 60
SHORT: Final = frozenset(
    {"id", "state", "severity", "opened (UTC)", "lasted", "starts (UTC)", "ends", "created (UTC)", "expires"}
)
"""Columns that are never broken."""


def print_json(value: Any) -> None:
    """JSON on stdout."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as data: every change but those that change nothing, and how many of each there are."""
    return {
        "changes": [
            {
                "action": change.action,
                "kind": _singular(change),
                "slug": change.slug,
                "fields": [{"field": f.field, "before": f.before, "after": f.after} for f in change.fields],
            }
            for change in plan.changes
            if change.action is not Action.KEEP
        ],
        "create": plan.count(Action.CREATE),
        "change": plan.count(Action.CHANGE),
        "keep": plan.count(Action.KEEP),
        "delete": plan.count(Action.DELETE),
        "only_on_service": plan.strangers,
    }


def show_plan(console: Console, plan: Plan) -> None:
    """The difference, a line a change and a line a field."""
    for change in plan.changes:
        if change.action is Action.KEEP:
            continue
        sign, colour, _ = _ACTIONS[change.action]
        console.print(f"[{colour}]{sign} {_singular(change)} {escape(change.slug)}[/]")
        for field in change.fields:
            before, after = _values(field)
            console.print(f"    {field.field}: {before} → {after}")
    console.print(", ".join(f"{plan.count(action)} {words}" for action, (_, _, words) in _ACTIONS.items()))
    if plan.strangers and not plan.count(Action.DELETE):
        console.print(f"{plan.strangers} on the service are not in the file; --prune deletes them.", style="dim")


def show_monitors(console: Console, monitors: Iterable[dict[str, Any]]) -> None:
    """A line a monitor: status, since when, uptime of 24 hours."""
    lines = [("status", "monitor", "title", "since", "24 h")] + [
        (each["status"], each["slug"], _in_a_line(each["title"]), ago(each["since"]), percent(each["uptime_24h"]))
        for each in monitors
    ]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:  # no Table: rich takes seconds for thousands of them
        status, *others = (set_cell_size(text, width) for text, width in zip(line, widths, strict=True))
        coloured = typer.style(status, fg=_STATUS_COLOURS.get(line[0]))
        typer.echo("  ".join([coloured, *others]).rstrip(), color=False if console.no_color else None)


def _in_a_line(text: str) -> str:
    """A name may have the end of a line, and what moves a terminal's cursor."""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def show_system(console: Console, system: dict[str, Any]) -> None:
    """What is wrong with the installation itself; nothing where nothing is."""
    if system["dead_letters"]:
        console.print(
            f"{system['dead_letters']} records could not be read: see the topic dead-letters.", style="yellow"
        )
    for trouble in system["troubles"]:
        console.print(trouble, style="red", markup=False)


def show_incidents(console: Console, incidents: Iterable[dict[str, Any]]) -> None:
    """A line an incident: its state, how bad, how long, and why."""
    table = _table("state", "severity", "monitor", "opened (UTC)", "lasted", "what")
    for incident in incidents:
        colour = "red" if incident["state"] == "open" else "dim"
        table.add_row(
            f"[{colour}]{incident['state']}[/]",
            incident["severity"],
            escape(incident["monitor"]),
            minute(incident["opened_at"]),
            duration(incident["duration_ms"] // 60_000),
            escape(incident["message"]),
        )
    console.print(table)


def show_maintenances(console: Console, maintenances: Iterable[dict[str, Any]]) -> None:
    """A line a maintenance: its state, when, and of which monitors."""
    table = _table("state", "maintenance", "title", "starts (UTC)", "ends", "monitors")
    for maintenance in maintenances:
        colour = _STATUS_COLOURS["maintenance"] if maintenance["state"] == "active" else "dim"
        table.add_row(
            f"[{colour}]{maintenance['state']}[/]",
            escape(maintenance["slug"]),
            escape(maintenance["title"]),
            minute(maintenance["starts_at"]),
            minute(maintenance["ends_at"]),
            " ".join(maintenance["monitors"]),
        )
    console.print(table)


def show_keys(console: Console, keys: Iterable[dict[str, Any]]) -> None:
    """A line a key."""
    table = _table("id", "name", "scopes", "created (UTC)", "by", "expires")
    for key in keys:
        table.add_row(
            key["id"],
            escape(key["name"]),
            " ".join(key["scopes"]),
            minute(key["created_at"]),
            escape(key["created_by"]),
            minute(key["expires_at"]) if key["expires_at"] else "never",
        )
    console.print(table)


def show_corrections(console: Console, corrections: Iterable[dict[str, Any]]) -> None:
    """A line a correction, and below it what it changed."""
    for one in corrections:
        console.print(f"[bold]{one['kind']}[/] {one['id']}  {one['begin']} – {one['end']}  by {escape(one['by'])}")
        console.print(f"    {escape(one['reason'])}", style="dim")
        for word in ("before", "after"):
            console.print(f"    {word}: {_record(one[word]) if one[word] else 'not done yet'}")


def _record(state: dict[str, Any]) -> str:
    """`2 incidents, 3 h 10 min up, 4 min down`."""
    standing = [incident for incident in state["incidents"] if incident["state"] != "annulled"]
    spans = [f"{duration(round(ms / 60_000))} {status}" for status, ms in state["ms"].items()]
    return ", ".join([f"{len(standing)} incident{'' if len(standing) == 1 else 's'}", *spans])


def percent(share: float | None) -> str:
    """`99.98 %`, never rounded up to 100; a dash where nothing is known."""
    if share is None:
        return "–"
    return "100 %" if share == 1 else f"{int(share * 10_000) / 100:.2f} %"


def _table(*headers: str) -> Table:
    """On a narrow terminal names and messages are broken, and nothing else; nothing is left out."""
    columns = (Column(header, no_wrap=header in SHORT, overflow="fold") for header in headers)
    return Table(*columns, box=None, header_style="dim")


def minute(moment: str) -> str:
    """An ISO moment in UTC as a table has room for it: `2026-11-27 07:26`."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M}"


def ago(moment: str | None) -> str:
    """How long ago an ISO moment was: `3 h 12 min`; a dash for none."""
    if moment is None:
        return "–"
    return duration(max(0, int(time.time() - datetime.fromisoformat(moment).timestamp())) // 60)


def duration(minutes: int) -> str:
    """Minutes as people say them: `3 h 12 min`."""
    if minutes == 0:
        return "< 1 min"
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _singular(change: Change) -> str:
    return change.kind.removesuffix("s")


def _values(field: FieldChange) -> tuple[str, str]:
    """Both values; of long ones what is around the first difference."""
    if field.before is None or field.after is None:
        return _value(field.before), _value(field.after)
    pairs = zip(_json(field.before), _json(field.after), strict=False)
    differs_at = next((at for at, (one, other) in enumerate(pairs) if one != other), 0)
    return _value(field.before, differs_at), _value(field.after, differs_at)


def _value(value: Any, differs_at: int = 0) -> str:
    if value is None:
        return "[dim]default[/]"
    text = _json(value)
    begin = max(0, differs_at - VALUE_WIDTH // 2) if len(text) > VALUE_WIDTH else 0
    shown = text[begin : begin + VALUE_WIDTH]
    return escape("…" * (begin > 0) + shown + "…" * (begin + VALUE_WIDTH < len(text)))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
