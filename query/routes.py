"""The public face in FastAPI: its description in OpenAPI, and the answers to what is mistaken.

What is found is answered before FastAPI is reached (query/public.py); these routes say what was not found or not
valid, and give the same answers when something else calls them.
"""

from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, RedirectResponse

from query.answers import OPEN_TO_ALL, Answers
from query.assets import asset_url
from query.badges import MAX_LABEL, BadgeKind
from query.context import Context, CurrentContext
from query.page import render_not_found
from query.problems import ProblemError, ProblemKind, problems
from query.snapshots import PLAIN, Headers, Reply
from query.status_document import StatusDocument, Window
from query.targets import DEFAULT_WINDOW, Target, file_target

public = APIRouter(tags=["public"])

PageSlug = Annotated[str, Path(description="The page's slug.", examples=["acme"])]
MonitorSlug = Annotated[str, Path(description="The slug of a monitor on the page.", examples=["api"])]
BadgeWindow = Annotated[Window, Query(description="The window of an uptime badge.")]
BadgeLabel = Annotated[str, Query(max_length=MAX_LABEL, description="What the left half says instead.")]
Extension = Literal["svg", "json"]

Responses = dict[int | str, dict[str, Any]]

NOT_KEPT: Final = {"cache-control": "no-cache"}
COME_BACK: Final = {"retry-after": "2"}
NO_PAGE: Final[Responses] = {
    404: {"content": {"text/html": {}}, "description": "There is no such page."},
    503: {"content": {"text/html": {}}, "description": "Which pages there are could not be read yet."},
}
NOTHING: Final[Responses] = problems(ProblemKind.NOT_FOUND, ProblemKind.LOG_AWAY)
HTML: Final[Responses] = {200: {"content": {"text/html": {}}, "description": "The page."}, **NO_PAGE}
FEED: Final[Responses] = {
    200: {
        "content": {"application/atom+xml": {}, "application/rss+xml": {}, "text/calendar": {}},
        "description": "The feed.",
    },
    **NO_PAGE,
    **problems(ProblemKind.INVALID),
}
BADGE: Final[Responses] = {
    200: {
        "content": {"image/svg+xml": {}, "application/json": {}},
        "description": "The badge; `.json` is shields' endpoint schema.",
    },
    **NOTHING,
    **problems(ProblemKind.INVALID),
}


@public.get("/p/{slug}", response_class=HTMLResponse, responses=HTML, summary="The status page")
async def page(request: Request, slug: PageSlug) -> Response:
    """HTML that works without JavaScript."""
    return _answer(request, Target("page", slug)) or _no_page(request)


@public.get(
    "/status/{slug}",
    response_model=StatusDocument,
    responses={**NOTHING, **problems(ProblemKind.INVALID)},
    summary="Everything that the status page shows",
)
async def status(
    request: Request, slug: PageSlug, v: Annotated[Literal["1"], Query(description="The shape's version.")] = "1"
) -> Response:
    """No key is needed, and pages of other origins may read it."""
    answer = _answer(request, Target("status", slug))
    if answer is None:
        raise _nothing(request, f"there is no page {slug[:64]!r}")
    return answer


@public.get(
    "/p/{slug}/api/v2/{file:path}",
    responses={200: {"content": {"application/json": {}}}, **NOTHING},
    response_model=None,
    summary="The page in the shape of Statuspage's API v2",
)
async def statuspage_v2(
    request: Request, slug: PageSlug, file: Annotated[str, Path(examples=["summary.json", "incidents.json"])]
) -> Response:
    """`summary.json`, `status.json`, `components.json`, `incidents.json`, `scheduled-maintenances.json` and theirs."""
    target = file_target(slug, f"api/v2/{file}")
    answer = _answer(request, target) if target else None
    if answer is None:
        raise _nothing(request, f"there is no {file[:64]!r} of a page {slug[:64]!r}")
    return answer


