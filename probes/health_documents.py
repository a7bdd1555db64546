"""Health documents: the shapes in which services tell how they and their parts are, read as components.

Known by shape, never by a server's name: health+json and healthpy (`checks`), Spring Actuator (`components`),
ASP.NET (`entries`), NestJS Terminus (`details`), MicroProfile and fastapi-healthchecks (`checks` as a list),
fastapi-healthz and fastapi-healthcheck (`entities`), plain maps of words or of objects with one (the recipe of our
README, fastapi-health, django-health-check, what people write by hand).
A word that nobody knows makes an unknown component, never one that is up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from probes.text import NOTHING_SECRET, Redactor, clean, shown_whole
from schemas.enums import Outcome
from schemas.events import Component

MAX_COMPONENTS: Final = 50
MAX_NAME: Final = 100
MAX_NESTING: Final = 4
SELF: Final = "status"

_WORDS: Final[Mapping[str, Outcome]] = (
    dict.fromkeys(
        ("pass", "ok", "okay", "up", "healthy", "online", "available", "alive", "operational", "connected", "working"),
        Outcome.UP,
    )
    | dict.fromkeys(("warn", "warning", "degraded", "partial", "shutting_down"), Outcome.DEGRADED)
    | dict.fromkeys(
        (
            "fail",
            "failed",
            "failing",
            "failure",
            "error",
            "down",
            "unhealthy",
            "offline",
            "disconnected",
            "unavailable",
            "critical",
            "out_of_service",
        ),
        Outcome.DOWN,
    )
    | {"unknown": Outcome.UNKNOWN}
)
_WORSE: Final = {Outcome.UP: 0, Outcome.UNKNOWN: 1, Outcome.DEGRADED: 2, Outcome.DOWN: 3}
_ABOUT: Final = frozenset(
    {"name", "app", "application", "service", "serviceid", "service_id", "description", "version", "release"}
    | {"releaseid", "build", "commit", "revision", "environment", "env", "stage", "region", "host", "hostname", "id"}
    | {"instance", "timestamp", "time", "date", "checked_at", "uptime", "duration", "totalduration", "status_code"}
    | {"message", "detail", "title", "notes", "output", "links", "error", "code", "reason", "data", "result"}
)
"""Keys of a plain map that tell about the service or the answer and are no parts of it."""


@dataclass(frozen=True, slots=True)
class HealthDocument:
    """What a service says of itself: its own outcome (None where it gives no status), and its parts."""

    own: Outcome | None
    word: str
    components: tuple[Component, ...]
    failing: tuple[Component, ...] = field(init=False)
    """The components that are degraded or down."""

    def __post_init__(self) -> None:
        failing = tuple(part for part in self.components if part.outcome in (Outcome.DEGRADED, Outcome.DOWN))
        object.__setattr__(self, "failing", failing)


def read_health_document(document: Any, redact: Redactor = NOTHING_SECRET) -> HealthDocument | None:
    """The health document that this JSON value is, or None when it has no shape that we know."""
    if not isinstance(document, dict):
        return None
    word = document.get(SELF, document.get("healthy"))
    own = _outcome(word)
    parts = [*_structured(document, 0)]
    if not parts and _is_map(document, own):
        parts = [*_mapped(document)]
    if own is None and not parts:
        return None
    components = tuple(
        Component(clean(redact(name), MAX_NAME), outcome, clean(redact(why)))
        for name, outcome, why in parts[:MAX_COMPONENTS]
    )
    return HealthDocument(own, clean(word) if isinstance(word, str) else "", components)


def read_bare_word(text: str) -> HealthDocument | None:
    """ASP.NET's default answer: the word alone."""
    word = text.strip()
    own = _WORDS.get(word.lower()) if word in ("Healthy", "Degraded", "Unhealthy") else None
    return HealthDocument(own, word, ()) if own is not None else None


Part = tuple[str, Outcome, str]


def _outcome(word: Any) -> Outcome | None:
    """What a word or a boolean means; None when it means nothing to us."""
    if isinstance(word, bool):
        return Outcome.UP if word else Outcome.DOWN
    return _WORDS.get(word.strip().lower()) if isinstance(word, str) and len(word) <= 32 else None


def _structured(document: dict[str, Any], nesting: int) -> Iterator[Part]:
    for key in ("checks", "components", "entries", "details", "entities", "services"):
        parts = document.get(key)
        if isinstance(parts, dict):
            for name, part in parts.items():
                yield from _named(str(name), part, nesting)
        elif isinstance(parts, list):
            for part in parts:
                name = next((part[key] for key in _NAMES if key in part), None) if isinstance(part, dict) else None
                if isinstance(name, str):
                    yield from _named(name, part, nesting)


def _named(name: str, part: Any, nesting: int) -> Iterator[Part]:
    """A part under its name: an object with a status, a list of measurements of one, or a bare word."""
    if isinstance(part, list):
        measured = [_judged(each) for each in part if isinstance(each, dict)]
        if measured:
            yield (name, *max(measured, key=lambda each: _WORSE[each[0]]))
    elif isinstance(part, dict):
        if any(key in part for key in (SELF, "passed", "healthy")):
            yield (name, *_judged(part))
        if nesting < MAX_NESTING:
            for inner, outcome, why in _structured({"components": part.get("components")}, nesting + 1):
                yield f"{name}.{inner}", outcome, why
    elif isinstance(part, str | bool):
        yield (name, *_judged_word(part))


def _judged(part: dict[str, Any]) -> tuple[Outcome, str]:
    outcome, word = _judged_word(part.get(SELF, part.get("passed", part.get("healthy"))))
    if outcome is Outcome.UP:
        return outcome, ""
    return outcome, next((text for key in _SAYS if isinstance(text := part.get(key), str) and text), word)


def _judged_word(word: Any) -> tuple[Outcome, str]:
    """What a word means, and the word itself where it is not a good one."""
    outcome = _outcome(word) or Outcome.UNKNOWN
    if outcome is Outcome.UP:
        return outcome, ""
    return outcome, word if isinstance(word, str) else shown_whole(word)


_NAMES: Final = ("name", "service", "alias")
_SAYS: Final = ("output", "message", "error", "description", "comments", "details", "notes")


def _is_map(document: dict[str, Any], own: Outcome | None) -> bool:
    """A plain map has a status word of its own, or nothing but texts of which one is a known word."""
    if isinstance(document.get(SELF), str) and own is not None:
        return True
    texts = [value for name, value in document.items() if name.lower() not in _ABOUT]
    return bool(texts) and all(isinstance(v, str) for v in texts) and any(v.lower() in _WORDS for v in texts)


def _mapped(document: dict[str, Any]) -> Iterator[Part]:
    for name, value in document.items():
        if isinstance(value, str | dict) and name != SELF and name.lower() not in _ABOUT:
            yield from _named(name, value, 0)
