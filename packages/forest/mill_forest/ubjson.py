"""Reads the UBJSON that XGBoost writes, from bytes that may be hostile: bounded depth, counts, and total items.

Typed arrays of numbers become numpy arrays without a copy of each item. Called by the XGBoost reader alone.
"""

import struct
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mill_forest.errors import InvalidForest

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 20_000_000
"""Values that each become a Python object; typed arrays are not counted, they are bounded by the bytes."""

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | NDArray[np.generic] | None"

_NUMBERS: Final = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8", b"d": ">f4", b"D": ">f8"}
_STRUCTS: Final = {
    b"i": struct.Struct(">b"),
    b"U": struct.Struct(">B"),
    b"I": struct.Struct(">h"),
    b"l": struct.Struct(">i"),
    b"L": struct.Struct(">q"),
    b"d": struct.Struct(">f"),
    b"D": struct.Struct(">d"),
}


def parse_ubjson(data: bytes) -> Value:
    """The value that `data` holds, to its last byte; raises InvalidForest."""
    reader = _Reader(data)
    value = reader.value(reader.take(1), 0)
    if reader.at != len(data):
        raise InvalidForest(f"{len(data) - reader.at} bytes after the end of the UBJSON value")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.items = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise InvalidForest(f"the UBJSON ends early, at byte {len(self.data)}")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def peek(self) -> bytes:
        return self.data[self.at : self.at + 1]

    def value(self, marker: bytes, depth: int) -> Value:
        self.items += 1
        if depth > MAX_DEPTH or self.items > MAX_ITEMS:
            raise InvalidForest("UBJSON nested too deep, or of too many items")
        if marker in _STRUCTS:
            number: Any = _STRUCTS[marker].unpack(self.take(_STRUCTS[marker].size))[0]
            return number
        match marker:
            case b"S":
                return self.text()
            case b"{":
                return self.mapping(depth)
            case b"[":
                return self.array(depth)
            case b"Z":
                return None
            case b"T" | b"F":
                return marker == b"T"
            case b"C":
                return self.take(1).decode("latin-1")
            case _:
                raise InvalidForest(f"unknown UBJSON marker {marker!r} at byte {self.at - 1}")

    def length(self) -> int:
        marker = self.take(1)
        if marker not in (b"i", b"U", b"I", b"l", b"L"):
            raise InvalidForest(f"a UBJSON length of type {marker!r} at byte {self.at - 1}")
        count: int = _STRUCTS[marker].unpack(self.take(_STRUCTS[marker].size))[0]
        if not 0 <= count <= len(self.data):
            raise InvalidForest(f"a UBJSON length of {count} at byte {self.at}")
        return count

    def text(self) -> str:
        try:
            return self.take(self.length()).decode()
        except UnicodeDecodeError as error:
            raise InvalidForest(f"UBJSON text that is not UTF-8 before byte {self.at}") from error

    def mapping(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while self.peek() != b"}":
            key = self.text()
            if key in found:
                raise InvalidForest(f"the UBJSON key {key[:40]!r} stands twice")
            found[key] = self.value(self.take(1), depth + 1)
        self.take(1)
        return found

    def array(self, depth: int) -> Value:
        kind = b""
        if self.peek() == b"$":
            self.take(1)
            kind = self.take(1)
        if self.peek() == b"#":
            self.take(1)
            return self.counted(kind, self.length(), depth)
        if kind:
            raise InvalidForest(f"a UBJSON array with a type and no count at byte {self.at}")
        items: list[Value] = []
        while self.peek() != b"]":
            items.append(self.value(self.take(1), depth + 1))
        self.take(1)
        return items

    def counted(self, kind: bytes, count: int, depth: int) -> Value:
        if kind in _NUMBERS:
            dtype = np.dtype(_NUMBERS[kind])
            return np.frombuffer(self.take(count * dtype.itemsize), dtype)
        return [self.value(kind or self.take(1), depth + 1) for _ in range(count)]
