"""Errors of `/v1` as RFC 9457 problems: one shape, a closed list of kinds, every wrong field at once."""

from collections.abc import Iterable, MutableMapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.routing import BaseRoute, Match

from query.asgi import Asgi, Receive, Scope, Send
from schemas.documents import message_of
from schemas.monitors import Document

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
BODY: Final = "body"


class ProblemKind(Enum):
    """Every kind of problem: its name (the end of `type`), its status, its title."""

    BAD_REQUEST = ("bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be read")
    NO_KEY = ("no-key", HTTPStatus.UNAUTHORIZED, "An API key is needed")
    FORBIDDEN = ("forbidden", HTTPStatus.FORBIDDEN, "The API key may not do this")
    NOT_FOUND = ("not-found", HTTPStatus.NOT_FOUND, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "The method is not allowed here")
    CONFLICT = ("conflict", HTTPStatus.CONFLICT, "It conflicts with what is there")
    VERSION_MISMATCH = ("version-mismatch", HTTPStatus.PRECONDITION_FAILED, "It was changed in the meantime")
    TOO_SLOW = ("too-slow", HTTPStatus.REQUEST_TIMEOUT, "The request comes too slowly")
    TOO_LARGE = ("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
    UNSUPPORTED = ("unsupported", HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body's type or encoding is not supported")
    INVALID = ("invalid", HTTPStatus.UNPROCESSABLE_ENTITY, "Some fields are not valid")
    LIMIT_REACHED = ("limit-reached", HTTPStatus.UNPROCESSABLE_ENTITY, "A limit of the workspace is reached")
    FAILED = ("failed", HTTPStatus.INTERNAL_SERVER_ERROR, "The service itself failed")
    TOO_MANY_REQUESTS = ("too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests")
    LOG_AWAY = ("log-away", HTTPStatus.SERVICE_UNAVAILABLE, "The log cannot be written now")
    BUSY = ("busy", HTTPStatus.SERVICE_UNAVAILABLE, "The service has too much to do now")
    STORE_AWAY = ("store-away", HTTPStatus.SERVICE_UNAVAILABLE, "The store cannot be read now")
    OLD_HTTP = ("old-http", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "A newer version of HTTP is needed")
    QUERY_TOO_EXPENSIVE = ("query-too-expensive", HTTPStatus.UNPROCESSABLE_ENTITY, "The query would take too long")

    def __init__(self, slug: str, status: HTTPStatus, title: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The problem's `type`."""
        return f"urn:pulse:problem:{self.slug}"


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    detail: Annotated[str, Field(examples=["not a duration: '3x'; write a number and a unit, like 30s"])]
    pointer: Annotated[str, Field(description="A JSON pointer into the body.", examples=["#/interval"])] = ""
    parameter: Annotated[str, Field(description="The parameter, where it is not in the body.")] = ""


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: Annotated[str, Field(examples=[ProblemKind.INVALID.uri])]
    title: Annotated[str, Field(examples=[ProblemKind.INVALID.title])]
    status: Annotated[int, Field(examples=[422])]
    detail: Annotated[str, Field(examples=["#/interval: not a duration: '3x'"])]
    instance: Annotated[str, Field(examples=["/v1/monitors"])]
    errors: list[FieldProblem] = []


class ProblemError(Exception):
    """Raised anywhere below a route of `/v1`; `detail` says what, where, and what to do."""

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        errors: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}


def problem_response(request_path: str, error: ProblemError) -> Response:
    """The answer to a request that ended in a problem."""
    problem = Problem(
        type=error.kind.uri,
        title=error.kind.title,
        status=error.kind.status,
        detail=error.detail,
        instance=request_path,
        errors=error.errors,
    )
    return Response(
        orjson.dumps(problem.model_dump(exclude_defaults=True)),
        status_code=error.kind.status,
        headers=error.headers,
        media_type=PROBLEM_MEDIA_TYPE,
    )


def invalid(errors: Sequence[FieldProblem]) -> ProblemError:
    """A 422 that tells all fields; its `detail` repeats them for those who read only that."""
    told = "; ".join(f"{error.pointer or error.parameter}: {error.detail}" for error in errors[:10])
    return ProblemError(ProblemKind.INVALID, told, errors)


def field_problem(error: ErrorDetails, model: type[BaseModel]) -> FieldProblem:
    """Pydantic's error about a body of `model`."""
    return FieldProblem(detail=message_of(error, model), pointer=json_pointer(error["loc"]))


def json_pointer(location: Sequence[str | int]) -> str:
    """The place as a JSON pointer in a fragment: `#/assertions/0/jsonpath`."""
    return "#" + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


_RETRIED: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_RETRY_AFTER: Final = {"description": "Seconds to wait.", "schema": {"type": "integer"}, "required": True}


def problems(*kinds: ProblemKind) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may end in these problems, for the OpenAPI document."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in kinds:
        status = int(kind.status)
        told = by_status[status]["description"] + "; " if status in by_status else ""
        by_status[status] = {
            "description": told + kind.title,
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if kind.status in _RETRIED:
            by_status[status]["headers"] = {"Retry-After": _RETRY_AFTER}
    return by_status


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the application in this one shape, and tell the shape in its OpenAPI document."""
    _tell_shape(app)

    @app.exception_handler(ProblemError)
    async def _on_problem(request: Request, error: ProblemError) -> Response:
        return problem_response(request.url.path, error)

    @app.exception_handler(RequestValidationError)
    async def _on_invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_response(request.url.path, _of_validation(request, error))

    @app.exception_handler(Exception)
    async def _on_failure(request: Request, error: Exception) -> Response:
        told = ProblemError(ProblemKind.FAILED, "this is not the request's fault; the log of the service says why")
        return problem_response(request.url.path, told)

    @app.exception_handler(HTTPException)
    async def _on_http(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return problem_response(request.url.path, _too_large(request.scope))
        kind = _KIND_OF_STATUS.get(error.status_code)
        if kind is None:
            raise error
        headers = dict(error.headers or {})
        if kind is ProblemKind.METHOD_NOT_ALLOWED:
            headers["Allow"] = _allowed(request)  # Starlette tells the methods of the first route alone
        return problem_response(request.url.path, ProblemError(kind, str(error.detail), headers=headers))


def _allowed(request: Request) -> str:
    """The methods of an address; HEAD is answered wherever GET is."""
    routes: Sequence[BaseRoute] = request.app.routes
    ways = {method: {**request.scope, "method": method} for method in ("GET", "POST", "PUT", "DELETE")}
    found = [each for each, way in ways.items() if any(route.matches(way)[0] is Match.FULL for route in routes)]
    return ", ".join("GET, HEAD" if each == "GET" else each for each in found)


class TellTooLarge:
    """ASGI middleware around the application, which refuses a body by its announced length in words of its own."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, as ASGI has it."""
        refused = False

        async def told(message: MutableMapping[str, Any]) -> None:
            nonlocal refused
            if message.get("status") == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and _is_plain(message["headers"]):
                refused = True
                await problem_response(scope["path"], _too_large(scope))(scope, receive, send)
            elif not refused:
                await send(message)

        await self._app(scope, receive, told)


def _is_plain(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in headers)


def _too_large(scope: Scope) -> ProblemError:
    allowed: int = scope[MAX_BODY_SIZE_SCOPE_KEY]
    return ProblemError(ProblemKind.TOO_LARGE, f"a body has {allowed >> 20} MB at most here")


_OF_EVERY_KEY: Final = (
    ProblemKind.NO_KEY,
    ProblemKind.FORBIDDEN,
    ProblemKind.TOO_MANY_REQUESTS,
    ProblemKind.LOG_AWAY,
)
"""Where a key is needed: there is none, it may not, it is sent too often, and keys are not read yet."""


def _tell_shape(app: FastAPI) -> None:
    without_problems = app.openapi

    def openapi() -> dict[str, Any]:
        document = without_problems()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        shapes = document.setdefault("components", {}).setdefault("schemas", {})
        shapes |= schema.pop("$defs") | {Problem.__name__: schema}
        for operation in (each for path in document["paths"].values() for each in path.values()):
            if operation.get("security"):
                for status, told in problems(*_OF_EVERY_KEY).items():
                    operation["responses"].setdefault(str(status), told)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


_KIND_OF_STATUS: Final = {
    400: ProblemKind.BAD_REQUEST,
    404: ProblemKind.NOT_FOUND,
    405: ProblemKind.METHOD_NOT_ALLOWED,
}


def _of_validation(request: Request, error: RequestValidationError) -> ProblemError:
    found: list[ErrorDetails] = list(error.errors())
    if any(e["type"] == "json_invalid" for e in found):
        return ProblemError(ProblemKind.BAD_REQUEST, f"the body is not JSON: {found[0]['ctx']['error']}")
    content_type = request.headers.get("content-type", "")
    if "json" not in content_type and any(e["loc"] == (BODY,) and e["type"] != "missing" for e in found):
        told = f"a body is JSON; say so with Content-Type: application/json, and not {content_type[:100]!r}"
        return ProblemError(ProblemKind.BAD_REQUEST, told)
    return invalid([_of_part(e, _body_model(request)) for e in found])


def _of_part(error: ErrorDetails, model: type[BaseModel]) -> FieldProblem:
    part, *inside = error["loc"]
    if part == BODY:
        located: ErrorDetails = {**error, "loc": tuple(inside)}
        return field_problem(located, model)
    return FieldProblem(detail=message_of(error, Document), parameter=str(inside[0]) if inside else str(part))


def _body_model(request: Request) -> type[BaseModel]:
    field = getattr(request.scope.get("route"), "body_field", None)
    annotation = getattr(getattr(field, "field_info", None), "annotation", None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else Document
