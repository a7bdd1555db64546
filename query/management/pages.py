"""`/v1/pages`: create, read, list, replace and delete."""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, Response

from query.catalog import Entry
from query.context import Context, CurrentContext
from query.cursors import Cursor
from query.keys import Caller, Reader, Writer
from query.management.lists import Limit, WithDocument, listed
from query.management.models import PageDetail, PageList
from query.management.versions import IfMatch, expect_version, versioned
from query.management.writes import delete, write, writing
from query.problems import FieldProblem, ProblemError, ProblemKind, invalid, problems
from schemas.monitors import Page, monitor_id
from schemas.topics import MONITORS, PAGES

router: Final = APIRouter(prefix="/pages", tags=["pages"])
READ: Final = (ProblemKind.NO_KEY, ProblemKind.FORBIDDEN, ProblemKind.INVALID, ProblemKind.LOG_AWAY)
WRITE: Final = (*READ, ProblemKind.BAD_REQUEST, ProblemKind.TOO_LARGE, ProblemKind.CONFLICT)


@router.get("", operation_id="list_pages", responses=problems(*READ), response_model=PageList)
async def list_pages(
    context: CurrentContext, caller: Reader, cursor: Cursor = None, limit: Limit = 100, document: WithDocument = False
) -> Response:
    """The workspace's status pages by slug."""
    entries, next_cursor = listed(context.catalog.pages, caller.workspace, cursor, limit)
    lines = [_line(context, entry) for entry in entries]
    if document:
        for line, entry in zip(lines, entries, strict=True):
            line["page"] = entry.document.model_dump(mode="json", exclude_unset=True)
    return Response(orjson.dumps({"pages": lines, "next_cursor": next_cursor}), media_type="application/json")


@router.post(
    "",
    operation_id="create_page",
    status_code=201,
    responses=problems(*WRITE, ProblemKind.LIMIT_REACHED),
    response_model=PageDetail,
)
async def create_page(context: CurrentContext, caller: Writer, page: Page) -> Response:
    """Create a status page of monitors that exist. It is public at once. The same document again: the same answer."""
    async with writing(context, PAGES, page.slug, *page.domains, reads=MONITORS):
        entry = context.catalog.page(page.slug) or await _create(context, caller, page)
        if (entry.workspace, entry.document) != (caller.workspace, page):
            raise _taken(page.slug)
        return _answer(context, entry, 201)


@router.get(
    "/{slug}", operation_id="read_page", responses=problems(*READ, ProblemKind.NOT_FOUND), response_model=PageDetail
)
async def read_page(context: CurrentContext, caller: Reader, slug: str) -> Response:
    """A status page as it was written."""
    return _answer(context, _found(context, caller, slug))


@router.put(
    "/{slug}",
    operation_id="put_page",
    responses=problems(*WRITE, ProblemKind.VERSION_MISMATCH, ProblemKind.LIMIT_REACHED)
    | {201: {"model": PageDetail, "description": "There was none, and it was created."}},
    response_model=PageDetail,
)
async def put_page(
    context: CurrentContext, caller: Writer, slug: str, page: Page, if_match: IfMatch = None
) -> Response:
    """Replace a status page, or create it. The same document again changes nothing, its version included."""
    if page.slug != slug:
        raise invalid([FieldProblem(detail=f"the address says {slug}", pointer="#/slug")])
    async with writing(context, PAGES, slug, *page.domains, reads=MONITORS):
        present = context.catalog.page(slug)
        if present is not None and present.workspace != caller.workspace:
            raise _taken(slug)
        if present is not None and present.document == page:
            return _answer(context, present)
        expect_version(if_match, present.version if present else None)
        if present is None:
            return _answer(context, await _create(context, caller, page), 201)
        _check(context, caller, page)
        return _answer(context, await write(context, caller, PAGES, slug, page))


@router.delete(
    "/{slug}",
    operation_id="delete_page",
    status_code=204,
    responses=problems(*READ, ProblemKind.NOT_FOUND, ProblemKind.VERSION_MISMATCH),
)
async def delete_page(context: CurrentContext, caller: Writer, slug: str, if_match: IfMatch = None) -> None:
    """Delete a status page. Its monitors stay."""
    async with writing(context, PAGES, slug):
        expect_version(if_match, _found(context, caller, slug).version)
        await delete(context, caller, PAGES, slug)


async def _create(context: Context, caller: Caller, page: Page) -> Entry[Page]:
    allowed = context.settings.max_pages
    if len(context.catalog.pages.ids_of(caller.workspace)) >= allowed:
        raise ProblemError(ProblemKind.LIMIT_REACHED, f"a workspace has {allowed} pages at most")
    _check(context, caller, page)
    return await write(context, caller, PAGES, page.slug, page)


def _check(context: Context, caller: Caller, page: Page) -> None:
    """Raises ProblemError for monitors that do not exist and domains that are another page's, or the installation's."""
    if wrong := [*_unknown_monitors(context, caller, page), *_taken_domains(context, page)]:
        raise invalid(wrong)


def _unknown_monitors(context: Context, caller: Caller, page: Page) -> Iterator[FieldProblem]:
    for i, group in enumerate(page.groups):
        for j, slug in enumerate(group.monitors):
            if context.catalog.monitor(monitor_id(caller.workspace, slug)) is None:
                yield FieldProblem(detail=f"there is no monitor {slug}", pointer=f"#/groups/{i}/monitors/{j}")


def _taken_domains(context: Context, page: Page) -> Iterator[FieldProblem]:
    own = urlsplit(context.settings.base_url).hostname
    for i, domain in enumerate(page.domains):
        owner = context.catalog.page_of_domain(domain)
        if domain == own:
            detail = f"{domain} is the installation's own name: nothing but the page would be left there"
            yield FieldProblem(detail=detail, pointer=f"#/domains/{i}")
        elif owner is not None and owner.id != page.slug:
            yield FieldProblem(detail=f"{domain} is the domain of another page", pointer=f"#/domains/{i}")


def _found(context: Context, caller: Caller, slug: str) -> Entry[Page]:
    entry = context.catalog.page(slug)
    if entry is None or entry.workspace != caller.workspace:
        raise ProblemError(ProblemKind.NOT_FOUND, f"there is no page {slug}")
    return entry


def _taken(slug: str) -> ProblemError:
    return ProblemError(ProblemKind.CONFLICT, f"there is a page {slug} already; a page's slug is unique")


def _line(context: Context, entry: Entry[Page]) -> dict[str, Any]:
    page = entry.document
    return {
        "slug": page.slug,
        "title": page.title or page.slug,
        "url": f"{context.settings.base_url}/p/{page.slug}",
        "version": entry.version,
    }


def _answer(context: Context, entry: Entry[Page], status_code: int = 200) -> Response:
    return versioned("page", entry, _line(context, entry), status_code)
