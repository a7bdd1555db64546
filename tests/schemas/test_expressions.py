"""Which expressions of users may run: those whose cost is bounded."""

from typing import Any

import pytest

from schemas.expressions import InvalidExpression, compile_jsonpath, compile_regex

DEEP: Any = {}
for _ in range(60):
    DEEP = {"a": DEEP, "b": [DEEP if len(str(DEEP)) < 100 else 1, 2]}
WIDE = [{"a": number, "b": number % 7, "c": {"d": "x"}} for number in range(4_000)]


@pytest.mark.parametrize(
    "path",
    [
        "$",
        "$.database",
        "$.a.b[0].c",
        "$['with space']",
        "$[*].currency",
        "$.*",
        "$..id",
        "$.a[1:3]",
        "$.a[0,1]",
        "$[?(@.a == 'x')].b",
        "$[?(@.a > 1 && @.b < 2)]",
        "$[?(@.a == @.b)]",
    ],
)
@pytest.mark.timeout(60)
def test_ordinary_paths_are_allowed_and_come_to_an_end(path: str) -> None:
    expression = compile_jsonpath(path)

    for document in (DEEP, WIDE):
        assert isinstance(expression.find(document), list)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "database",
        "$.",
        "$..a..b",
        "$..*..*",
        "$..$",
        "$.a.$",
        "$.a" * 60,
        "$" + ".a" * 60,
        "$" + ".a,b" * 10,
        "$" + "[0,0]" * 10,
        "$[?(@.a =~ '(a*)*b')]",
        "$.a.`len`",
        "$.a + $.b",
        "$[?(@..a == 1)]",
        "$[?(@.a == $.b)]",
        "$[?(@.a[*] == 1)]",
        "$[?(@.a == 1 || @.b == 2)]",
        "$.a.`parent`",
        "$[\\@.a]",
        "$." + "a" * 600,
        "$" + "(" * 400,
    ],
)
def test_what_could_run_away_or_means_nothing_is_refused_with_a_reason(path: str) -> None:
    with pytest.raises(InvalidExpression) as refused:
        compile_jsonpath(path)

    assert str(refused.value)


@pytest.mark.timeout(60)
def test_a_regex_that_explodes_elsewhere_comes_to_an_end() -> None:
    assert compile_regex("(a*)*b").search("a" * 60_000) is None


@pytest.mark.parametrize("pattern", ["(", "a" * 501, r"(a)\1", "(?=a)", "((((a{100}){100}){100}){100})"])
def test_what_re2_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidExpression):
        compile_regex(pattern)
