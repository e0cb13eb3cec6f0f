"""Thrift's compact encoding, as far as Parquet's heads and footers need it: whole numbers, booleans, text, lists, structs.

A byte may be an empty struct and becomes an object of a hundred, so the reader of a head says how many values it may hold.
"""

from typing import Any

_DEEPEST = 12
_LONGEST_VARINT = 63

Struct = dict[int, Any]
"""Values by field number."""


def read_struct(data: bytes, position: int, end: int, most_values: int) -> tuple[Struct, int]:
    """The struct at a position, and where it ends. Raises `ValueError` for what is none, reaches past `end` or holds too much."""
    reader = _Reader(data, position, end, most_values)
    try:
        found = reader.struct(0)
    except IndexError:
        raise ValueError("a head is cut short") from None
    if reader.position > end:
        raise ValueError("a head is cut short, or too long")
    return found, reader.position


class _Reader:
    def __init__(self, data: bytes, position: int, end: int, values_left: int) -> None:
        self._data = data
        self._end = end
        self._values_left = values_left
        self.position = position

    def struct(self, depth: int) -> Struct:
        if depth > _DEEPEST:
            raise ValueError("a head is nested too deeply")
        found: Struct = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else _zigzag(self._varint())
            kind = head & 15
            self._spend(1)
            found[field] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return _zigzag(self._varint())
            case 7:
                self.position += 8
                return None
            case 8:
                return self._bytes(self._varint())
            case 9 | 10:
                return self._list(depth + 1)
            case 12:
                return self.struct(depth + 1)
            case _:
                raise ValueError("a head holds what Parquet has not")

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:
            raise ValueError("a head is nested too deeply")
        head = self._byte()
        count = head >> 4
        if count == 15:
            count = self._varint()
        self._spend(count)
        return [self._value(head & 15, depth) for _ in range(count)]

    def _spend(self, values: int) -> None:
        self._values_left -= values
        if self._values_left < 0:
            raise ValueError("a head holds too many values")

    def _byte(self) -> int:
        byte = self._data[self.position]
        self.position += 1
        return byte

    def _bytes(self, length: int) -> bytes:
        begin = self.position
        self.position += length
        if self.position > self._end:
            raise ValueError("a head is cut short, or too long")
        return self._data[begin : self.position]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > _LONGEST_VARINT:
                raise ValueError("a number is too long")


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
