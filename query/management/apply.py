"""`pulse plan` and `pulse apply`: a `pulse.yaml`, compared with a service, and made true there."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from query.management.client import Service, ServiceError
from query.management.plan import Action, AnyDocument, Change, Kind, Plan, Present, difference
from schemas.documents import PulseDocument, error_in
from schemas.monitors import Maintenance, Monitor, Page

WRITES_AT_ONCE: Final = 16

_MODELS: Final[dict[Kind, type[AnyDocument]]] = {
    Kind.MONITOR: Monitor,
    Kind.PAGE: Page,
    Kind.MAINTENANCE: Maintenance,
}
_FIELDS: Final = {Kind.MONITOR: "monitor", Kind.PAGE: "page", Kind.MAINTENANCE: "maintenance"}


async def make_plan(service: Service, document: PulseDocument, *, prune: bool) -> Plan:
    """What would have to change. Raises ServiceError."""
    there = await asyncio.gather(*(_present(service, kind) for kind in Kind))
    now = time.time_ns() // 1_000_000
    return difference(document, dict(zip(Kind, there, strict=True)), prune=prune, now=now)


async def carry_out(service: Service, plan: Plan, path: Path, on_done: Callable[[Change], None]) -> list[ServiceError]:
    """Make the changes, step by step; the first step that has errors is the last. Returns its errors."""
    slots = asyncio.Semaphore(WRITES_AT_ONCE)

    async def make(change: Change) -> ServiceError | None:
        async with slots:
            try:
                await _send(service, change)
            except ServiceError as error:
                return _located(error, change, path)
        on_done(change)
        return None

    for step in plan.steps:
        errors = [error for error in await asyncio.gather(*map(make, step)) if error is not None]
        if errors:
            return errors
    return []


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
        await service.send("DELETE", path, headers=headers)
        return
    body: dict[str, Any] = change.document.model_dump(mode="json", exclude_unset=True)
    if change.action is Action.CREATE:
        await service.send("POST", f"/v1/{change.kind}", json=body)
    else:
        await service.send("PUT", path, json=body, headers=headers)


def _located(error: ServiceError, change: Change, path: Path) -> ServiceError:
    """The error with the lines of the file that it is about, if it is about any."""
    if not error.errors or change.document is None:
        return ServiceError(f"{_FIELDS[change.kind]} {change.slug}: {error}", error.code)
    lines = [
        str(error_in(path, (change.kind.value, change.index, *_location(told.get("pointer", ""))), told["detail"]))
        for told in error.errors
    ]
    return ServiceError("\n".join(lines), error.code)


def _location(pointer: str) -> list[str | int]:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("#").split("/")[1:]]
    return [int(part) if part.isdecimal() else part for part in parts]
