"""The difference between a `pulse.yaml` and what a service has: what `pulse plan` shows and `pulse apply` does.

A maintenance that is over, in the file or on the service, is left as it is: what has been is nobody's to change. A
file without `maintenances` leaves those on the service alone: people plan them from a shell, too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any, Final

from query.maintenances import MaintenanceState, state_at
from schemas.documents import Location, PulseDocument
from schemas.monitors import Maintenance, Monitor, Page

AnyDocument = Monitor | Page | Maintenance


class Action(StrEnum):
    """What becomes of a document."""

    CREATE = "create"
    CHANGE = "change"
    KEEP = "keep"
    DELETE = "delete"


class Kind(StrEnum):
    """What a document is; also how its list is called in `pulse.yaml` and in `/v1`."""

    MONITOR = "monitors"
    PAGE = "pages"
    MAINTENANCE = "maintenances"


@dataclass(frozen=True, slots=True)
class Present:
    """A document that the service has, and its version there."""

    document: AnyDocument
    version: int


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field whose value changes, both as they were written; None where it was left to its default."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one document. `index` is its place in the file, `version` the one that it replaces."""

    action: Action
    kind: Kind
    slug: str
    document: AnyDocument | None = None
    index: int = 0
    version: int | None = None
    fields: tuple[FieldChange, ...] = ()


ORDER: Final = (
    (Action.CREATE, Kind.MONITOR),
    (Action.CHANGE, Kind.MONITOR),
    (Action.KEEP, Kind.MONITOR),
    (Action.DELETE, Kind.PAGE),
    (Action.CHANGE, Kind.PAGE),
    (Action.CREATE, Kind.PAGE),
    (Action.KEEP, Kind.PAGE),
    (Action.CREATE, Kind.MAINTENANCE),
    (Action.CHANGE, Kind.MAINTENANCE),
    (Action.KEEP, Kind.MAINTENANCE),
    (Action.DELETE, Kind.MAINTENANCE),
    (Action.DELETE, Kind.MONITOR),
)
"""Pages and maintenances need their monitors, a monitor is deleted when no page shows it any more, and a page gives
up its domains before another one takes them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in the order in which they can be made; `strangers` are on the service and not in the file."""

    changes: tuple[Change, ...]
    strangers: int

    @property
    def steps(self) -> Iterator[list[Change]]:
        """Changes that can be made at the same time, step by step."""
        for _, step in groupby(self.changes, _place):
            if changes := [change for change in step if change.action is not Action.KEEP]:
                yield changes

    @property
    def is_empty(self) -> bool:
        """Whether everything is as the file says."""
        return self.size == 0

    @property
    def size(self) -> int:
        """How many changes there are to make."""
        return len(self.changes) - self.count(Action.KEEP)

    def count(self, action: Action) -> int:
        """How many documents this becomes of."""
        return sum(change.action is action for change in self.changes)


def difference(document: PulseDocument, there: Mapping[Kind, Mapping[str, Present]], *, prune: bool, now: int) -> Plan:
    """The plan that makes the service be as the document says at `now`; what is only there is deleted with `prune`."""
    changes: list[Change] = []
    strangers: list[Change] = []
    for kind in Kind:
        documents: Sequence[AnyDocument] = getattr(document, kind)
        changes += _wanted(kind, documents, there[kind], now)
        if kind is not Kind.MAINTENANCE or kind in document.model_fields_set:
            strangers += _only_there(kind, documents, there[kind], now)
    changes.extend(strangers if prune else ())
    changes.sort(key=_place)
    return Plan(tuple(changes), len(strangers))


def monitors_missed(
    document: PulseDocument, there: Mapping[Kind, Mapping[str, Present]], *, prune: bool, now: int
) -> Iterator[tuple[Location, str]]:
    """Where the document names a monitor that will not be there, and why not."""
    stay = {monitor.slug for monitor in document.monitors}
    for place, slug in _monitors_named(document, there[Kind.MAINTENANCE], now):
        if slug not in stay | there[Kind.MONITOR].keys():
            yield place, f"there is no monitor {slug}"
        elif slug not in stay and prune:
            yield place, f"the monitor {slug} is not in the file, so that --prune deletes it"


def _monitors_named(
    document: PulseDocument, maintenances: Mapping[str, Present], now: int
) -> Iterator[tuple[Location, str]]:
    """Those of a maintenance that is over, or that were in it before, may be gone."""
    for i, page in enumerate(document.pages):
        for j, group in enumerate(page.groups):
            for k, slug in enumerate(group.monitors):
                yield (Kind.PAGE.value, i, "groups", j, "monitors", k), slug
    for i, maintenance in enumerate(document.maintenances):
        present = maintenances.get(maintenance.slug)
        before = present.document.monitors if present and isinstance(present.document, Maintenance) else []
        for k, slug in enumerate(() if _is_over(maintenance, now) else maintenance.monitors):
            if slug not in before:
                yield (Kind.MAINTENANCE.value, i, "monitors", k), slug


def _place(change: Change) -> tuple[int, bool]:
    """Where a change stands in the order: a page that takes a domain comes after those that may give it up."""
    takes = any(
        field.field == "domains" and not set(field.after or ()) <= set(field.before or ()) for field in change.fields
    )
    return ORDER.index((change.action, change.kind)), takes


def _wanted(kind: Kind, documents: Sequence[AnyDocument], there: Mapping[str, Present], now: int) -> Iterator[Change]:
    for index, document in enumerate(documents):
        present = there.get(document.slug)
        if _is_over(document, now) or (present is not None and _is_over(present.document, now)):
            yield Change(Action.KEEP, kind, document.slug, document, index)
        elif present is None:
            yield Change(Action.CREATE, kind, document.slug, document, index)
        elif present.document == document:
            yield Change(Action.KEEP, kind, document.slug, document, index, present.version)
        else:
            fields = tuple(_changed_fields(present.document, document))
            yield Change(Action.CHANGE, kind, document.slug, document, index, present.version, fields)


def _only_there(
    kind: Kind, documents: Sequence[AnyDocument], there: Mapping[str, Present], now: int
) -> Iterator[Change]:
    wanted = {document.slug for document in documents}
    for slug, present in sorted(there.items()):
        if slug not in wanted and not _is_history(present.document, now):
            yield Change(Action.DELETE, kind, slug, version=present.version)


def _is_over(document: AnyDocument, now: int) -> bool:
    return isinstance(document, Maintenance) and state_at(document, now) is MaintenanceState.PAST


def _is_history(document: AnyDocument, now: int) -> bool:
    """Whether pruning must leave it: a maintenance that was announced otherwise than as one to come."""
    return isinstance(document, Maintenance) and state_at(document, now) is not MaintenanceState.UPCOMING


def _changed_fields(before: AnyDocument, after: AnyDocument) -> Iterator[FieldChange]:
    written_before = before.model_dump(mode="json", exclude_unset=True)
    written_after = after.model_dump(mode="json", exclude_unset=True)
    for name, field in type(after).model_fields.items():
        written = field.alias or name
        change = FieldChange(written, written_before.get(written), written_after.get(written))
        if getattr(before, name) != getattr(after, name) or _other_json(change):
            yield change


def _other_json(change: FieldChange) -> bool:
    """In Python `1 == True`, so that only their texts tell them apart."""
    both = change.before is not None and change.after is not None
    return both and json.dumps(change.before) != json.dumps(change.after)
