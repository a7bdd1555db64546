"""Joins Parquet files of the same columns into one, piece by piece: row groups are copied, only the footer is written.

A footer is a struct of Thrift's compact protocol. It is read without its schema, so that fields of newer versions of
the format are kept; what changes is the number of rows, the list of row groups, and where their parts begin.
"""

import struct
from typing import Any, Final

MAGIC: Final = b"PAR1"
TAIL_BYTES: Final = 8
"""The footer's length, and the magic again."""

Fields = dict[int, tuple[int, Any]]
"""A struct: type and value by the field's number. A list's value is the type of its elements, and they."""

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)

NUM_ROWS, ROW_GROUPS = 3, 4
GROUP_COLUMNS, GROUP_OFFSET, GROUP_ORDINAL = 1, 5, 7
CHUNK_OFFSETS, CHUNK_META_DATA = (2, 4, 6), 3
META_DATA_OFFSETS: Final = (9, 10, 11, 14)


class ParquetJoin:
    """The bytes of one file: those of `add` for each file, then those of `end`."""

    def __init__(self) -> None:
        self._written = len(MAGIC)
        self._footer: Fields = {}

    def add(self, file: bytes) -> bytes:
        """Take in a whole file; the bytes to write."""
        (length,) = struct.unpack("<I", file[-TAIL_BYTES:-4])
        footer_at = len(file) - TAIL_BYTES - length
        footer = Reader(file, footer_at).struct()
        for group in footer[ROW_GROUPS][1][1]:
            _move(group, self._written - len(MAGIC))
        first, body = not self._footer, file[len(MAGIC) : footer_at]
        if first:
            self._footer = footer
        else:
            self._footer[ROW_GROUPS][1][1].extend(footer[ROW_GROUPS][1][1])
            self._footer[NUM_ROWS] = (I64, self._footer[NUM_ROWS][1] + footer[NUM_ROWS][1])
        self._written += len(body)
        return MAGIC + body if first else body

    def end(self) -> bytes:
        """The footer of all."""
        written = Writer()
        written.struct(self._footer)
        return bytes(written.data) + struct.pack("<I", len(written.data)) + MAGIC


def _move(group: Fields, by: int) -> None:
    group.pop(GROUP_ORDINAL, None)  # 16 bits, which many files outgrow; it may be left out
    _shift(group, (GROUP_OFFSET,), by)
    for chunk in group[GROUP_COLUMNS][1][1]:
        _shift(chunk, CHUNK_OFFSETS, by)
        _shift(chunk[CHUNK_META_DATA][1], META_DATA_OFFSETS, by)


def _shift(fields: Fields, numbers: tuple[int, ...], by: int) -> None:
    for number in numbers:
        kind, value = fields.get(number, (I64, 0))
        if value:  # 0 is what writers say that have no such place
            fields[number] = (kind, value + by)


class Reader:
    """Reads values of the compact protocol, one after the other."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._position = position

    def struct(self) -> Fields:
        """A struct, up to its end."""
        fields: Fields = {}
        number = 0
        while head := self._byte():
            kind, step = head & 15, head >> 4
            number = number + step if step else self._signed()
            fields[number] = (kind, kind == TRUE if kind in (TRUE, FALSE) else self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._take(8)
            case 8:
                return self._take(self._unsigned())
            case 9 | 10:
                return self._list()
            case 12:
                return self.struct()
        raise ValueError(f"a footer has no values of type {kind}")

    def _list(self) -> tuple[int, list[Any]]:
        head = self._byte()
        kind, count = head & 15, head >> 4
        count = self._unsigned() if count == 15 else count
        return kind, [self._byte() if kind in (TRUE, FALSE) else self._value(kind) for _ in range(count)]

    def _byte(self) -> int:
        return self._take(1)[0]

    def _take(self, count: int) -> bytes:
        self._position += count
        return self._data[self._position - count : self._position]

    def _unsigned(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)


class Writer:
    """Writes what a Reader has read."""

    def __init__(self) -> None:
        self.data = bytearray()

    def struct(self, fields: Fields) -> None:
        """A struct, and its end."""
        last = 0
        for number, (told, value) in sorted(fields.items()):
            kind = (TRUE if value else FALSE) if told in (TRUE, FALSE) else told
            if number - last < 16:
                self.data.append((number - last) << 4 | kind)
            else:
                self.data.append(kind)
                self._signed(number)
            if kind not in (TRUE, FALSE):
                self._value(kind, value)
            last = number
        self.data.append(0)

    def _value(self, kind: int, value: Any) -> None:
        match kind:
            case 3:
                self.data.append(value)
            case 4 | 5 | 6:
                self._signed(value)
            case 7:
                self.data += value
            case 8:
                self._unsigned(len(value))
                self.data += value
            case 9 | 10:
                self._list(*value)
            case 12:
                self.struct(value)

    def _list(self, kind: int, values: list[Any]) -> None:
        self.data.append(min(len(values), 15) << 4 | kind)
        if len(values) >= 15:
            self._unsigned(len(values))
        for value in values:
            self._value(BYTE if kind in (TRUE, FALSE) else kind, value)

    def _unsigned(self, value: int) -> None:
        while value > 127:
            self.data.append(value & 127 | 128)
            value >>= 7
        self.data.append(value)

    def _signed(self, value: int) -> None:
        self._unsigned(value << 1 ^ value >> 63)
