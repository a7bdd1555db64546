"""`pulse plan` and `pulse apply`: a `pulse.yaml`, compared with a service, and made true there."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.cli import Exit
from query.management.client import Service, ServiceError
from query.management.plan import Action, AnyDocument, Change, Kind, Plan, Present, difference, monitors_missed
from schemas.documents import Location, PulseDocument, errors_in
from schemas.monitors import Maintenance, Monitor, Page

WRITES_AT_ONCE: Final = 16

_MODELS: Final[dict[Kind, type[AnyDocument]]] = {
    Kind.MONITOR: Monitor,
    Kind.PAGE: Page,
    Kind.MAINTENANCE: Maintenance,
}
_FIELDS: Final = {Kind.MONITOR: "monitor", Kind.PAGE: "page", Kind.MAINTENANCE: "maintenance"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many changes were made, and what came in the way of others."""

    made: int
    refused: list[tuple[Change, ServiceError]]


async def make_plan(service: Service, document: PulseDocument, path: Path, *, prune: bool) -> Plan:
    """What would have to change. Raises ServiceError; InvalidDocument for monitors that are not there."""
    found = await asyncio.gather(*(_present(service, kind) for kind in Kind))
    there, now = dict(zip(Kind, found, strict=True)), time.time_ns() // 1_000_000
    if missed := list(monitors_missed(document, there, prune=prune, now=now)):
        raise errors_in(path, missed)
    return difference(document, there, prune=prune, now=now)


async def carry_out(service: Service, plan: Plan) -> Outcome:
    """Make the changes, step by step, until a step has errors; without service or key, nothing more is sent."""
    slots = asyncio.Semaphore(WRITES_AT_ONCE)
    made: list[Change] = []
    refused: list[tuple[Change, ServiceError]] = []

    async def make(change: Change) -> None:
        async with slots:
            if any(error.code is not Exit.NOT_FINE for _, error in refused):
                return
            try:
                await _send(service, change)
                made.append(change)
            except ServiceError as error:
                refused.append((change, error))

    for step in plan.steps:
        if not refused:
            await asyncio.gather(*map(make, step))
    return Outcome(len(made), refused)


def refusals(outcome: Outcome, path: Path) -> Iterator[str]:
    """What was refused, in lines: with its place in the file, if it is about any."""
    located: list[tuple[Location, str]] = []
    for change, error in outcome.refused:
        if error.errors and change.document is not None:
            located += [
                ((change.kind.value, change.index, *_location(told.get("pointer", ""))), told["detail"])
                for told in error.errors
            ]
        else:
            yield f"{_FIELDS[change.kind]} {change.slug}: {error}"
    if located:
        yield str(errors_in(path, located))


async def _present(service: Service, kind: Kind) -> dict[str, Present]:
    listed = await service.list(f"/v1/{kind}", kind, document="true")
    model = _MODELS[kind]
    return {
        item["slug"]: Present(model.model_validate(item[_FIELDS[kind]], extra="ignore"), item["version"])
        for item in listed
    }


async def _send(service: Service, change: Change) -> None:
    path = f"/v1/{change.kind}/{change.slug}"
    headers = {} if change.version is None else {"If-Match": f'"{change.version}"'}
    if change.document is None:
        await _delete(service, path, headers)
        return
    body: dict[str, Any] = change.document.model_dump(mode="json", exclude_unset=True)
    if change.action is Action.CREATE:
        await service.send("POST", f"/v1/{change.kind}", json=body)
    else:
        await service.send("PUT", path, json=body, headers=headers)


async def _delete(service: Service, path: str, headers: dict[str, str]) -> None:
    """Someone else may have been quicker: two pipelines of one commit, say."""
    try:
        await service.send("DELETE", path, headers=headers)
    except ServiceError as error:
        if not error.is_missing:
            raise


def _location(pointer: str) -> list[str | int]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
    return [int(part) if part.isdecimal() else part for part in parts]
