"""`/v1/keys`: create (the key is shown once), list and revoke API keys."""

import time
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from query.catalog import Entry
from query.context import CurrentContext
from query.keys import Admin, new_key
from query.management.models import KeyDetail, KeyList, NewKeyDetail
from query.management.writes import delete, write, writing
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from query.times import iso
from query.windows import LATEST
from schemas.monitors import Key, KeyScope
from schemas.topics import KEYS

router: Final = APIRouter(prefix="/keys", tags=["keys"])
ERRORS: Final = (ProblemKind.NO_KEY, ProblemKind.FORBIDDEN, ProblemKind.LOG_AWAY, ProblemKind.INVALID)


class NewKey(BaseModel):
    """What a key is to be."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=200, examples=["deploys"])] = ""
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=5, examples=[["read", "write"]])]
    expires_at: Annotated[AwareDatetime | None, Field(le=LATEST, examples=["2027-01-01T00:00:00Z"])] = None


@router.post(
    "",
    operation_id="create_key",
    status_code=201,
    responses=problems(*ERRORS, ProblemKind.BAD_REQUEST, ProblemKind.TOO_LARGE, ProblemKind.LIMIT_REACHED),
)
async def create_key(context: CurrentContext, caller: Admin, wanted: NewKey) -> NewKeyDetail:
    """Make a key. Its text is in this answer and nowhere else: only a hash of it is kept."""
    expires_at = _expiry_ms(wanted.expires_at)
    allowed = context.settings.max_keys
    if len(context.catalog.keys.ids_of(caller.workspace)) >= allowed:
        raise ProblemError(ProblemKind.LIMIT_REACHED, f"a workspace has {allowed} keys at most; revoke some")
    text, kept = new_key(wanted.name, sorted(set(wanted.scopes)), expires_at)
    entry = await write(context, caller, KEYS, kept.id, kept)
    return NewKeyDetail(**_view(entry).model_dump(), key=text)


@router.get("", operation_id="list_keys", responses=problems(*ERRORS))
async def list_keys(context: CurrentContext, caller: Admin) -> KeyList:
    """The workspace's keys, the oldest first, without their secrets."""
    entries = sorted(context.catalog.keys.of_workspace(caller.workspace), key=lambda entry: entry.version)
    return KeyList(keys=[_view(entry) for entry in entries])


@router.delete(
    "/{key_id}", operation_id="revoke_key", status_code=204, responses=problems(*ERRORS, ProblemKind.NOT_FOUND)
)
async def revoke_key(context: CurrentContext, caller: Admin, key_id: str) -> None:
    """Revoke a key: from this answer on it opens nothing, at other query processes within a second."""
    async with writing(context, KEYS, key_id):
        entry = context.catalog.key(key_id)
        if entry is None or entry.workspace != caller.workspace:
            raise ProblemError(ProblemKind.NOT_FOUND, f"there is no key {key_id}")
        await delete(context, caller, KEYS, key_id)


def _expiry_ms(expires_at: datetime | None) -> int | None:
    if expires_at is None:
        return None
    if expires_at.timestamp() <= time.time():
        raise invalid([FieldProblem(detail="this is in the past", pointer="#/expires_at")])
    return int(expires_at.timestamp() * 1000)


def _view(entry: Entry[Key]) -> KeyDetail:
    key = entry.document
    return KeyDetail(
        id=key.id,
        name=key.name,
        scopes=key.scopes,
        created_at=iso(entry.at),
        created_by=entry.by,
        expires_at=None if key.expires_at is None else iso(key.expires_at),
    )
