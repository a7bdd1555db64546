"""The monitor model: what users write in `pulse.yaml` and send to `/v1`, and what `monitors` carries.

Configuration is Pydantic, unlike the events of the hot path: one model gives every error of a document at
once with its place, OpenAPI, and the wire. Reading from the log ignores unknown fields (`Record.from_log`);
what a person writes must not have any.
"""

import json
import re
from enum import StrEnum
from typing import Annotated, Final, Generic, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

from schemas.durations import DurationMs, lasting
from schemas.enums import Severity
from schemas.events import LONGEST_RUN
from schemas.expressions import compile_jsonpath, compile_regex
from schemas.moments import Moment
from schemas.urls import BAD_PORTS, CHECKED, HTTP, parse_url

MIN_INTERVAL_MS: Final = 1_000
MAX_INTERVAL_MS: Final = 86_400_000
MAX_TIMEOUT_MS: Final = 60_000
DELIVERED_WITHIN_MS: Final = 15_000
"""From a check's end until its result is folded, if nothing is wrong."""
MAX_ASSERTIONS: Final = 50
MAX_VALUE_BYTES: Final = 10_000
MAX_MAINTENANCE_MS: Final = 31 * 86_400_000
DEFAULT_WORKSPACE: Final = "default"

SLUG_PATTERN: Final = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
Slug = Annotated[str, Field(pattern=SLUG_PATTERN, examples=["api"])]
"""Lower case letters, digits and inner hyphens, 64 characters at most."""


def _checked_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("half a surrogate pair is not Unicode text") from None
    return text


def _checked_url(text: str) -> str:
    parse_url(text, CHECKED)
    return text


def _checked_jsonpath(text: str) -> str:
    compile_jsonpath(_checked_text(text))
    return text


def _checked_regex(text: str) -> str:
    compile_regex(_checked_text(text))
    return text


Text = Annotated[str, AfterValidator(_checked_text)]
TargetUrl = Annotated[
    str,
    AfterValidator(_checked_url),
    Field(examples=["https://api.example.com/health"], json_schema_extra={"format": "uri"}),
]
JsonPath = Annotated[str, AfterValidator(_checked_jsonpath), Field(examples=["$.database"])]
Regex = Annotated[str, AfterValidator(_checked_regex)]


_REFERRED_NAME: Final = "[A-Z][A-Z0-9_]{0,63}"
REFERENCE_PATTERN: Final = rf"^\$\{{{_REFERRED_NAME}\}}$"
SecretReference = Annotated[str, Field(pattern=REFERENCE_PATTERN, examples=["${API_TOKEN}"])]
"""A secret's name; only the probe knows what it stands for."""
SECRET_REFERENCE: Final = re.compile(rf"\$\{{({_REFERRED_NAME})\}}")
"""The same within a longer text."""
CREDENTIAL_HEADERS: Final = frozenset({"authorization", "proxy-authorization"})
"""Never in plain text: a log keeps what it was given."""


