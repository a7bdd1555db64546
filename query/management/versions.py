"""Versions as HTTP has them: a document's version is its ETag, and `If-Match` makes a change of only this one.

What is already as it shall be is never a mismatch: the answer that said so may have been lost on its way.
"""

from typing import Annotated, Any

from fastapi import Header, Response
from fastapi.responses import JSONResponse

from query.catalog import DocumentT, Entry
from query.problems import ProblemError, ProblemKind
from query.times import iso

IfMatch = Annotated[
    str | None,
    Header(
        description='Change only this version (the `ETag` of a read): `"17"`; `*`: only one that exists. '
        "Of two writes that two query processes take in the same milliseconds the later one stands."
    ),
]


def versioned(kind: str, entry: Entry[DocumentT], told: dict[str, Any], status_code: int = 200) -> Response:
    """The answer to a read or a write: what is told of the document, and itself under its kind ("page")."""
    view = told | {
        "version": entry.version,
        "updated_at": iso(entry.at),
        "updated_by": entry.by,
        kind: entry.document.model_dump(mode="json", exclude_unset=True),
    }
    headers = {"ETag": f'"{entry.version}"'}
    if status_code == 201:
        headers["Location"] = f"/v1/{kind}s/{told['slug']}"
    return JSONResponse(view, status_code, headers)


def expect_version(if_match: str | None, version: int | None) -> None:
    """Raises ProblemError when the present version, None for no document, is not the one that was asked for."""
    if if_match is None:
        return
    wanted = {part.strip().removeprefix("W/").strip('"') for part in if_match.split(",")}
    if version is None or not ({"*", str(version)} & wanted):
        there = "there is none" if version is None else f'it is "{version}"'
        raise ProblemError(ProblemKind.VERSION_MISMATCH, f"the version is not {if_match}; now {there}")