@public.get(
    "/p/{slug}/{feed}",
    responses=FEED,
    response_class=Response,
    summary="The page's incidents and maintenances as a feed",
)
async def page_feed(
    request: Request, slug: PageSlug, feed: Literal["history.atom", "history.rss", "maintenance.ics"]
) -> Response:
    """One entry an incident or a maintenance, the newest first; the calendar has maintenances only."""
    return _answer(request, Target("feed", slug, file=feed)) or _no_page(request)


@public.get("/badges/{slug}/{badge}.{extension}", responses=BADGE, summary="A badge of a whole page")
async def page_badge(
    request: Request,
    slug: PageSlug,
    badge: Literal["status", "uptime"],
    extension: Extension,
    window: BadgeWindow = DEFAULT_WINDOW,
    label: BadgeLabel = "",
) -> Response:
    """The worst status of its monitors, or their uptime together."""
    return _badge(request, Target(extension, slug, "", BadgeKind(badge), window, label))


@public.get("/badges/{slug}/{monitor}/{badge}.{extension}", responses=BADGE, summary="A badge of one monitor")
async def monitor_badge(
    request: Request,
    slug: PageSlug,
    monitor: MonitorSlug,
    badge: BadgeKind,
    extension: Extension,
    window: BadgeWindow = DEFAULT_WINDOW,
    label: BadgeLabel = "",
) -> Response:
    """Its status, its uptime, or the 95th percentile of its latency over 24 hours."""
    return _badge(request, Target(extension, slug, monitor, badge, window, label))


@public.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """Swagger UI, from this service alone."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="PulseAPI",
        swagger_js_url=asset_url("swagger-ui-bundle.js"),
        swagger_css_url=asset_url("swagger-ui.css"),
        swagger_favicon_url="data:,",
    )


@public.get("/", include_in_schema=False)
async def root(request: Request, context: CurrentContext) -> Response:
    """A custom domain has its page here, the installation's own name leads to what it can do, others lead nowhere."""
    own = urlsplit(context.settings.base_url).hostname
    return RedirectResponse("/docs") if request.url.hostname in (own, "localhost") else _no_page(request)


@public.get("/healthz", tags=["service"], summary="The process runs")
async def healthz() -> dict[str, str]:
    """Says nothing about what the service depends on: see `/readyz`."""
    return {"status": "ok"}


@public.get(
    "/readyz",
    tags=["service"],
    summary="The service can do all of its work",
    responses={503: {"description": "What is missing, in words."}},
)
async def readyz(context: CurrentContext, response: Response) -> dict[str, Any]:
    """Pages and badges are served even while this answers 503."""
    missing = await context.missing()
    response.status_code = 503 if missing else 200
    return {"status": "not ready" if missing else "ready", "missing": missing}


def _no_page(request: Request) -> Response:
    """The page that says that there is none, or that nobody can tell yet, with the status that says so too."""
    context: Context = request.app.state.context
    if context.catalog.caught_up.is_set():
        return HTMLResponse(render_not_found(pages_are_known=True), 404, NOT_KEPT)
    return HTMLResponse(render_not_found(pages_are_known=False), 503, NOT_KEPT | COME_BACK)


def _badge(request: Request, target: Target) -> Response:
    answer = _answer(request, target)
    if answer is None:
        raise _nothing(request, f"there is no badge at {request.url.path[:200]}")
    return answer


def _nothing(request: Request, detail: str) -> ProblemError:
    """The same for programs. A script of any origin may read why, as it may read what is there."""
    context: Context = request.app.state.context
    if context.catalog.caught_up.is_set():
        return ProblemError(ProblemKind.NOT_FOUND, detail, headers=_headers(OPEN_TO_ALL))
    return ProblemError(ProblemKind.LOG_AWAY, context.catalog.trouble, headers=_headers(OPEN_TO_ALL) | COME_BACK)


def _answer(request: Request, target: Target) -> Response | None:
    answers: Answers = request.app.state.answers
    snapshot = answers.find(target)
    if snapshot is None:
        return None
    reply = Reply.of(snapshot, PLAIN)
    return Response(reply.body, headers=_headers(reply.headers()))


def _headers(headers: Headers) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in headers}