def _storable(value: JsonValue) -> JsonValue:
    try:
        size = len(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
    except (ValueError, RecursionError):
        raise ValueError("a value is JSON of finite numbers and Unicode text") from None
    if size > MAX_VALUE_BYTES:
        raise ValueError(f"a value has {MAX_VALUE_BYTES} bytes at most")
    return value


Value = Annotated[JsonValue, AfterValidator(_storable)]
"""What an assertion compares with."""


class Document(BaseModel):
    """What people write: names by alias, unknown fields refused, immutable once parsed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True, allow_inf_nan=False
    )


class Method(StrEnum):
    """HTTP methods that a check may use."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


class JsonType(StrEnum):
    """The types of a JSON value."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NULL = "null"
    OBJECT = "object"
    ARRAY = "array"


SUBJECTS: Final = ("status", "header", "jsonpath", "body", "latency", "certificate_days")
SELF_CONTAINED: Final = frozenset({"status", "latency", "certificate_days"})
OPERATORS: Final = (
    "equals",
    "not_equals",
    "exists",
    "absent",
    "one_of",
    "contains",
    "not_contains",
    "matches",
    "not_matches",
    "lt",
    "le",
    "gt",
    "ge",
    "length",
    "type",
)
STATUS_PATTERN: Final = (
    r"^\s*([1-5]xx|[1-5]\d\d(\s*-\s*[1-5]\d\d)?)(\s*,\s*([1-5]xx|[1-5]\d\d(\s*-\s*[1-5]\d\d)?))*\s*$"
)


class Assertion(Document):
    """A test on a response: one subject, and (but for the self-contained ones) one operator.

    `status: 2xx, 404` | `latency: 800ms` (slower fails) | `certificate_days: 14` (fewer fails)
    | `header: NAME` + operator | `jsonpath: EXPRESSION` + operator | `body: text` + operator.
    """

    status: Annotated[str, Field(pattern=STATUS_PATTERN, coerce_numbers_to_str=True, examples=["2xx, 304"])] | None = (
        None
    )
    header: Annotated[Text, Field(min_length=1, max_length=100)] | None = None
    jsonpath: JsonPath | None = None
    body: Literal["text"] | None = None
    latency_ms: DurationMs | None = Field(default=None, alias="latency")
    certificate_days: Annotated[int, Field(ge=0, le=3_650)] | None = None

    equals: Value = None
    not_equals: Value = None
    exists: Literal[True] | None = None
    absent: Literal[True] | None = None
    one_of: Annotated[list[Value], Field(max_length=100)] | None = Field(default=None, alias="in")
    contains: Annotated[Text, Field(max_length=1_000)] | None = None
    not_contains: Annotated[Text, Field(max_length=1_000)] | None = None
    matches: Regex | None = None
    not_matches: Regex | None = None
    lt: float | Text | None = None
    le: float | Text | None = None
    gt: float | Text | None = None
    ge: float | Text | None = None
    length: Annotated[int, Field(ge=0)] | None = None
    type: JsonType | None = None

    severity: Severity = Severity.DOWN

    @model_validator(mode="after")
    def _one_subject_one_operator(self) -> Self:
        given = self._given
        subjects = [name for name in SUBJECTS if name in given]
        if len(subjects) != 1:
            raise ValueError(f"an assertion has one of {', '.join(SUBJECTS)}; this one has {len(subjects)}")
        operators = [name for name in OPERATORS if name in given]
        wanted = 0 if subjects[0] in SELF_CONTAINED else 1
        if len(operators) != wanted:
            raise ValueError(
                f"an assertion on {subjects[0]} has {'no operator' if not wanted else 'one operator'} "
                f"({', '.join(OPERATORS).replace('one_of', 'in')}); this one has {len(operators)}"
            )
        return self

    def __eq__(self, other: object) -> bool:
        """`equals: null` and `not_equals: null` have equal fields, `1` is equal to `true`, but they are other tests."""
        return super().__eq__(other) and isinstance(other, Assertion) and self._test == other._test

    def __hash__(self) -> int:
        return hash((self.subject, self.operator))

    @property
    def _given(self) -> set[str]:
        """The fields that were written: `equals: null` is a test, a missing `equals` is not."""
        names = {"latency" if name == "latency_ms" else name for name in self.model_fields_set}
        return {n for n in names if n in ("equals", "not_equals") or getattr(self, _attribute(n)) is not None}

    @property
    def _test(self) -> tuple[str | None, str]:
        return self.operator, json.dumps(getattr(self, self.operator)) if self.operator else ""

    @property
    def subject(self) -> str:
        """The name of the subject: one of SUBJECTS."""
        given = self._given
        return next(name for name in SUBJECTS if name in given)

    @property
    def operator(self) -> str | None:
        """The name of the operator: one of OPERATORS, or None for a self-contained subject."""
        given = self._given
        return next((name for name in OPERATORS if name in given), None)


def _attribute(name: str) -> str:
    return "latency_ms" if name == "latency" else name


class Policy(Document):
    """How results become status.

    confirmations: failures in a row that make a region bad; recoveries: successes in a row that make it good
    again; quorum: regions that must agree (None: the majority of the live ones); reopen_gap: a relapse so soon
    after a recovery continues the incident (None: two intervals); flap_start, flap_stop: percent of changes,
    weighted by newness, among the last 20 results, from which a region flaps and under which it no longer does
    (flap_start None: never).
    """

    confirmations: Annotated[int, Field(ge=1, le=LONGEST_RUN)] = 2
    recoveries: Annotated[int, Field(ge=1, le=LONGEST_RUN)] = 2
    quorum: Annotated[int, Field(ge=1, le=50)] | None = None
    reopen_gap_ms: Annotated[DurationMs, lasting(0, 86_400_000)] | None = Field(default=None, alias="reopen_gap")
    flap_start: Annotated[int, Field(ge=1, le=100)] | None = 50
    flap_stop: Annotated[int, Field(ge=1, le=100)] = 25

    @model_validator(mode="after")
    def _flapping_ends_below_where_it_starts(self) -> Self:
        check_flapping(self.flap_start, self.flap_stop)
        return self


def check_flapping(start: int | None, stop: int) -> None:
    """Raises ValueError for what would begin to flap and end it in turns, result by result; None never begins."""
    if start is not None and start < stop:
        raise ValueError(f"flap_stop ({stop}) is at most flap_start ({start})")


USERNAME_PATTERN: Final = r"^[^:]*$"


class BasicAuth(Document):
    """A name and a password; the password is a reference to a secret."""

    username: Annotated[Text, Field(max_length=200, pattern=USERNAME_PATTERN)]
    password: SecretReference


class Auth(Document):
    """How a check says who it is: `basic` or `bearer`."""

    basic: BasicAuth | None = None
    bearer: SecretReference | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.basic is None) == (self.bearer is None):
            raise ValueError("auth has one of basic, bearer")
        return self


class ClientCertificate(Document):
    """What the check shows to a server that asks who it is: a certificate (PEM, with its chain) and its key."""

    certificate: SecretReference
    key: SecretReference


class Monitor(Document):
    """What to check, how often, from where, by which assertions, under which policy."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "slug": "api",
                "name": "API",
                "url": "https://api.example.com/health",
                "interval": "30s",
                "assertions": [{"jsonpath": "$.database", "equals": "ok", "severity": "degraded"}],
            }
        }
    )

    slug: Slug
    name: Annotated[Text, Field(max_length=200)] = ""
    url: TargetUrl
    method: Method = Method.GET
    headers: Annotated[dict[Text, Text], Field(max_length=50)] = {}
    body: Annotated[Text, Field(max_length=100_000)] | None = None
    json_body: JsonValue = Field(default=None, alias="json")
    form: Annotated[dict[Text, Text], Field(max_length=200)] | None = None
    auth: Auth | None = None
    client_certificate: ClientCertificate | None = None
    ip_version: Literal[4, 6] | None = None
    interval_ms: Annotated[DurationMs, lasting(MIN_INTERVAL_MS, MAX_INTERVAL_MS)] = Field(
        default=60_000, alias="interval"
    )
    timeout_ms: Annotated[DurationMs, lasting(100, MAX_TIMEOUT_MS)] = Field(default=10_000, alias="timeout")
    latency_threshold_ms: DurationMs | None = Field(default=None, alias="latency_threshold")
    regions: Annotated[list[Slug], Field(max_length=50)] = []
    follow_redirects: bool = True
    verify_tls: bool = True
    assertions: Annotated[list[Assertion], Field(max_length=MAX_ASSERTIONS)] = []
    policy: Policy = Policy()
    paused: bool = False

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if len(self.bodies) > 1:
            raise ValueError("a monitor has one of body, json, form")
        return self

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        """What is said of a target without HTTP must have a meaning there."""
        url = parse_url(self.url, CHECKED)
        if url.scheme in HTTP:
            return self
        if any(each.subject in ("status", "header") for each in self.assertions):
            raise ValueError(f"a {url.scheme} target has no status and no headers to assert on")
        if url.scheme == "tcp" and self.bodies and url.port in BAD_PORTS:
            raise ValueError(f"nothing is sent to port {url.port}: leave out the body")
        return self

    @model_validator(mode="after")
    def _no_password_in_plain_text(self) -> Self:
        for name, value in self.headers.items():
            if name.lower() in CREDENTIAL_HEADERS and "${" not in value:
                raise ValueError(f"the header {name} is a secret: refer to it, like {name}: ${{API_TOKEN}}")
        return self

    @model_validator(mode="after")
    def _refers_to_secrets(self) -> Self:
        """In a body `${` may mean something else."""
        texts = {"the URL": self.url} | {f"the header {name}": value for name, value in self.headers.items()}
        for place, text in texts.items():
            if "${" in SECRET_REFERENCE.sub("", text):
                raise ValueError(f"{place} names no secret: its name has capitals, digits and _, like ${{API_TOKEN}}")
        return self

    def __eq__(self, other: object) -> bool:
        """`json: 1` is equal to `json: true`, and `json: null` to none, but they are other bodies."""
        return super().__eq__(other) and isinstance(other, Monitor) and self._json_text == other._json_text

    def __hash__(self) -> int:
        return hash(self.slug)

    @property
    def _json_text(self) -> str | None:
        return json.dumps(self.json_body) if "json_body" in self.model_fields_set else None

    @property
    def bodies(self) -> list[str]:
        """The fields of which the body is made: one at most. `json: null` is a body, too."""
        given = {
            "body": self.body is not None,
            "json": "json_body" in self.model_fields_set,
            "form": self.form is not None,
        }
        return [name for name, has in given.items() if has]

    @property
    def over_http(self) -> bool:
        """Its checks have a method, a status and headers."""
        return self.url.lower().startswith(HTTP)

    @property
    def title(self) -> str:
        """What people read: the name, or else the slug."""
        return self.name or self.slug

    @property
    def silence_ms(self) -> int:
        """After so long without a result the monitor is `unknown`: never while a check may still hang."""
        return max(2 * self.interval_ms, self.interval_ms + self.timeout_ms + DELIVERED_WITHIN_MS, 90_000)


