"""Assertions, compiled once a monitor version: each becomes a function from an answer to a failure or None.

Their meaning: no match fails every operator but `absent`; of several matches all must hold; `null` is a match;
true is never a number; there is no order across types.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import Any, Final, cast

import msgspec

from probes.finding import compile_finder, json_equal, json_type, looks_of
from probes.text import NOTHING_SECRET, Redactor, clean, shown, shown_whole, text_of
from schemas.enums import Reason, Severity
from schemas.events import Failure
from schemas.expressions import compile_regex
from schemas.monitors import Assertion

MAX_JSON_BYTES: Final = 262_144
MAX_JSON_DEPTH: Final = 500
MAX_LOOKS: Final = 400_000
"""Looks at a value, a microsecond or two each, that the assertions of a check may take: no other check goes on then."""
SEARCH_LOOKS: Final = 8
"""What a regular expression costs to begin with."""
STEPS_A_LOOK: Final = 64
"""At each character it may take each of its steps."""
MAX_REGEX_TEXT: Final = 65_536
DAY_MS: Final = 86_400_000
MISSING: Final = object()
_ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F]..)|.)", re.DOTALL)
TOO_MUCH: Final = "too much to search"
TOO_MUCH_WHY: Final = "the answer is too long for all that the assertions look for: it would hold up other checks"


class BadJson(ValueError):
    """The body is not JSON within our bounds; the message says why."""


class Answer:
    """A response as assertions see it; text and JSON are made when first asked for."""

    def __init__(
        self,
        status: int,
        headers: list[tuple[str, str]],
        body: bytes,
        total_us: int,
        certificate_ms: int | None,
        redact: Redactor = NOTHING_SECRET,
    ) -> None:
        """`certificate_ms` is the time left until the certificate expires, or None without one."""
        self.status = status
        self.headers = headers
        self.body = body
        self.total_us = total_us
        self.certificate_ms = certificate_ms
        self.redact = redact
        self._json: Any = MISSING
        self._bad_json: BadJson | None = None
        self._text: str | None = None
        self._looks = 0

    def header(self, name: str) -> str | None:
        """The values of a header (lower case name), joined by commas."""
        values = [value for key, value in self.headers if key == name]
        return ", ".join(values) if values else None

    def affords(self, looks: int) -> bool:
        """Whether so many more looks are not too many for one check; then they count."""
        if self._looks + looks > MAX_LOOKS:
            return False
        self._looks += looks
        return True

    @property
    def breadth(self) -> int:
        """How many values the body's JSON has, or a few more."""
        return sum(map(self.body.count, (b",", b"[", b"{")))

    @property
    def text(self) -> str:
        """The body as text."""
        if self._text is None:
            self._text = text_of(self.body, self.headers)
        return self._text

    @property
    def json(self) -> Any:
        """The body's JSON. Raises BadJson."""
        if self._bad_json is not None:
            raise self._bad_json
        if self._json is MISSING:
            try:
                self._json = parse_json(self.body)
            except BadJson as error:
                self._bad_json = error
                raise
        return self._json


