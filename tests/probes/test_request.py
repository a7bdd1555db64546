"""Requests and what redirects and cookies make of them, whatever a server sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.request import CheckCookies, Request, redirected
from probes.wire.failed import FetchFailed
from schemas.enums import Reason
from schemas.urls import parse_url

START = Request("GET", parse_url("http://sample.test/a/b?c"), headers=(("X-Api-Key", "k1"), ("Cookie", "mine=0")))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "http://sample.test/x"),
        ("x", "http://sample.test/a/x"),
        ("?y=1", "http://sample.test/a/b?y=1"),
        ("../../../x", "http://sample.test/x"),
        ("//other.test/x", "http://other.test/x"),
        ("HTTPS://Other.Test", "https://other.test/"),
        ("/caf\xc3\xa9", "http://sample.test/caf%C3%A9"),
        ("/caf\xe9", "http://sample.test/caf%C3%A9"),
    ],
)
def test_a_location_is_taken_as_browsers_do(location: str, url: str) -> None:
    assert str(redirected(START, 302, location).url) == url


@pytest.mark.parametrize("location", ["/ {}", "http://a b/{}", "http://[/{}", "ftp://sample.test/{}"])
def test_a_location_is_told_whole_so_that_a_secret_in_it_is_found(location: str) -> None:
    path = "x" * 190 + "hush-hush"

    with pytest.raises(FetchFailed) as refused:
        redirected(START, 302, location.format(path))

    assert path in refused.value.message


def test_from_http_to_https_no_header_of_the_user_travels() -> None:
    assert redirected(START, 301, "https://sample.test/").headers == ()
    assert redirected(START, 301, "/next").headers == START.headers


def test_what_the_body_is_and_what_is_wanted_is_told_wherever_a_redirect_leads() -> None:
    told = (("Content-Type", "application/json"), ("accept", "application/json"))
    asked = Request("POST", parse_url("http://sample.test/"), headers=(*told, ("X-Api-Key", "k1")), body=b"{}")

    same_request = redirected(asked, 308, "https://sample.test/")
    get = redirected(asked, 303, "https://sample.test/")

    assert (same_request.body, same_request.headers) == (b"{}", told)
    assert (get.body, get.headers) == (b"", told[1:])


def test_cookies_follow_the_users_own_and_are_not_doubled_from_hop_to_hop() -> None:
    cookies = CheckCookies()

    cookies.take(START.url, [("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; Path=/other")])
    cookies.take(START.url, [("set-cookie", "a=3; Path=/")])

    cookies.put_into(START)
    sent = cookies.put_into(START)

    assert [value for name, value in sent.headers if name.lower() == "cookie"] == ["mine=0; a=3"]


def test_cookies_stay_with_their_host() -> None:
    cookies = CheckCookies()
    cookies.take(START.url, [("set-cookie", "a=1"), ("set-cookie", "b=1; Domain=other.test")])

    elsewhere = redirected(START, 302, "http://other.test/")

    assert cookies.put_into(elsewhere) is elsewhere


@given(st.text(st.characters(max_codepoint=255), max_size=60) | st.sampled_from(["http://xn--a/", "//[", "http://[::"]))
def test_any_location_leads_on_or_is_refused_with_its_reason(location: str) -> None:
    try:
        request = redirected(START, 302, location)
    except FetchFailed as failed:
        assert failed.reason is Reason.REDIRECT
    else:
        assert not request.fault


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from(["sample.test", "xn--a.test", "[::1]"]))
def test_any_cookie_is_kept_or_left(cookie: str, host: str) -> None:
    url = parse_url(f"http://{host}/")
    cookies = CheckCookies()
    try:
        cookies.take(url, [("set-cookie", cookie), ("set-cookie", "a=1")])
        request = cookies.put_into(Request("GET", url))
    except FetchFailed as failed:
        assert failed.reason is Reason.REDIRECT
    else:
        assert not request.fault, request.fault