def told_every_ms(interval_ms: int) -> int:
    """So often the stream tells at least until when the status of a monitor of this interval is known."""
    return max(5 * interval_ms, 120_000)


class Group(Document):
    """Monitors under one heading of a page."""

    name: Annotated[Text, Field(max_length=200)]
    monitors: Annotated[list[Slug], Field(max_length=500)]


_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
DOMAIN_PATTERN: Final = rf"^{_LABEL}(?:\.{_LABEL})*$"
Domain = Annotated[str, Field(pattern=DOMAIN_PATTERN, max_length=253, examples=["status.acme.dev"])]
"""A host name as requests name it: lower case, no port, no dot at its end."""


class Page(Document):
    """A status page. Its slug is unique in the installation: it is in public addresses."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "slug": "acme",
                "title": "Acme",
                "domains": ["status.acme.dev"],
                "groups": [{"name": "API", "monitors": ["api"]}],
            }
        }
    )

    slug: Slug
    title: Annotated[Text, Field(max_length=200)] = ""
    description: Annotated[Text, Field(max_length=1_000)] = ""
    domains: Annotated[list[Domain], Field(max_length=10)] = []
    groups: Annotated[list[Group], Field(max_length=100)] = []


class Maintenance(Document):
    """Work on monitors that was planned: from `starts_at` to `ends_at` they are in maintenance, whatever checks see.

    Its slug is unique in the workspace. One that was cancelled before it began is kept, so that people can be told.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "slug": "database-upgrade",
                "title": "Database upgrade",
                "monitors": ["api"],
                "starts_at": "2099-12-01T02:00:00Z",
                "ends_at": "2099-12-01T04:00:00Z",
            }
        }
    )

    slug: Slug
    title: Annotated[Text, Field(min_length=1, max_length=200, examples=["Database upgrade"])]
    description: Annotated[Text, Field(max_length=5_000)] = ""
    monitors: Annotated[list[Slug], Field(min_length=1, max_length=500)]
    starts_at: Moment
    ends_at: Moment
    cancelled: bool = False

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if not self.starts_at < self.ends_at <= self.starts_at + MAX_MAINTENANCE_MS:
            raise ValueError("a maintenance ends after it starts, and within 31 days")
        return self

    @property
    def holds_until(self) -> int:
        """Where it ends for its monitors: where it starts if it was cancelled."""
        return self.starts_at if self.cancelled else self.ends_at


