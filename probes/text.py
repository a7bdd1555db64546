"""Texts of strangers, made fit to keep and to show: bounded, without control characters, without secrets."""

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import quote, quote_plus

import msgspec

MAX_TEXT: Final = 300
MAX_EVIDENCE_BODY: Final = 2_048
REDACTED: Final = "***"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_CHARSET: Final = re.compile(
    r"""charset=["']?(latin1|iso-8859-(?:1[013-6]|[1-9])|windows-125[0-8]|koi8-[ru]|utf-16(?:le|be)?"""
    r"""|shift_jis|euc-jp|euc-kr|iso-2022-jp|gb2312|gbk|gb18030|big5)["']?(?:[\s;]|$)""",
    re.IGNORECASE,
)
"""Charsets of web pages, by names that Python knows; some others that it knows take long."""


def clean(text: str, limit: int = MAX_TEXT, *, keep: str = "") -> str:
    """At most `limit` characters; what does not print (controls, bidi marks, surrogates) is replaced."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _REPLACEMENT for c in text)


def text_of(body: bytes, headers: Iterable[tuple[str, str]]) -> str:
    """A body as text, without a byte order mark; what does not decode is replaced."""
    charset = _CHARSET.search(next((value for name, value in headers if name == "content-type"), ""))
    return body.decode(charset[1] if charset else "utf-8", "replace").removeprefix("\ufeff")


def shown(value: object) -> str:
    """A JSON value as people read it: `"fail"`, `12`, `null`, `["a"]`."""
    return clean(shown_whole(value))


def shown_whole(value: object) -> str:
    """The same, uncut."""
    return msgspec.json.encode(value).decode("utf-8", "replace")


class Redactor:
    """Replaces secrets, in each form in which a server may echo them, by `***`.

    Before a text is cut, never after: half a secret is not found any more.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, REDACTED)
        return text


NOTHING_SECRET: Final = Redactor()


def _forms(secret: str) -> set[str]:
    in_json = [json.dumps(secret, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (False, True)]
    html = escape(secret)
    return {
        secret,
        secret.encode().decode("latin-1"),  # in headers
        *(quote(secret, safe=""), quote(secret), quote_plus(secret)),
        *(form for each in in_json for form in (each, each.replace("/", "\\/"))),
        *(html, html.replace("&quot;", "&#34;").replace("&#x27;", "&#39;")),
    }
