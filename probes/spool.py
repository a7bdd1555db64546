"""Batches that Kafka could not take yet, on disk: bounded, in order, the oldest thrown away first and counted.

A spool is a folder of segments, each a run of frames `partition, results, length, crc32, bytes`. What a crash cut
off at a segment's end is left out; frames that were delivered just before it are delivered again, which is harmless:
a result's identity makes a double the same result.
"""

import struct
import zlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEGMENT_BYTES: Final = 4 << 20
_HEADER: Final = struct.Struct(">IIII")


@dataclass(frozen=True, slots=True)
class Frame:
    """An encoded batch, where it goes, and how many results it carries."""

    partition: int
    results: int
    value: bytes


@dataclass(slots=True)
class _Segment:
    path: Path
    size_bytes: int
    results: int


class Spool:
    """A queue of frames on disk, of at most `bound_bytes`. One process, one caller at a time."""

    def __init__(self, folder: Path, bound_bytes: int) -> None:
        self.lost_results = 0
        """Results thrown away because the bound was reached."""
        self._folder = folder
        self._bound_bytes = bound_bytes
        self._segments: deque[_Segment] = deque()
        self._head: deque[Frame] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("*.frames")):
            frames = _read(path)
            self._segments.append(_Segment(path, path.stat().st_size, sum(frame.results for frame in frames)))
        self._next = int(self._segments[-1].path.stem) + 1 if self._segments else 0
        self._tail: _Segment | None = None

    def __bool__(self) -> bool:
        return bool(self._segments)

    @property
    def results(self) -> int:
        """Results that wait."""
        return sum(segment.results for segment in self._segments)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(segment.size_bytes for segment in self._segments)

    def append(self, frames: Iterable[Frame]) -> None:
        """Put frames at the end. Raises OSError when the disk does not take them."""
        frames = list(frames)
        data = b"".join(_encoded(frame) for frame in frames)
        tail = self._tail
        if tail is None or tail.size_bytes > SEGMENT_BYTES:
            tail = _Segment(self._folder / f"{self._next:012}.frames", 0, 0)
        with tail.path.open("ab") as file:
            file.truncate(tail.size_bytes)  # a full disk may have taken a part of what it refused
            file.write(data)
        if tail is not self._tail:
            self._tail = tail
            self._segments.append(tail)
            self._next += 1
        tail.size_bytes += len(data)
        tail.results += sum(frame.results for frame in frames)
        self._keep_bound()

    def oldest(self, count: int) -> list[Frame]:
        """The first frames, at most `count`, without taking them out; empty when nothing waits."""
        while self._segments:
            if self._head is None:
                self._head = deque(_read(self._segments[0].path))
                if self._segments[0] is self._tail:
                    self._tail = None  # appends go to a new segment from here on
            if self._head:
                return [self._head[i] for i in range(min(count, len(self._head)))]
            self._drop_oldest()
        return []

    def delivered(self, count: int) -> None:
        """Take out the first `count` of what `oldest` gave, unless they had to make room meanwhile."""
        if self._head is None:
            return
        for _ in range(count):
            self._segments[0].results -= self._head.popleft().results
        if not self._head:
            self._drop_oldest()

    def _keep_bound(self) -> None:
        while self.size_bytes > self._bound_bytes and len(self._segments) > 1:
            self.lost_results += self._segments[0].results
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        segment = self._segments.popleft()
        segment.path.unlink(missing_ok=True)
        self._head = None
        if segment is self._tail:
            self._tail = None


def _encoded(frame: Frame) -> bytes:
    return _HEADER.pack(frame.partition, frame.results, len(frame.value), zlib.crc32(frame.value)) + frame.value


def _read(path: Path) -> list[Frame]:
    """The whole frames of a segment, up to what a crash cut off."""
    data, at, frames = path.read_bytes(), 0, []
    while at + _HEADER.size <= len(data):
        partition, results, length, checksum = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        value = data[at : at + length]
        if len(value) < length or zlib.crc32(value) != checksum:
            break
        frames.append(Frame(partition, results, value))
        at += length
    return frames
