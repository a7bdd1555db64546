"""Public addresses are parsed into a bounded set of targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.badges import BadgeKind
from query.status_document import Window
from query.targets import Target, target_of


@pytest.mark.parametrize(
    ("path", "query", "target"),
    [
        ("/p/acme", b"", Target("page", "acme")),
        ("/p/acme", b"utm_source=mail", Target("page", "acme")),
        ("/status/acme", b"", Target("status", "acme")),
        ("/status/acme", b"v=1&x=2", Target("status", "acme")),
        ("/p/acme/history.atom", b"", Target("feed", "acme", file="history.atom")),
        ("/p/acme/maintenance.ics", b"", Target("feed", "acme", file="maintenance.ics")),
        ("/p/acme/api/v2/incidents/unresolved.json", b"", Target("v2", "acme", file="incidents/unresolved")),
        ("/badges/acme/status.svg", b"", Target("svg", "acme")),
        ("/badges/acme/status.svg", b"window=7d", Target("svg", "acme")),
        ("/badges/acme/uptime.json", b"window=7d", Target("json", "acme", "", BadgeKind.UPTIME, Window.WEEK)),
        ("/badges/acme/api/latency.svg", b"label=API", Target("svg", "acme", "api", BadgeKind.LATENCY, label="API")),
    ],
)
def test_an_address_names_its_target(path: str, query: bytes, target: Target) -> None:
    assert target_of(path, query) == target


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", b""),
        ("*", b""),
        ("/v1/monitors", b""),
        ("/p/acme/history.xml", b""),
        ("/p/acme/api/v2/summary", b""),
        ("/p/acme/api/v2/x.json", b""),
        ("/status/acme", b"v=2"),
        ("/badges/acme/status.png", b""),
        ("/badges/acme/uptime.svg", b"window=31d"),
        ("/badges/acme/uptime.svg", b"label=" + b"x" * 61),
    ],
)
def test_other_addresses_are_left_to_fastapi(path: str, query: bytes) -> None:
    assert target_of(path, query) is None


@given(st.text(max_size=200), st.binary(max_size=2_000))
def test_no_address_breaks_it(path: str, query: bytes) -> None:
    target_of(path, query)
    target_of("/badges/a/uptime.svg", query)
    target_of("/status/a", query)