def parse_json(body: bytes) -> Any:
    """Strict JSON (no NaN, no Infinity), at most 256 KB and 500 levels. Raises BadJson."""
    if len(body) > MAX_JSON_BYTES:
        raise BadJson(f"the body is longer than {MAX_JSON_BYTES // 1024} KB, too long to read as JSON")
    if not body.strip():
        raise BadJson("the body is empty")
    try:
        value = _decode(body.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise BadJson(f"the body's JSON is nested deeper than {MAX_JSON_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadJson(f"the body is not JSON: {error}") from None
    if body.count(b"[") + body.count(b"{") > MAX_JSON_DEPTH and _deeper_than(value, MAX_JSON_DEPTH):
        raise BadJson(f"the body's JSON is nested deeper than {MAX_JSON_DEPTH} levels")
    return value


def _decode(body: bytes) -> Any:
    """Half a character of two escapes, as JavaScript leaves it where it cuts a text, is replaced."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        whole = _ESCAPE.sub(lambda match: rb"\ufffd" if match["half"] else match[0], body)
        if whole == body:
            raise
        return msgspec.json.decode(whole)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return True


Test = Callable[[Answer], Failure | None]


@dataclass(frozen=True, slots=True)
class CompiledAssertion:
    """A test, and the reason that its failure gives the result."""

    test: Test
    severity: Severity
    reason: Reason
    on_body: bool


def compile_assertion(assertion: Assertion) -> CompiledAssertion:
    """Raises InvalidExpression when the monitor was written by something that did not check it."""
    subject = assertion.subject
    reasons = {
        "status": Reason.HTTP_STATUS,
        "latency": Reason.LATENCY,
        "certificate_days": Reason.CERTIFICATE,
    }
    return CompiledAssertion(
        _COMPILERS[subject](assertion),
        assertion.severity,
        reasons.get(subject, Reason.ASSERTION),
        subject in ("body", "jsonpath"),
    )


def _status(assertion: Assertion) -> Test:
    wanted = assertion.status or ""
    accepted = _status_codes(wanted)

    def test(answer: Answer) -> Failure | None:
        if answer.status in accepted:
            return None
        seen = str(answer.status)
        return Failure("status", assertion.severity, wanted, seen, f"the status is {seen}, not {wanted}")

    return test


@lru_cache(maxsize=1_024)
def _status_codes(pattern: str) -> frozenset[int]:
    """The codes of `2xx, 301-303, 404`."""
    codes: set[int] = set()
    for part in pattern.replace(" ", "").split(","):
        if part.endswith("xx"):
            codes.update(range(int(part[0]) * 100, int(part[0]) * 100 + 100))
        else:
            first, _, last = part.partition("-")
            codes.update(range(int(first), int(last or first) + 1))
    return frozenset(codes)


def _latency(assertion: Assertion) -> Test:
    limit_ms = assertion.latency_ms or 0

    def test(answer: Answer) -> Failure | None:
        if answer.total_us <= limit_ms * 1_000:
            return None
        seen = f"{ceil(answer.total_us / 1_000)} ms"
        message = f"the answer took {seen}, longer than {limit_ms} ms"
        return Failure("latency", assertion.severity, f"at most {limit_ms} ms", seen, message)

    return test


def _certificate(assertion: Assertion) -> Test:
    wanted = f"at least {assertion.certificate_days} days left"

    def test(answer: Answer) -> Failure | None:
        if answer.certificate_ms is None:
            message = "there is no certificate: the URL is not https"
            return Failure("certificate_days", assertion.severity, wanted, "no certificate", message)
        days = answer.certificate_ms / DAY_MS
        if days >= (assertion.certificate_days or 0):
            return None
        seen = f"{floor(days * 10) / 10:.1f} days"
        message = f"the certificate expires in {seen}" if days > 0 else f"the certificate expired {-days:.1f} days ago"
        return Failure("certificate_days", assertion.severity, wanted, seen, message)

    return test


def _header(assertion: Assertion) -> Test:
    name = (assertion.header or "").lower()
    matcher = _Matcher(f"header {assertion.header}", assertion, textual=True)

    def test(answer: Answer) -> Failure | None:
        value = answer.header(name)
        if value is None:
            return matcher.on_missing(f"there is no header {assertion.header}")
        return matcher.on_value(value, answer)

    return test


def _body(assertion: Assertion) -> Test:
    matcher = _Matcher("body", assertion, textual=True)

    def test(answer: Answer) -> Failure | None:
        if not answer.body:
            return matcher.on_missing("the body is empty")
        return matcher.on_value(answer.text, answer)

    return test


def _jsonpath(assertion: Assertion) -> Test:
    path = assertion.jsonpath or ""
    find, looks = compile_finder(path), looks_of(path)
    matcher = _Matcher(path, assertion, textual=False)

    def test(answer: Answer) -> Failure | None:
        try:
            document = answer.json
        except BadJson as error:
            return matcher.failure("no JSON", str(error))
        if looks and not answer.affords(looks * answer.breadth):
            return matcher.failure(TOO_MUCH, TOO_MUCH_WHY)
        values, missing = find(document)
        if not values:
            return matcher.on_missing(missing)
        for value in values:
            failure = matcher.on_value(value, answer)
            if failure is not None:
                return failure
        return None

    return test


_COMPILERS: Final[Mapping[str, Callable[[Assertion], Test]]] = {
    "status": _status,
    "latency": _latency,
    "certificate_days": _certificate,
    "header": _header,
    "body": _body,
    "jsonpath": _jsonpath,
}


class _Matcher:
    """An operator with its operand: what holds, and what is said when it does not."""

    def __init__(self, subject: str, assertion: Assertion, *, textual: bool) -> None:
        """`textual` subjects (header, body) are text, whatever the operand's type."""
        operator = assertion.operator or ""
        operand = getattr(assertion, operator)
        self._wanted = _WORDS[operator] + ("" if operator in ("exists", "absent") else f" {_operand(operand)}")
        self._test = clean(f"{subject} {self._wanted}")
        self._subject = clean(subject)
        self._severity = assertion.severity
        self._absent = operator == "absent"
        self._holds = _OPERATORS[operator](_as_text(operand, operator) if textual else operand)
        self._numeric_text = textual and isinstance(operand, float)
        self._steps = compile_regex(operand).programsize if operator in ("matches", "not_matches") else 0
        self._choices = len(operand) if operator == "one_of" else 0

    def on_missing(self, missing: str) -> Failure | None:
        """Nothing is there: only `absent` holds."""
        return None if self._absent else self.failure("nothing", missing)

    def on_value(self, value: Any, answer: Answer) -> Failure | None:
        """The failure of a value that is there, or None."""
        if not answer.affords(self._looks(value)):
            return self.failure(TOO_MUCH, TOO_MUCH_WHY)
        if self._holds(_number(value) if self._numeric_text else value):
            return None
        seen = shown(answer.redact(value)) if isinstance(value, str) else answer.redact(shown_whole(value))
        return self.failure(seen, f"{self._subject} is {clean(seen)}; expected: {self._wanted}")

    def _looks(self, value: Any) -> int:
        """How much the test of a value may take."""
        if isinstance(value, str):
            return self._steps and SEARCH_LOOKS + self._steps * min(len(value), MAX_REGEX_TEXT) // STEPS_A_LOOK
        return self._choices if isinstance(value, list | dict) else 0

    def failure(self, seen: str, message: str) -> Failure:
        """The failure, with texts fit to keep."""
        return Failure(self._test, self._severity, clean(self._wanted), clean(seen), clean(message))


def _as_text(operand: Any, operator: str) -> Any:
    """Operands of text subjects: `equals: 200` on a header means the text 200."""
    if operator == "one_of":
        return [_as_text(each, "") for each in operand]
    if operator in ("equals", "not_equals", "") and not isinstance(operand, str):
        return shown(operand)
    return operand


def _operand(operand: Any) -> str:
    return shown(int(operand) if isinstance(operand, float) and operand.is_integer() else operand)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


Holds = Callable[[Any], bool]


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any], Holds]:
    def operator(operand: Any) -> Holds:
        wanted = json_type(operand)
        return lambda value: json_type(value) == wanted and compare(value, operand)

    return operator


