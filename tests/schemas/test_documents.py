"""`pulse.yaml`: what it may say, and that every error has its line and column."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.documents import (
    MAX_DOCUMENT_BYTES,
    InvalidDocument,
    PulseDocument,
    errors_in,
    load_document,
    parse_document,
)


def errors_of(text: str) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        parse_document(text)
    return str(caught.value).splitlines()


def test_the_design_s_example_is_read() -> None:
    document = parse_document(
        """\
monitors:
  - slug: api
    url: https://api.example.com/health
    interval: 30s
    assertions:
      - jsonpath: $.database
        equals: ok
        severity: degraded
pages:
  - slug: acme
    title: Acme
    domains: [status.acme.dev]
    groups: [{name: API, monitors: [api]}]
maintenances:
  - slug: database-upgrade
    title: Database upgrade
    monitors: [api]
    starts_at: 2026-12-01T02:00:00Z
    ends_at: 2026-12-01T04:00:00+01:00
"""
    )
    [monitor] = document.monitors
    assert (monitor.slug, monitor.interval_ms) == ("api", 30_000)
    assert monitor.assertions[0].equals == "ok"
    assert document.pages[0].groups[0].monitors == ["api"]
    [maintenance] = document.maintenances
    assert maintenance.ends_at - maintenance.starts_at == 3_600_000


def test_the_demo_s_document_is_read() -> None:
    path = Path(__file__).parents[2] / "infra" / "demo" / "pulse.yaml"
    assert [page.slug for page in load_document(path).pages] == ["demo"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "{}", "monitors: []"])
def test_a_document_may_be_empty(text: str) -> None:
    assert parse_document(text) == PulseDocument.model_validate({})


def test_all_errors_are_told_at_once_in_the_order_of_their_places() -> None:
    assert errors_of(
        """\
monitors:
  - slug: api
    url: ftp://x
    intervall: 30s
    assertions:
      - jsonpath: $.database
        equals: ok
        severity: bad
  - slug: Web
    url: http://x.com
    interval: 3x
    policy: {confirmation: 2}
  - slug: nowhere
pages:
  - titel: x
    slug: acme
    groups: {}
