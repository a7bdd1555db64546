"""Facts: the highest version counts, whichever way and in whichever order it comes."""

from itertools import permutations

from query.facts import MAX_INCIDENTS, STALE_AFTER_MS, Facts
from query.reads import ComponentState, Current, Latency
from schemas.enums import IncidentState, Outcome, Reason, Severity, Status
from schemas.events import Incident, StatusChange

NOW = 1_795_000_000_000


def current(version: int, status: Status) -> Current:
    return Current(version, status, NOW, NOW, Reason.OK, "")


def incident(version: int, state: IncidentState = IncidentState.OPEN, name: str = "i", at: int = NOW) -> Incident:
    return Incident(name, "a", version, state, Severity.DOWN, at, at, Reason.TIMEOUT, "")


def test_the_highest_version_of_a_status_counts_in_any_order() -> None:
    for order in permutations([current(1, Status.UP), current(2, Status.DOWN), current(3, Status.DEGRADED)]):
        facts = Facts(NOW)
        for each in order:
            facts.take_current("a", each)

        assert facts.of("a").current == current(3, Status.DEGRADED)


def test_a_pushed_change_is_not_undone_by_an_older_row() -> None:
    facts = Facts(NOW)
    facts.take_change(StatusChange("a", NOW, 7, NOW, Status.UP, Status.DOWN, Reason.TIMEOUT))
    facts.take_current("a", current(6, Status.UP))

    shown = facts.of("a").current
    assert shown is not None
    assert shown.status is Status.DOWN


def test_what_is_corrected_of_the_past_is_not_the_present() -> None:
    facts = Facts(NOW)
    facts.take_current("a", current(5, Status.UP))
    facts.take_change(StatusChange("a", NOW - 60_000, 7, NOW + 1, Status.UP, Status.DOWN, Reason.TIMEOUT))

    assert facts.of("a").current == current(5, Status.UP)


def test_the_highest_version_of_an_incident_counts() -> None:
    facts = Facts(NOW)
    for each in (incident(2, IncidentState.RESOLVED), incident(1)):
        facts.take_incident(each)

    assert facts.of("a").incidents["i"].state is IncidentState.RESOLVED


def test_annulled_incidents_never_were() -> None:
    facts = Facts(NOW)
    facts.take_incident(incident(1))
    facts.take_incident(incident(2, IncidentState.ANNULLED))

    assert facts.of("a").incidents_that_were() == []


def test_a_monitor_keeps_a_bounded_number_of_incidents_the_newest() -> None:
    facts = Facts(NOW)
    for number in range(3 * MAX_INCIDENTS):
        facts.take_incident(incident(1, name=str(number), at=NOW + number))

    kept = facts.of("a").incidents
    assert len(kept) == MAX_INCIDENTS
    assert str(3 * MAX_INCIDENTS - 1) in kept


def test_listeners_hear_of_changes_and_not_of_repetitions() -> None:
    facts, heard = Facts(NOW), list[str]()
    facts.on_change(heard.append)
    for _ in range(3):
        facts.take_current("a", current(1, Status.UP))
        facts.take_incident(incident(1))
        facts.take_components([("a", ComponentState("cache", Outcome.UP, "", NOW))])

    assert heard == ["a", "a", "a"]


def test_a_component_that_is_no_longer_named_is_gone() -> None:
    facts = Facts(NOW)
    facts.take_components([("a", ComponentState("cache", Outcome.UP, "", NOW))])
    facts.take_components([])

    assert facts.of("a").components == ()


def test_a_monitor_that_has_not_answered_for_a_day_has_no_latency() -> None:
    facts, latency = Facts(NOW), Latency(100, 10.0, 20.0, 30.0)
    facts.take_latencies({"a": latency, "b": latency})
    facts.take_latencies({"b": latency})

    assert facts.of("a").latency is None
    assert facts.of("b").latency == latency


def test_asking_for_an_unknown_monitor_leaves_nothing_behind() -> None:
    facts = Facts(NOW)

    assert facts.of("nobody").current is None
    assert facts._monitors == {}


def test_facts_are_stale_once_reading_has_failed_for_a_while() -> None:
    facts = Facts(NOW - 1)
    facts.read_at = NOW

    assert facts.stale_since(NOW + STALE_AFTER_MS) is None
    assert facts.stale_since(NOW + STALE_AFTER_MS + 1) == NOW
    facts.trouble = ""
    assert facts.stale_since(NOW + 10 * STALE_AFTER_MS) is None


def test_facts_that_were_never_read_are_stale_from_the_start() -> None:
    assert Facts(NOW).stale_since(NOW) == NOW
