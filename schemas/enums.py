"""The closed vocabularies of the product: outcomes, reasons, statuses and their order of badness."""

from enum import StrEnum


class Outcome(StrEnum):
    """What one check saw; `unknown` means that the probe itself could not tell."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why an outcome is what it is. `ok` is the only reason of `up`."""

    OK = "ok"
    DNS_ERROR = "dns_error"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_ERROR = "connect_error"
    TLS_ERROR = "tls_error"
    TIMEOUT = "timeout"
    HTTP_STATUS = "http_status"
    ASSERTION = "assertion"
    COMPONENT = "component"
    LATENCY = "latency"
    CERTIFICATE = "certificate"
    REDIRECT = "redirect"
    BLOCKED_ADDRESS = "blocked_address"
    RESPONSE_TOO_LARGE = "response_too_large"
    BAD_RESPONSE = "bad_response"
    BAD_REQUEST = "bad_request"
    PROBE_OVERLOADED = "probe_overloaded"
    PROBE_OFFLINE = "probe_offline"
    PROBE_ERROR = "probe_error"
    NO_RESULTS = "no_results"
    FLAPPING = "flapping"


class Severity(StrEnum):
    """How bad a failed assertion, or an open incident, is."""

    DEGRADED = "degraded"
    DOWN = "down"


class Status(StrEnum):
    """What a monitor is over a span of time."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"
    MAINTENANCE = "maintenance"
    PAUSED = "paused"


class IncidentState(StrEnum):
    """`annulled` incidents never were: later data took back what had opened them."""

    OPEN = "open"
    RESOLVED = "resolved"
    ANNULLED = "annulled"


class EntryKind(StrEnum):
    """What a line of an incident's timeline tells."""

    OPENED = "opened"
    ESCALATED = "escalated"
    EASED = "eased"
    UPDATE = "update"
    REOPENED = "reopened"
    RESOLVED = "resolved"
    ANNULLED = "annulled"
    CORRECTED = "corrected"


class CorrectionKind(StrEnum):
    """What a person changes of the record afterwards. An undo takes one of the other two back."""

    REPLAY = "replay"
    ANNUL = "annul"
    UNDO = "undo"
