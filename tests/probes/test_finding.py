"""What a JSONPath finds is what jsonpath-ng says, which takes much longer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.finding import compile_finder
from schemas.expressions import compile_jsonpath

SUBJECTS = ("@", "@.a", "@.b", "@[0]", "@['é'].a")
OPERATORS = ("==", "=", "!=", "<", "<=", ">", ">=")
OPERANDS = ("1", "0.5", "-1", "true", "false", "null", "'a'", "'é'", '"1"', "@.b")
FILTERS = (
    *(f"[?({subject})]" for subject in SUBJECTS),
    *(f"[?(!{subject})]" for subject in SUBJECTS),
    *(f"[?({subject} {word} {operand})]" for subject in SUBJECTS for word in OPERATORS for operand in OPERANDS),
    "[?(@.a == 1 && @.b != 'a')]",
)
STEPS = (".a", ".b", "['é']", "['a','b']", ".*", "[*]", "[0]", "[-1]", "[0,1]", "[1:]", "[:2]", "[::-1]", "[::0]")

scalars = st.none() | st.booleans() | st.sampled_from([0, 1, -1, 0.5, 1.0]) | st.sampled_from(["", "a", "é", "1"])
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "é"]), inner, max_size=3),
    max_leaves=12,
)
steps = st.sampled_from(STEPS) | st.sampled_from(FILTERS)
paths = st.builds(
    lambda before, deep, after: "$" + "".join(before) + deep + "".join(after),
    st.lists(steps, max_size=2),
    st.sampled_from(["", "..a", "..*", "..[0]", "..['a','b']"]),
    st.lists(steps, max_size=2),
)


@given(paths, documents)
def test_it_finds_what_jsonpath_ng_finds_in_its_order(path: str, document: Any) -> None:
    found, missing = compile_finder(path)(document)

    assert repr(found) == repr([match.value for match in compile_jsonpath(path).find(document)])
    assert bool(missing) or found


@pytest.mark.parametrize("condition", FILTERS)
def test_every_condition_holds_where_it_does_for_jsonpath_ng(condition: str) -> None:
    values = [None, True, False, 0, 1, 1.0, 0.5, "a", "1", "é", [], [1], [True], {}, {"a": 1}]
    document = [*values, *({"a": left, "b": right} for left in values for right in values), {"é": {"a": "é"}}]

    found, _ = compile_finder(f"$.all{condition}")({"all": document})

    assert repr(found) == repr([match.value for match in compile_jsonpath(f"$.all{condition}").find({"all": document})])
