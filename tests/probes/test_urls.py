"""URLs that users give: what is parsed is what is connected to, and the rest is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.urls import BAD_PORTS, InvalidUrl, Url, parse_url

TAKEN = {
    "http://example.com": Url("http", "example.com", 80, "/"),
    "HTTPS://Example.COM./a?b#c": Url("https", "example.com", 443, "/a?b"),
    "http://example.com:8080?x=1": Url("http", "example.com", 8080, "/?x=1"),
    "https://münchen.example/ü": Url("https", "xn--mnchen-3ya.example", 443, "/%C3%BC"),
    "http://[2620:FE:0::FE]:8080/": Url("http", "2620:fe::fe", 8080, "/"),
    "http://127.0.0.1:8000/health": Url("http", "127.0.0.1", 8000, "/health"),
    "http://\uff11\uff10.\uff10.\uff10.\uff17/": Url("http", "10.0.0.7", 80, "/"),
    "http://under_score.example/": Url("http", "under_score.example", 80, "/"),
    "http://api/": Url("http", "api", 80, "/"),
    "http://example.com#@10.0.0.1/": Url("http", "example.com", 80, "/"),
}
REFUSED = [
    "",
    "example.com",
    "//example.com/",
    "http:/example.com/",
    "http://",
    "http:///path",
    "ftp://example.com/",
    "javascript:alert(1)",
    "http://user@example.com/",
    "http://user:pw@example.com/",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com/\n",
    "http://10.0.0.1\\@example.com/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:8o/",
    "http://example.com:\uff18\uff10/",
    "http://example.com:25/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0300.0250.0.7/",
    "http://1.2.3.4.5/",
    "http://300.1.1.1/",
    "http://a..example.com/",
    "http://-a.example.com/",
    "http://" + "a" * 64 + ".example.com/",
    "http://" + "a." * 130 + "com/",
    "http://exa%6dple.com/",
    "http://[::1/",
    "http://[fe80::1%25eth0]/",
    "http://[12345::]/",
    "http://fe80::1/",
    "http://example.com/\ud800",
    "http://example.com/" + "a" * 2_048,
]


@pytest.mark.parametrize(("text", "url"), TAKEN.items())
def test_a_url_is_parsed_into_what_is_connected_to(text: str, url: Url) -> None:
    assert parse_url(text) == url


@pytest.mark.parametrize("text", REFUSED)
def test_what_would_need_repair_is_refused(text: str) -> None:
    with pytest.raises(InvalidUrl):
        parse_url(text)


@pytest.mark.parametrize("port", sorted(BAD_PORTS))
def test_ports_of_other_protocols_are_refused(port: int) -> None:
    with pytest.raises(InvalidUrl, match=str(port)):
        parse_url(f"http://example.com:{port}/")


@pytest.mark.parametrize("text", TAKEN)
def test_a_url_written_out_parses_to_itself(text: str) -> None:
    url = parse_url(text)

    assert parse_url(str(url)) == url


@given(st.text(max_size=60), st.sampled_from(["http://", "https://", "http://[", ""]))
def test_any_text_is_a_url_or_is_refused(text: str, start: str) -> None:
    try:
        url = parse_url(start + text)
    except InvalidUrl:
        return
    line = f"{url.target} {url.authority}"
    assert line.isascii()
    assert "\r" not in line
    assert "\n" not in line
    assert url.target.startswith("/")
    assert " " not in url.target


def test_an_address_is_told_from_a_name() -> None:
    assert parse_url("http://127.0.0.1/").is_address
    assert parse_url("http://[::1]/").is_address
    assert not parse_url("http://a1.example/").is_address
    assert not parse_url("http://4.example4/").is_address
