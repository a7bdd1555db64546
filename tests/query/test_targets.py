"""Public addresses are parsed into a bounded set of targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.badges import MAX_LABEL, BadgeKind
from query.feeds import FEEDS
from query.status_document import Window
from query.statuspage import FILES
from query.targets import Target, target_of


@pytest.mark.parametrize(
    ("address", "target"),
    [
        (b"/p/acme", Target("page", "acme")),
        (b"/p/acme?utm_source=mail", Target("page", "acme")),
        (b"/status/acme", Target("status", "acme")),
        (b"/status/acme?v=1&x=2", Target("status", "acme")),
        (b"/p/acme/history.atom", Target("feed", "acme", file="history.atom")),
        (b"/p/acme/maintenance.ics", Target("feed", "acme", file="maintenance.ics")),
        (b"/p/acme/api/v2/incidents/unresolved.json", Target("v2", "acme", file="incidents/unresolved")),
        (b"/badges/acme/status.svg", Target("svg", "acme")),
        (b"/badges/acme/status.svg?window=7d", Target("svg", "acme")),
        (b"/badges/acme/uptime.json?window=7d", Target("json", "acme", "", BadgeKind.UPTIME, Window.WEEK)),
        (b"/badges/acme/api/latency.svg?label=API", Target("svg", "acme", "api", BadgeKind.LATENCY, label="API")),
    ],
)
def test_an_address_names_its_target(address: bytes, target: Target) -> None:
    assert target_of(address) == target


@pytest.mark.parametrize(
    "address",
    [
        b"/",
        b"*",
        b"/v1/monitors",
        b"/p/acme/history.xml",
        b"/p/acme/api/v2/summary",
        b"/p/acme/api/v2/x.json",
        b"/status/acme?v=2",
        b"/badges/acme/status.png",
        b"/badges/acme/uptime.svg?window=31d",
        b"/badges/acme/uptime.svg?label=" + b"x" * 61,
    ],
)
def test_other_addresses_are_left_to_fastapi(address: bytes) -> None:
    assert target_of(address) is None


@given(
    st.sampled_from(["", "api"]),
    st.sampled_from(["svg", "json"]),
    st.sampled_from(Window),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_LABEL),
)
def test_the_address_of_a_badge_has_it_as_target(monitor: str, view: str, window: Window, label: str) -> None:
    target = Target(view, "acme", monitor, BadgeKind.UPTIME, window, label)

    assert target_of(target.address) == target


@pytest.mark.parametrize(
    "target",
    [
        Target("page", "acme"),
        Target("status", "acme"),
        *(Target("v2", "acme", file=file) for file in FILES),
        *(Target("feed", "acme", file=file) for file in FEEDS),
    ],
)
def test_the_address_of_a_page_and_its_files_has_them_as_target(target: Target) -> None:
    assert target_of(target.address) == target


@given(st.binary(max_size=2_000))
def test_no_address_breaks_it(query: bytes) -> None:
    target_of(query)
    target_of(b"/badges/a/uptime.svg?" + query)
    target_of(b"/status/a?" + query)
