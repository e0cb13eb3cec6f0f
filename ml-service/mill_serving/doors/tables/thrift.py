"""Thrift's compact encoding, as far as Parquet's heads and footers need it: whole numbers, booleans, text, lists, structs."""

from typing import Any

_DEEPEST = 12
_LONGEST_VARINT = 63

Struct = dict[int, Any]
"""Values by field number."""


def read_struct(data: bytes, position: int, depth: int = 0) -> tuple[Struct, int]:
    """The struct at a position, and where it ends. Raises `ValueError` for what is none."""
    try:
        return _struct(data, position, depth)
    except IndexError:
        raise ValueError("a head is cut short") from None


def _struct(data: bytes, position: int, depth: int) -> tuple[Struct, int]:
    if depth > _DEEPEST:
        raise ValueError("a head is nested too deeply")
    found: Struct = {}
    field = 0
    while head := data[position]:
        position += 1
        if head >> 4:
            field += head >> 4
        else:
            number, position = _varint(data, position)
            field = _zigzag(number)
        if head & 15 in (1, 2):
            found[field] = head & 15 == 1
        else:
            found[field], position = _value(data, position, head & 15, depth)
    return found, position + 1


def _value(data: bytes, position: int, kind: int, depth: int) -> tuple[Any, int]:
    match kind:
        case 1 | 2 | 3:
            return data[position], position + 1
        case 4 | 5 | 6:
            number, position = _varint(data, position)
            return _zigzag(number), position
        case 7:
            return None, position + 8
        case 8:
            length, position = _varint(data, position)
            return data[position : position + length], position + length
        case 9 | 10:
            return _list(data, position, depth + 1)
        case 12:
            return _struct(data, position, depth + 1)
        case _:
            raise ValueError("a head holds what Parquet has not")


def _list(data: bytes, position: int, depth: int) -> tuple[list[Any], int]:
    head = data[position]
    position += 1
    count = head >> 4
    if count == 15:
        count, position = _varint(data, position)
    if count > len(data):
        raise ValueError("a list is longer than the file")
    found: list[Any] = []
    for _ in range(count):
        value, position = _value(data, position, head & 15, depth)
        found.append(value)
    return found, position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
        if shift > _LONGEST_VARINT:
            raise ValueError("a number is too long")


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
