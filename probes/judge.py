"""Judging: from what a fetch saw and a monitor's rules to a check result. Pure.

Findings are gathered in the order of DESIGN's words (status, health document, assertions, latency); the worst
decides the outcome, and the first of the worst gives the reason and the message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Final

from probes.assertions import Answer, BadJson, CompiledAssertion, compile_assertion, parse_json
from probes.fetch import Fetched, Response
from probes.health_documents import HealthDocument, read_bare_word, read_health_document
from probes.text import MAX_EVIDENCE_BODY, NOTHING_SECRET, Redactor, clean, text_of
from schemas.enums import Outcome, Reason, Severity
from schemas.events import CheckResult, Component, Evidence, Failure
from schemas.monitors import Assertion

EVIDENCE_HEADERS: Final = (
    "content-type",
    "content-length",
    "location",
    "retry-after",
    "server",
    "via",
    "cache-control",
    "x-request-id",
    "traceresponse",
    "cf-ray",
)
SERVICE_UNAVAILABLE: Final = 503
REMEMBERED_BODIES: Final = 2_048
REMEMBERED_BODY_BYTES: Final = 2_048
LATEST_EXPIRY_MS: Final = 4_102_444_800_000
"""The year 2100, the last that the log knows, as 1970 is the first; certificates without an end say 9999."""
_BADNESS: Final = {Outcome.UP: 0, Outcome.DEGRADED: 1, Outcome.DOWN: 2, Outcome.UNKNOWN: 3}
_OUTCOMES: Final = {Severity.DEGRADED: Outcome.DEGRADED, Severity.DOWN: Outcome.DOWN}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a monitor wants of an answer, compiled once a version."""

    monitor: str
    version: int
    assertions: tuple[CompiledAssertion, ...]
    judges_status: bool
    """2xx is fine: neither an assertion says otherwise, nor is there no status."""
    reads_body: bool
    latency_threshold_us: int | None
    evidence_headers: tuple[str, ...]


def compile_rules(
    monitor: str,
    version: int,
    assertions: Sequence[Assertion],
    latency_threshold_ms: int | None,
    *,
    has_status: bool = True,
) -> Rules:
    """Latency is judged last, so that a slow answer is never the reason where there is another."""
    compiled = sorted(map(compile_assertion, assertions), key=lambda each: each.reason is Reason.LATENCY)
    asserted = [each.header.lower() for each in assertions if each.header]
    return Rules(
        monitor,
        version,
        tuple(compiled),
        has_status and not any(each.status for each in assertions),
        any(each.on_body for each in compiled),
        latency_threshold_ms * 1_000 if latency_threshold_ms is not None else None,
        tuple(dict.fromkeys((*EVIDENCE_HEADERS, *asserted))),
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be."""

    outcome: Outcome
    reason: Reason
    message: str
    failure: Failure | None = None


def judge(
    fetched: Fetched,
    rules: Rules,
    *,
    scheduled_at: int,
    started_at: int,
    lag_us: int = 0,
    redact: Redactor = NOTHING_SECRET,
) -> CheckResult:
    """The result of a check. `lag_us`, for which the probe's own loop was held up, is not held against the target."""
    response, phases = fetched.response, fetched.phases
    document: HealthDocument | None = None
    if fetched.reason is not Reason.OK or response is None:
        findings = [_broken(fetched, lag_us)]
    else:
        expires_at = response.certificate_expires_at
        left_ms = expires_at - started_at if expires_at else None
        took_us = max(0, phases.total_us - lag_us)
        answer = Answer(response.status, response.headers, response.body, took_us, left_ms, redact)
        document = None if response.body_truncated else _health_document(answer)
        findings = _findings(response, answer, rules, document)
    worst = max(findings, key=lambda finding: _BADNESS[finding.outcome], default=None)
    return CheckResult(
        monitor=rules.monitor,
        scheduled_at=scheduled_at,
        started_at=started_at,
        monitor_version=rules.version,
        outcome=worst.outcome if worst else Outcome.UP,
        reason=worst.reason if worst else Reason.OK,
        status_code=response.status if response else 0,
        dns_us=phases.dns_us,
        connect_us=phases.connect_us,
        tls_us=phases.tls_us,
        ttfb_us=phases.ttfb_us,
        transfer_us=phases.transfer_us,
        total_us=phases.total_us,
        overloaded=lag_us > 0,
        message=clean(redact(worst.message)) if worst else "",
        failures=tuple([finding.failure for finding in findings if finding.failure]),
        components=document.components if document else (),
        evidence=_evidence(fetched, rules, redact) if worst and (response or fetched.address) else None,
        certificate_expires_at=max(0, min(response.certificate_expires_at, LATEST_EXPIRY_MS)) if response else 0,
    )


def _broken(fetched: Fetched, lag_us: int) -> Finding:
    """No whole answer came; without a request, a socket or the time to send it, that tells nothing of its target."""
    if fetched.reason is Reason.TIMEOUT and 2 * lag_us > fetched.phases.total_us:
        message = f"the probe itself was held up most of the time ({fetched.message})"
        return Finding(Outcome.UNKNOWN, Reason.PROBE_OVERLOADED, message)
    untold = fetched.reason in (Reason.BAD_REQUEST, Reason.PROBE_OVERLOADED)
    return Finding(Outcome.UNKNOWN if untold else Outcome.DOWN, fetched.reason, fetched.message)


def _findings(response: Response, answer: Answer, rules: Rules, document: HealthDocument | None) -> list[Finding]:
    """What is wrong with a whole answer: of nearly all there is nothing."""
    findings = []
    if rules.judges_status and not 200 <= response.status < 300:
        findings.append(_bad_status(response, document))
    if document is not None:
        findings += _own_words(response, document)
    if response.body_truncated and rules.reads_body:  # else the status decides
        message = f"the body is longer than the {len(response.body)} bytes that a check reads"
        findings.append(Finding(Outcome.DOWN, Reason.RESPONSE_TOO_LARGE, message))
    for assertion in rules.assertions:
        failure = assertion.test(answer)
        if failure is not None:
            findings.append(Finding(_OUTCOMES[failure.severity], assertion.reason, failure.message, failure))
    threshold_us = rules.latency_threshold_us
    if threshold_us is not None and answer.total_us > threshold_us:
        message = f"the answer took {ceil(answer.total_us / 1_000)} ms, longer than {threshold_us // 1_000} ms"
        findings.append(Finding(Outcome.DEGRADED, Reason.LATENCY, message))
    return findings


def _health_document(answer: Answer) -> HealthDocument | None:
    start = answer.body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"{"):
        try:
            if answer.redact is NOTHING_SECRET and len(answer.body) <= REMEMBERED_BODY_BYTES:
                return _remembered(answer.body)
            return read_health_document(answer.json, answer.redact)
        except BadJson:
            return None
    return read_bare_word(start.decode("latin-1")) if len(answer.body) <= 16 else None