class KeyScope(StrEnum):
    """What a key may do; `admin` includes the rest."""

    READ = "read"
    WRITE = "write"
    PUSH = "push"
    SQL = "analytics:sql"
    ADMIN = "admin"


class Key(Document):
    """An API key as it is kept: never the secret, only its hash. The key is `pulse_<id>_<secret>`."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{8,32}$")]
    name: Annotated[Text, Field(max_length=200)] = ""
    secret_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: list[KeyScope]
    expires_at: int | None = None


DocumentT = TypeVar("DocumentT", bound=Document)


class Record(BaseModel, Generic[DocumentT]):
    """A version of a configuration document, as its compacted topic carries it.

    `document` is None once it was deleted; the record stays, so that the audit knows who did it.
    Its version is its offset in the topic.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    workspace: str
    by: str
    at: int
    document: DocumentT | None

    def to_log(self) -> bytes:
        """The record as it goes on the wire."""
        return self.model_dump_json(by_alias=True, exclude_unset=True).encode()

    @classmethod
    def from_log(cls, value: bytes) -> Self:
        """A record off the wire; fields of a newer writer are ignored. Raises pydantic.ValidationError."""
        return cls.model_validate_json(value, extra="ignore")


def monitor_id(workspace: str, slug: str) -> str:
    """The monitor's name everywhere: `workspace/slug`."""
    return f"{workspace}/{slug}"


def maintenance_id(workspace: str, slug: str) -> str:
    """The key of the maintenance's records: `workspace/slug`."""
    return f"{workspace}/{slug}"
