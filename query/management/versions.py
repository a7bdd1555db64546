"""Versions as HTTP has them: a document's version is its ETag, and `If-Match` makes a change of only this one."""

from typing import Annotated

from fastapi import Header

from query.problems import ProblemError, ProblemKind

IfMatch = Annotated[
    str | None,
    Header(description='Change only this version (the `ETag` of a read): `"17"`; `*`: only one that exists.'),
]


def etag(version: int) -> dict[str, str]:
    """The header of an answer that tells a document."""
    return {"ETag": f'"{version}"'}


def expect_version(if_match: str | None, version: int | None) -> None:
    """Raises ProblemError when the present version, None for no document, is not the one that was asked for."""
    if if_match is None:
        return
    wanted = {part.strip().removeprefix("W/").strip('"') for part in if_match.split(",")}
    if version is None or not ({"*", str(version)} & wanted):
        there = "there is none" if version is None else f'it is "{version}"'
        raise ProblemError(ProblemKind.VERSION_MISMATCH, f"the version is not {if_match}; now {there}")
