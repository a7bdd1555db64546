"""A request of ClickHouse's HTTP interface, parsed at the border: who, what, with which settings."""

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from infra.embedded.clickhouse.errors import Code, refusal

NOT_SETTINGS: Final = frozenset(
    {
        "query",
        "database",
        "user",
        "password",
        "session_id",
        "session_timeout",
        "session_check",
        "query_id",
        "quota_key",
        "stacktrace",
        "role",
        "buffer_size",
        "wait_end_of_query",
        "default_format",
        "compress",
        "decompress",
        "client_protocol_version",
        "add_http_cors_header",
        "enable_http_compression",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
    }
)
"""Parameters that speak to the HTTP interface, not to the engine."""

_SETTING_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TRUE: Final = frozenset({"1", "true"})
DEFAULT_SESSION_TIMEOUT_S: Final = 60.0
MAX_SESSION_TIMEOUT_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A file of a multipart request, which the query sees as a table."""

    name: str
    data_format: str
    structure: str
    data: bytes


@dataclass(frozen=True, slots=True)
class SessionWish:
    """The session that a request wants to run in."""

    session_id: str
    timeout_s: float
    must_exist: bool


@dataclass(frozen=True, slots=True)
class Request:
    """All that a request says but its body."""

    method: str
    path: str
    headers: dict[str, str]
    fields: dict[str, str]

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password: from the X-ClickHouse headers, basic authorization or the URL. Raises EngineError."""
        if "x-clickhouse-user" in self.headers:
            return self.headers["x-clickhouse-user"], self.headers.get("x-clickhouse-key", "")
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise refusal(Code.AUTHENTICATION_FAILED, "Invalid HTTP basic authorization.") from None
            return user, password
        return self.fields.get("user", "default"), self.fields.get("password", "")

    @property
    def asks(self) -> bool:
        """Whether there is a query; everything else is answered as `/ping` is."""
        return self.path not in ("/ping", "/replicas_status") and (self.method == "POST" or "query" in self.fields)

    @property
    def query(self) -> bytes:
        """The SQL, or its beginning, from the URL or the form."""
        return self.fields.get("query", "").encode("utf-8", "surrogateescape")

    @property
    def database(self) -> str | None:
        """The database that the query names, if any."""
        return self.fields.get("database") or self.headers.get("x-clickhouse-database") or None

    @property
    def role(self) -> str:
        """The role that the query asks for, or empty."""
        return self.fields.get("role", "")

    @property
    def query_id(self) -> str:
        """The id that the client gave, or a new one."""
        return self.fields.get("query_id") or self.headers.get("x-clickhouse-query-id") or str(uuid.uuid4())

    @property
    def default_format(self) -> str:
        """The output format where the statement names none."""
        return self.fields.get("default_format") or self.headers.get("x-clickhouse-format") or "TabSeparated"

    @property
    def session(self) -> SessionWish | None:
        """The session to run in. Raises EngineError for a bad timeout."""
        session_id = self.fields.get("session_id")
        if not session_id:
            return None
        try:
            timeout_s = float(self.fields.get("session_timeout", DEFAULT_SESSION_TIMEOUT_S))
        except ValueError:
            raise refusal(Code.BAD_ARGUMENTS, "Invalid session timeout: give seconds.") from None
        return SessionWish(session_id, min(timeout_s, MAX_SESSION_TIMEOUT_S), self.says("session_check"))

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters, `param_name=value`, by their names. Raises EngineError for what is not a name."""
        parameters = {name[6:]: value for name, value in self.fields.items() if name.startswith("param_")}
        for name in parameters:
            if not _SETTING_NAME.fullmatch(name):
                raise refusal(Code.BAD_ARGUMENTS, f"'{name}' is not a parameter's name: use letters, digits and _.")
        return parameters

    def settings(self, external: list[ExternalTable]) -> dict[str, str]:
        """Settings for the engine. Raises EngineError for what is not a setting's name."""
        skipped = {f"{table.name}_{part}" for table in external for part in ("format", "types", "structure")}
        settings = {
            name: value
            for name, value in self.fields.items()
            if name not in NOT_SETTINGS and name not in skipped and not name.startswith("param_")
        }
        for name in settings:
            if not _SETTING_NAME.fullmatch(name):
                raise refusal(Code.UNKNOWN_SETTING, f"Unknown setting '{name}'.")
        return settings

    def says(self, name: str, default: str = "0") -> bool:
        """Whether a switch of the HTTP interface is on."""
        return self.fields.get(name, default).lower() in _TRUE

    def with_fields(self, more: dict[str, str]) -> "Request":
        """The same request with a form's fields."""
        return Request(self.method, self.path, self.headers, self.fields | more)


def read_request(scope: dict[str, Any]) -> Request:
    """The request of an ASGI scope."""
    query_string = scope["query_string"].decode("latin-1")
    return Request(
        method=scope["method"],
        path=scope["path"],
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        fields=_fields(query_string),
    )


def _fields(encoded: str) -> dict[str, str]:
    return dict(parse_qsl(encoded, keep_blank_values=True, errors="surrogateescape", max_num_fields=10_000))


def read_form(request: Request, body: bytes) -> tuple[Request, list[ExternalTable]]:
    """Take the fields and files out of a form's body. Raises EngineError."""
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for name, is_file, value in _parts(request.headers["content-type"], body):
        if is_file:
            files[name] = value
        else:
            fields[name] = value.decode("utf-8", "surrogateescape")
    request = request.with_fields(fields)
    return request, [_external(request, name, data) for name, data in files.items()]


def is_form(request: Request) -> bool:
    """Whether the body is a form; one called urlencoded is plain SQL: curl says so of anything it posts."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


_BOUNDARY: Final = re.compile(r'boundary="?([^";,]{1,200})"?')
_PART_NAME: Final = re.compile(r'\bname="((?:[^"\\]|\\.)*)"')


def _parts(content_type: str, body: bytes) -> list[tuple[str, bool, bytes]]:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        raise refusal(Code.BAD_ARGUMENTS, "A multipart request without a boundary.")
    parts = []
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary[1].encode("latin-1"))[1:-1]:
        head, separator, value = part.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head.decode("utf-8", "surrogateescape"))
        if not separator or name is None:
            raise refusal(Code.BAD_ARGUMENTS, "A part of the multipart request has no name.")
        parts.append((name[1], b"filename=" in head, value))
    return parts


def _external(request: Request, name: str, data: bytes) -> ExternalTable:
    structure = request.fields.get(f"{name}_structure")
    if structure is None:
        types = request.fields.get(f"{name}_types")
        if types is None:
            raise refusal(Code.BAD_ARGUMENTS, f"The external table {name} needs {name}_structure or {name}_types.")
        structure = ", ".join(f"_{number} {kind}" for number, kind in enumerate(_split_types(types), 1))
    return ExternalTable(name, request.fields.get(f"{name}_format", "TabSeparated"), structure, data)


def _split_types(types: str) -> list[str]:
    """`A, B(C, D)` is two types."""
    found, depth, start = [], 0, 0
    for position, character in enumerate(types):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append(types[start:position])
            start = position + 1
    return [part.strip() for part in [*found, types[start:]]]
