import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.enums import Outcome
from schemas.events import CheckBatch, Tick, encode
from stream.dead_letters import LogRecord, messages_of, read_event, without_unknown_monitors
from tests.stream.world import START_AT, result

BROKER_TAKES_BYTES = 1 << 20


def record(value: bytes) -> LogRecord:
    return LogRecord(3, 17, START_AT, value)


def test_that_an_event_is_read() -> None:
    event, letters = read_event(record(encode(Tick(START_AT))))

    assert event == Tick(START_AT)
    assert letters == []


@given(st.binary(max_size=200))
def test_that_bytes_that_are_no_event_become_one_dead_letter_with_all_of_them(value: bytes) -> None:
    event, letters = read_event(record(value))

    assert event is None
    assert [(letter.partition, letter.offset, letter.value) for letter in letters] == [(3, 17, value)]


def test_that_a_deeply_nested_value_is_a_dead_letter() -> None:
    _, letters = read_event(record(b'{"type":"tick","at":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"))

    assert len(letters) == 1


@pytest.mark.parametrize(
    "value",
    [
        b"\xff" * 1_000_000,
        b'{"type":"check-batch","probe":"p","region":"r","sent_at":1,"results":[{"outcome":"%s"}]}' % (b"x" * 900_000),
    ],
)
def test_that_a_dead_letter_is_never_larger_than_a_broker_takes(value: bytes) -> None:
    _, letters = read_event(record(value))

    (message,) = messages_of(letters)
    assert len(message.value) < BROKER_TAKES_BYTES
    assert letters[0].value in value
    assert " bytes)" in letters[0].error


@given(st.lists(st.sampled_from(["good", "no monitor", "negative", "beyond"]), max_size=6))
def test_that_only_the_bad_results_of_a_batch_are_lost(kinds: list[str]) -> None:
    values = {
        "good": msgspec.json.encode(result("default/m", START_AT, Outcome.UP)),
        "no monitor": b'{"scheduled_at":1}',
        "negative": msgspec.json.encode(result("default/m", START_AT)).replace(b'"total_us":1000', b'"total_us":-1'),
        "beyond": msgspec.json.encode(result("default/m", START_AT)).replace(b":1000}", b":99999999999}"),
    }
    text = b",".join(values[kind] for kind in kinds)
    value = b'{"type":"check-batch","probe":"p","region":"r","sent_at":1,"results":[' + text + b"]}"

    event, letters = read_event(record(value))

    assert isinstance(event, CheckBatch)
    assert len(event.results) == kinds.count("good")
    assert [letter.value for letter in letters] == [values[kind] for kind in kinds if kind != "good"]


def test_that_results_of_unknown_monitors_leave_their_neighbours() -> None:
    batch = CheckBatch("p", "r", START_AT, (result("default/a", START_AT), result("default/b", START_AT)))

    event, letters = without_unknown_monitors(record(b""), batch, {"default/b"})

    assert isinstance(event, CheckBatch)
    assert [each.monitor for each in event.results] == ["default/a"]
    assert len(letters) == 1