def _one_of(operand: list[Any]) -> Holds:
    nested = [each for each in operand if isinstance(each, list | dict)]
    plain = {_plain(each) for each in operand if not isinstance(each, list | dict)}

    def holds(value: Any) -> bool:
        if isinstance(value, list | dict):
            return any(json_equal(value, each) for each in nested)
        return _plain(value) in plain

    return holds


def _plain(value: Any) -> tuple[bool, Any]:
    """What is equal among values without parts: to Python, true is 1."""
    return isinstance(value, bool), value


def _contains(operand: str) -> Holds:
    return lambda value: operand in value if isinstance(value, str | list | dict) else False


def _not_contains(operand: str) -> Holds:
    return lambda value: operand not in value if isinstance(value, str | list | dict) else False


def _matches(pattern: str) -> Holds:
    search = compile_regex(pattern).search
    return lambda value: isinstance(value, str) and search(value[:MAX_REGEX_TEXT]) is not None


def _not_matches(pattern: str) -> Holds:
    search = compile_regex(pattern).search
    return lambda value: isinstance(value, str) and search(value[:MAX_REGEX_TEXT]) is None


def _length(length: int) -> Holds:
    return lambda value: isinstance(value, str | list | dict) and len(value) == length


_OPERATORS: Final[Mapping[str, Callable[[Any], Holds]]] = {
    "equals": lambda operand: lambda value: json_equal(value, operand),
    "not_equals": lambda operand: lambda value: not json_equal(value, operand),
    "exists": lambda _: lambda _value: True,
    "absent": lambda _: lambda _value: False,
    "one_of": _one_of,
    "contains": _contains,
    "not_contains": _not_contains,
    "matches": _matches,
    "not_matches": _not_matches,
    "lt": _ordered(lambda value, limit: cast(bool, value < limit)),
    "le": _ordered(lambda value, limit: cast(bool, value <= limit)),
    "gt": _ordered(lambda value, limit: cast(bool, value > limit)),
    "ge": _ordered(lambda value, limit: cast(bool, value >= limit)),
    "length": _length,
    "type": lambda operand: lambda value: json_type(value) == operand,
}
_WORDS: Final[Mapping[str, str]] = {
    "equals": "equals",
    "not_equals": "does not equal",
    "exists": "exists",
    "absent": "is absent",
    "one_of": "is one of",
    "contains": "contains",
    "not_contains": "does not contain",
    "matches": "matches",
    "not_matches": "does not match",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "length": "has length",
    "type": "is of type",
}
