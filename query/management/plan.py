"""The difference between a `pulse.yaml` and what a service has: what `pulse plan` shows and `pulse apply` does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from schemas.documents import PulseDocument
from schemas.monitors import Monitor, Page

DocumentT = TypeVar("DocumentT", Monitor, Page)


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


@dataclass(frozen=True, slots=True)
class Present:
    """A document that the service has, and its version there."""

    document: Monitor | Page
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
    document: Monitor | Page | None = None
    index: int = 0
    version: int | None = None
    fields: tuple[FieldChange, ...] = ()


ORDER: Final = (
    (Action.CREATE, Kind.MONITOR),
    (Action.CHANGE, Kind.MONITOR),
    (Action.KEEP, Kind.MONITOR),
    (Action.CREATE, Kind.PAGE),
    (Action.CHANGE, Kind.PAGE),
    (Action.KEEP, Kind.PAGE),
    (Action.DELETE, Kind.PAGE),
    (Action.DELETE, Kind.MONITOR),
)
"""A page needs its monitors, and a monitor is deleted when no page shows it any more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in the order in which they can be made; `strangers` are on the service and not in the file."""

    changes: tuple[Change, ...]
    strangers: int

    @property
    def steps(self) -> Iterator[list[Change]]:
        """Changes that can be made at the same time, step by step."""
        for action, kind in ORDER:
            if action is not Action.KEEP:
                yield [change for change in self.changes if (change.action, change.kind) == (action, kind)]

    @property
    def is_empty(self) -> bool:
        """Whether everything is as the file says."""
        return all(change.action is Action.KEEP for change in self.changes)

    def count(self, action: Action) -> int:
        """How many documents this becomes of."""
        return sum(change.action is action for change in self.changes)


def difference(
    document: PulseDocument, monitors: Mapping[str, Present], pages: Mapping[str, Present], *, prune: bool
) -> Plan:
    """The plan that makes the service be as the document says; what is only there is deleted with `prune`."""
    changes = [
        *_wanted(Kind.MONITOR, document.monitors, monitors),
        *_wanted(Kind.PAGE, document.pages, pages),
    ]
    strangers = [
        *_only_there(Kind.MONITOR, document.monitors, monitors),
        *_only_there(Kind.PAGE, document.pages, pages),
    ]
    changes.extend(strangers if prune else ())
    changes.sort(key=lambda change: ORDER.index((change.action, change.kind)))
    return Plan(tuple(changes), len(strangers))


def _wanted(kind: Kind, documents: Sequence[DocumentT], there: Mapping[str, Present]) -> Iterator[Change]:
    for index, document in enumerate(documents):
        present = there.get(document.slug)
        if present is None:
            yield Change(Action.CREATE, kind, document.slug, document, index)
        elif present.document == document:
            yield Change(Action.KEEP, kind, document.slug, document, index, present.version)
        else:
            fields = tuple(_changed_fields(present.document, document))
            yield Change(Action.CHANGE, kind, document.slug, document, index, present.version, fields)


def _only_there(kind: Kind, documents: Sequence[DocumentT], there: Mapping[str, Present]) -> Iterator[Change]:
    wanted = {document.slug for document in documents}
    for slug, present in sorted(there.items()):
        if slug not in wanted:
            yield Change(Action.DELETE, kind, slug, version=present.version)


def _changed_fields(before: Monitor | Page, after: Monitor | Page) -> Iterator[FieldChange]:
    written_before = before.model_dump(mode="json", exclude_unset=True)
    written_after = after.model_dump(mode="json", exclude_unset=True)
    for name, field in type(after).model_fields.items():
        if getattr(before, name) != getattr(after, name):
            written = field.alias or name
            yield FieldChange(written, written_before.get(written), written_after.get(written))
