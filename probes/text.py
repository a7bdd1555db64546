"""Texts of strangers, made fit to keep and to show: bounded, without control characters, without secrets."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

import msgspec

MAX_TEXT: Final = 300
MAX_EVIDENCE_BODY: Final = 2_048
REDACTED: Final = "***"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def clean(text: str, limit: int = MAX_TEXT, *, keep: str = "") -> str:
    """At most `limit` characters; what does not print (controls, bidi marks, surrogates) is replaced."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _REPLACEMENT for c in text)


def shown(value: object) -> str:
    """A JSON value as people read it: `"fail"`, `12`, `null`, `["a"]`."""
    return clean(msgspec.json.encode(value).decode("utf-8", "replace"))


class Redactor:
    """Replaces secrets, in each form in which a server may echo them, by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = len(self._forms[0]) if self._forms else 0

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, REDACTED)
        return text

    def excerpt(self, text: str, limit: int, *, keep: str = "") -> str:
        """The beginning of a long text; a secret that the cut would halve is replaced before it."""
        return clean(self(text[: limit + self._longest]), limit, keep=keep)


def _forms(secret: str) -> set[str]:
    escaped = msgspec.json.encode(secret).decode()[1:-1]
    return {secret, quote(secret, safe=""), quote(secret), escaped}