zzz: 1
"""
    ) == [
        "pulse.yaml:3:5: monitors[0].url: write http:// or https://, a host, and no user name or password in the URL",
        "pulse.yaml:4:5: monitors[0].intervall: unknown field; did you mean interval?",
        "pulse.yaml:8:9: monitors[0].assertions[0].severity: Input should be 'degraded' or 'down'",
        "pulse.yaml:9:5: monitors[1].slug: "
        "a slug has lower case letters, digits and inner hyphens, 64 characters at most",
        "pulse.yaml:11:5: monitors[1].interval: "
        "not a duration: '3x'; write a number and a unit, like 500ms, 30s, 5m or 1h",
        "pulse.yaml:12:14: monitors[1].policy.confirmation: unknown field; did you mean confirmations?",
        "pulse.yaml:13:5: monitors[2].url: is missing",
        "pulse.yaml:15:5: pages[0].titel: unknown field; did you mean title?",
        "pulse.yaml:17:5: pages[0].groups: should be a list",
        "pulse.yaml:18:1: zzz: unknown field",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("monitors: [", "1:12: not YAML"),
        (
            "a: {b: Bearer ${TOKEN}}",
            "1:16: not YAML: while parsing a flow mapping, expected ',' or '}', but got '{'; look",
        ),
        ("a: b: c", "1:5: not YAML: mapping values are not allowed here; look at the indentation, and put quotes"),
        ("a: 1\na: 2", "2:1: a: is given twice"),
        ("- a", "1:1: should be a mapping of fields"),
        ("monitors: 3", "1:1: monitors: should be a list"),
        ("a: !!python/object:os.system x", "1:4: a: the tag"),
        ("? [a]\n: b", "1:3: a key is a text"),
        ("a: &x [*x]", "1:4: the document is nested deeper"),
        ("a: &x {<<: *x}", "the document is nested deeper"),
        ("a: {<<: 3}", "1:9: a: << merges a mapping"),
        ("[" * 1_500, "nested too deep"),
        ("a: \x07", "1:1: the character #x7 is not allowed"),
        ("--- 1\n--- 2", "another document"),
        ("a: !!int x", "1:4: a: 'x' is not a number"),
        ("a: " + "1" * 5_000, "is not a number"),
        ("#" + "x" * MAX_DOCUMENT_BYTES, "larger than 5 MB"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, told: str) -> None:
    [error] = errors_of(text)
    assert told in error


def test_aliases_cannot_unfold_without_bound() -> None:
    levels = "\n".join(f"b{n}: &b{n} {{<<: [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]}}" for n in range(30))
    [error] = errors_of("a: &a {}\n" + levels)
    assert "more than 500000 values" in error


def test_two_monitors_cannot_have_one_slug() -> None:
    text = "monitors:\n  - {slug: a, url: 'http://a'}\n  - {slug: a, url: 'http://b'}\n"
    assert errors_of(text) == ["pulse.yaml:3:6: monitors[1].slug: a is already the slug of monitors[0]"]


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("interval: 3600", "interval: not a duration: 3600; write a number and a unit, like 500ms, 30s, 5m or 1h"),
        ("interval: 500ms", "interval: this may last from 1s to 1d"),
        ("policy: {flap_start: 20}", "policy: flap_stop (25) is at most flap_start (20)"),
        ("timeout: 5m", "timeout: this may last from 100ms to 1m"),
        ("auth: {bearer: abc}", "auth.bearer: this is a secret: refer to it, like ${API_TOKEN}"),
        ("auth: {basic: {username: 'a:b', password: '${A}'}}", "auth.basic.username: a user name has no colon"),
        (
            "assertions: [{body: text, matches: 'é('}]",
            "assertions[0].matches: not a regular expression (RE2): missing ): é(",
        ),
        ("assertions: [{jsonpath: $.a, exists: false}]", "assertions[0].exists: this can only be true; `exists` and"),
        (f"name: {'x' * 201}", "name: has 200 characters at most"),
        ("assertions: [{status: 2XX}]", "assertions[0].status: write 204, 2xx or 200-299, or several"),
    ],
)
def test_what_is_allowed_is_told_in_words(field: str, told: str) -> None:
    [error] = errors_of(f"monitors: [{{slug: a, url: 'http://a', {field}}}]")
    assert f"monitors[0].{told}" in error


@pytest.mark.parametrize("domain", ["https://status.acme.dev", "Status.acme.dev", "status.acme.dev.", "a..b", "-a.dev"])
def test_a_domain_that_no_request_would_name_is_refused(domain: str) -> None:
    [error] = errors_of(f"pages: [{{slug: a, domains: ['{domain}']}}]")
    assert "pages[0].domains[0]: write a host name alone, in lower case, like status.acme.dev" in error


def test_a_domain_belongs_to_one_page_of_the_document() -> None:
    text = "pages:\n  - {slug: a, domains: [x.dev]}\n  - {slug: b, domains: [y.dev, x.dev]}\n"
    assert errors_of(text) == ["pulse.yaml:3:32: pages[1].domains[1]: x.dev is already pages[0].domains[0]"]


def test_plain_words_are_texts_and_only_true_and_false_are_not() -> None:
    document = parse_document(
        "monitors: [{slug: a, url: 'http://a', assertions: ["
        "{jsonpath: $.a, equals: on}, {jsonpath: $.a, equals: 2024-01-01}, {jsonpath: $.a, equals: true},"
        "{jsonpath: $.a, equals: null}, {jsonpath: $.a, equals: 1.5}, {jsonpath: $.a, equals: 10:30}]}]"
    )
    assert [each.equals for each in document.monitors[0].assertions] == ["on", "2024-01-01", True, None, 1.5, "10:30"]


def test_a_status_may_be_written_as_a_number() -> None:
    document = parse_document("monitors: [{slug: a, url: 'http://a', assertions: [{status: 204}]}]")
    assert document.monitors[0].assertions[0].status == "204"


def test_anchors_and_merge_keys_share_what_is_written_once() -> None:
    document = parse_document(
        """\
monitors:
  - &base {slug: a, url: http://a, interval: 10s}
  - {<<: *base, slug: b}
  - {<<: [{slug: c}, *base], interval: 20s}
"""
    )
    assert [(each.slug, each.interval_ms) for each in document.monitors] == [
        ("a", 10_000),
        ("b", 10_000),
        ("c", 20_000),
    ]


def test_a_file_that_is_not_utf_8_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "pulse.yaml"
    path.write_bytes(b"monitors: []\n# \xff\n")
    with pytest.raises(InvalidDocument, match=r"pulse\.yaml:2:1: this line is not UTF-8"):
        load_document(path)


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "pulse.yaml"
    path.write_bytes(b"\xef\xbb\xbfmonitors: []\n")
    assert load_document(path).monitors == []


def test_errors_that_someone_else_found_get_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "pulse.yaml"
    path.write_text("monitors:\n  - slug: a\n    url: http://a\n    policy:\n      quorum: 3\n")
    told = errors_in(path, [(("monitors", 0, "policy", "quorum"), "no"), (("monitors", 0, "name"), "no, too")])
    assert str(told) == f"{path}:2:5: monitors[0]: no, too\n{path}:5:7: monitors[0].policy.quorum: no"


@given(st.text(max_size=200) | st.from_regex(r"[\[\]{}:,&*a<!| \n-]{0,60}", fullmatch=True))
@example("a: *b")
@example("\ufeff")
@example("%YAML 9.9\n---\n")
def test_any_text_is_a_document_or_has_errors_with_places(text: str) -> None:
    try:
        parse_document(text)
    except InvalidDocument as invalid:
        assert invalid.errors
        assert all(error.line >= 1 and error.column >= 1 and error.message for error in invalid.errors)
