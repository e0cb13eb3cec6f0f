"""Reads protocol-buffer messages from bytes that may be hostile, without any schema: field numbers and raw values.

Called for ONNX files, by `read_onnx` and by `mill_pack.outside`. Nested messages stay bytes until asked for; groups, unknown
wire types and lengths beyond the end are refused. Nothing is allocated by a length that a file merely claims.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mill_forest.errors import InvalidForest

MAX_FIELDS: Final = 50_000_000
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5

Field = tuple[int, int, int | bytes]
"""Number, wire type, value: whole numbers for varints, bytes for all else."""


class Message:
    """One message, its fields in order."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._fields: dict[int, list[tuple[int, int | bytes]]] = {}
        for number, wire, value in _fields(data):
            self._fields.setdefault(number, []).append((wire, value))

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of all fields that are there."""
        return frozenset(self._fields)

    def messages(self, number: int) -> "list[Message]":
        """The nested messages of a field."""
        return [Message(value) for value in self.strings(number)]

    def message(self, number: int) -> "Message":
        """The one nested message of a field. Raises InvalidForest unless there is exactly one."""
        found = self.strings(number)
        if len(found) != 1:
            raise InvalidForest(f"field {number} stands {len(found)} times, not once")
        return Message(found[0])

    def strings(self, number: int) -> list[bytes]:
        """The values of a field of texts, bytes or messages."""
        found: list[bytes] = []
        for wire, value in self._fields.get(number, ()):
            if wire != _LENGTH or not isinstance(value, bytes):
                raise InvalidForest(f"field {number} is no text, bytes or message")
            found.append(value)
        return found

    def text(self, number: int) -> str:
        """The last value of a field as text; empty when it is not there."""
        found = self.strings(number)
        try:
            return found[-1].decode() if found else ""
        except UnicodeDecodeError as error:
            raise InvalidForest(f"field {number} is not UTF-8") from error

    def whole(self, number: int, default: int = 0) -> int:
        """The last value of a field as a signed whole number."""
        found = self.wholes(number)
        return int(found[-1]) if len(found) else default

    def wholes(self, number: int) -> NDArray[np.int64]:
        """Repeated whole numbers, packed or not."""
        parts: list[NDArray[np.int64]] = []
        singles: list[int] = []
        for wire, value in self._fields.get(number, ()):
            if wire == _VARINT and isinstance(value, int):
                singles.append(value)
            elif wire == _LENGTH and isinstance(value, bytes) and not singles:
                parts.append(_varints(value))
            else:
                raise InvalidForest(f"field {number} is no whole number")
        if singles:
            parts.append(np.array(singles, np.uint64).view(np.int64))
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def floats(self, number: int) -> NDArray[np.float32]:
        """Repeated float32, packed or not."""
        parts: list[bytes] = []
        for wire, value in self._fields.get(number, ()):
            if wire not in (_FOUR, _LENGTH) or not isinstance(value, bytes) or len(value) % 4:
                raise InvalidForest(f"field {number} is no float")
            parts.append(value)
        return np.frombuffer(b"".join(parts), "<f4")

    def doubles(self, number: int) -> NDArray[np.float64]:
        """Repeated float64, packed or not."""
        parts: list[bytes] = []
        for wire, value in self._fields.get(number, ()):
            if wire not in (_EIGHT, _LENGTH) or not isinstance(value, bytes) or len(value) % 8:
                raise InvalidForest(f"field {number} is no double")
            parts.append(value)
        return np.frombuffer(b"".join(parts), "<f8")


def _fields(data: bytes) -> Iterator[Field]:
    at, end, count = 0, len(data), 0
    while at < end:
        count += 1
        if count > MAX_FIELDS:
            raise InvalidForest("a message of too many fields")
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:
            raise InvalidForest(f"a field of number {number} at byte {at}")
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == _LENGTH:
            size, at = _varint(data, at)
        elif wire in (_EIGHT, _FOUR):
            size = 8 if wire == _EIGHT else 4
        else:
            raise InvalidForest(f"wire type {wire} at byte {at}")
        if size > end - at:
            raise InvalidForest(f"field {number} of {size} bytes at byte {at}, where {end - at} are left")
        yield number, wire, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise InvalidForest(f"a number is cut short at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7
    raise InvalidForest(f"a number of more than ten bytes at byte {at}")


def _varints(data: bytes) -> NDArray[np.int64]:
    found: list[int] = []
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return np.array(found, np.uint64).view(np.int64)
