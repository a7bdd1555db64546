"""The format of API keys."""

from hypothesis import given
from hypothesis import strategies as st

from query.keys import Caller, new_key, opens, parse_key
from schemas.monitors import KeyScope


def test_a_new_key_opens_with_its_own_secret_alone() -> None:
    text, kept = new_key("ci", [KeyScope.READ], None)
    other, _ = new_key("ci", [KeyScope.READ], None)
    parts, other_parts = parse_key(text), parse_key(other)
    assert parts is not None
    assert other_parts is not None
    assert parts[0] == kept.id
    assert opens(kept, parts[1], now_ms=0)
    assert not opens(kept, other_parts[1], now_ms=0)
    assert not opens(kept, "", now_ms=0)


def test_a_key_is_good_until_it_expires() -> None:
    text, kept = new_key("ci", [KeyScope.READ], expires_at=1_000)
    parts = parse_key(text)
    assert parts is not None
    assert opens(kept, parts[1], now_ms=999)
    assert not opens(kept, parts[1], now_ms=1_000)


@given(st.text())
def test_any_text_is_a_key_or_not_and_never_an_error(text: str) -> None:
    parts = parse_key(text)
    assert parts is None or text == f"pulse_{parts[0]}_{parts[1]}"


def test_admin_includes_the_other_scopes_and_they_include_nothing() -> None:
    admin = Caller("default", "key:a", frozenset({KeyScope.ADMIN}))
    reader = Caller("default", "key:b", frozenset({KeyScope.READ}))
    assert all(admin.may(scope) for scope in KeyScope)
    assert [scope for scope in KeyScope if reader.may(scope)] == [KeyScope.READ]