@lru_cache(maxsize=REMEMBERED_BODIES)
def _remembered(body: bytes) -> HealthDocument | None:
    """What it says. Most services say the same each time, and reading it is a tenth of a whole check."""
    return read_health_document(parse_json(body))


def _bad_status(response: Response, document: HealthDocument | None) -> Finding:
    """2xx is fine; 503 with a health document is degraded: the service answers, and says what is wrong."""
    line = f"{response.status} {response.reason_phrase}".strip()
    if response.status == SERVICE_UNAVAILABLE and document is not None and document.own is not Outcome.DOWN:
        failing = document.failing
        said = _said(failing) if failing else "its health document names no failing part"
        return Finding(Outcome.DEGRADED, Reason.COMPONENT if failing else Reason.HTTP_STATUS, f"{line}: {said}")
    hops = {0: "", 1: " after a redirect"}.get(response.redirects, f" after {response.redirects} redirects")
    parts = f": {_said(document.failing)}" if document and document.failing else ""
    return Finding(Outcome.DOWN, Reason.HTTP_STATUS, f"the answer is {line}{hops}{parts}")


def _own_words(response: Response, document: HealthDocument) -> list[Finding]:
    """Of the code and the document the worse counts."""
    if document.own in (Outcome.DOWN, Outcome.DEGRADED):
        parts = f": {_said(document.failing)}" if document.failing else ""
        message = f"the answer is {response.status}, but its own status is {document.word or 'false'}{parts}"
        return [Finding(document.own, Reason.COMPONENT, message)]
    if document.failing:
        return [Finding(Outcome.DEGRADED, Reason.COMPONENT, _said(document.failing))]
    return []


def _said(parts: Sequence[Component]) -> str:
    return "; ".join(
        f"{part.name} is {part.outcome}" + (f" ({part.message})" if part.message else "") for part in parts
    )


def _evidence(fetched: Fetched, rules: Rules, redact: Redactor) -> Evidence:
    """What came, and where from; of a server that says nothing, where it was looked for."""
    response = fetched.response
    if response is None:
        return Evidence(address=fetched.address)
    present = {name: value for name, value in response.headers if name in rules.evidence_headers}
    body = redact(text_of(response.body, response.headers)).replace("\r\n", "\n")
    line = f"HTTP/{response.http_version} {response.status} {response.reason_phrase}".strip() if response.status else ""
    return Evidence(
        status_line=clean(redact(line)),
        headers={name: clean(redact(value)) for name, value in present.items()},
        body=clean(body, MAX_EVIDENCE_BODY, keep="\n\t"),
        address=fetched.address,
    )
