"""The events on the wire: golden examples, old readers, malformed bytes."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schemas.events import UNREADABLE, Event, LogEvent, Tick, decode, decode_log, encode

EXAMPLES = sorted((Path(__file__).parents[2] / "schemas" / "examples").glob("*.json"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_golden_example_is_encoded_to_the_same_bytes(example: Path) -> None:
    value = example.read_bytes().rstrip(b"\n")

    assert encode(decode(value)) == value


def test_every_event_has_a_golden_example() -> None:
    examples = {type(decode(example.read_bytes())) for example in EXAMPLES}

    assert examples == set(get_args(Event))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_fields_of_a_newer_writer_are_ignored(example: Path) -> None:
    newer = msgspec.json.decode(example.read_bytes()) | {"field_of_tomorrow": {"a": [1]}}

    assert decode(msgspec.json.encode(newer)) == decode(example.read_bytes())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_partition_log_takes_its_own_events_only(example: Path) -> None:
    event = decode(example.read_bytes())

    if isinstance(event, get_args(LogEvent)):
        assert decode_log(example.read_bytes()) == event
    else:
        with pytest.raises(UNREADABLE):
            decode_log(example.read_bytes())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"null",
        b'{"type":"tick"}',
        b'{"type":"tick","at":-1}',
        b'{"type":"tick","at":9999999999999999}',
        b'{"type":"tock","at":1}',
        b'{"type":"check-batch","probe":"p","region":"r","sent_at":1,"results":[{"monitor":""}]}',
        b'\xff{"type":"tick","at":1}',
    ],
)
def test_what_is_no_event_is_refused(value: bytes) -> None:
    with pytest.raises(UNREADABLE):
        decode(value)


def test_an_event_of_the_log_is_an_event() -> None:
    assert decode(encode(Tick(5))) == decode_log(encode(Tick(5))) == Tick(5)
