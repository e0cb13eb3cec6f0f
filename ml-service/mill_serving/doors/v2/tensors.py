"""Tensors as they come over the wire, checked before anything is made of them. REST and gRPC read and write through here."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mill_rows import join_pieces
from numpy.typing import NDArray

from mill_serving.errors import MalformedTensor

BYTES, BOOL, FP64 = "BYTES", "BOOL", "FP64"
DTYPES: dict[str, str] = {
    "BOOL": "?",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 1 << 28
_NUMBERS = frozenset({int, float, type(None)})
_TRUTHS = frozenset({bool, type(None)})
_TEXTS = frozenset({str, type(None)})


@dataclass(frozen=True, slots=True)
class Tensor:
    """`values` are flat: of numpy's kind for numbers and booleans, objects (None for missing) for text and where some are null.

    Of an output that repeats few `words` they are the words' places.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: NDArray[Any]
    words: tuple[str, ...] = ()


def count_of(name: str, datatype: str, shape: Sequence[int]) -> int:
    """How many elements a shape promises. Raises `MalformedTensor`."""
    if datatype not in DTYPES and datatype != BYTES:
        known = ", ".join([*DTYPES, BYTES])
        raise MalformedTensor(f"{name!r}: the datatype {datatype[:20]!r} is not known; send one of {known}")
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or any(size < 0 for size in shape):
        raise MalformedTensor(
            f"{name!r}: the shape {list(shape)[:10]} is none: sizes are 0 or more, in 1 to 8 dimensions"
        )
    count = math.prod(shape)
    if count > _MOST_ELEMENTS:
        raise MalformedTensor(f"{name!r}: a shape of {count:,} elements is too large")
    return count


def from_list(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> Tensor:
    """From JSON: flat or nested lists; null is missing. Numbers keep the precision they were written in."""
    count = count_of(name, datatype, shape)
    flat = _flat(name, data, shape)
    if len(flat) != count:
        raise MalformedTensor(f"{name!r}: {len(flat)} values for the shape {list(shape)}")
    kinds = frozenset(map(type, flat))
    expected = _TEXTS if datatype == BYTES else _TRUTHS if datatype == BOOL else _NUMBERS
    if not kinds <= expected:
        raise MalformedTensor(f"{name!r}: the data holds values that are no {datatype}")
    if datatype == BYTES or (datatype == BOOL and type(None) in kinds):
        return Tensor(name, datatype, tuple(shape), as_objects(flat))
    dtype = np.bool_ if datatype == BOOL else np.float64
    try:
        return Tensor(name, datatype, tuple(shape), np.array(flat, dtype=dtype))
    except OverflowError:
        return Tensor(name, datatype, tuple(shape), as_objects(flat))  # refused later, by row and feature


def from_numbers(
    name: str, datatype: str, shape: Sequence[int], values: NDArray[np.float64], *, width: int
) -> Tensor | None:
    """From JSON numbers that are read already, NaN for null; None where `from_list` must say what is wrong.

    `width` is that of the lists they stand in, 0 where there is one.
    """
    if datatype in (BYTES, BOOL) or count_of(name, datatype, shape) != len(values):
        return None
    if width and (len(shape) < 2 or shape[0] * width != len(values)):
        return None
    return Tensor(name, datatype, tuple(shape), values)


def from_bytes(name: str, datatype: str, shape: Sequence[int], raw: "memoryview | bytes") -> Tensor:
    """From the binary extension: little-endian values, or text with its length before it."""
    count = count_of(name, datatype, shape)
    if datatype == BYTES:
        return Tensor(name, datatype, tuple(shape), as_objects(read_texts(name, raw, count)))
    dtype = np.dtype(DTYPES[datatype])
    if len(raw) != count * dtype.itemsize:
        expected = count * dtype.itemsize
        raise MalformedTensor(f"{name!r}: {len(raw)} bytes; {datatype} of the shape {list(shape)} takes {expected}")
    values = np.frombuffer(raw, dtype=np.uint8 if datatype == BOOL else dtype)
    return Tensor(name, datatype, tuple(shape), values != 0 if datatype == BOOL else values)


def read_texts(name: str, raw: "memoryview | bytes", count: int) -> list[str]:
    texts: list[str] = []
    position, end = 0, len(raw)
    if count * 4 > end:
        raise MalformedTensor(f"{name!r}: {end} bytes are too few for {count} texts")
    while position < end:
        if position + 4 > end:
            raise MalformedTensor(f"{name!r}: a text's length is cut short")
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4 + length
        if position > end:
            raise MalformedTensor(f"{name!r}: a text is longer than the tensor")
        texts.append(decoded(name, bytes(raw[position - length : position])))
        if len(texts) > count:
            break
    if len(texts) != count:
        raise MalformedTensor(f"{name!r}: {len(texts)} texts or more for a shape of {count}")
    return texts


def decoded(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise MalformedTensor(f"{name!r}: a text is not UTF-8") from None


def to_bytes(tensor: Tensor) -> bytes:
    """Of an output: little-endian values, or words with their length before each."""
    if tensor.datatype != BYTES:
        return tensor.values.astype(DTYPES[tensor.datatype], copy=False).tobytes()
    encoded = [word.encode() for word in tensor.words]
    return join_pieces(tensor.values, tuple(struct.pack("<I", len(raw)) + raw for raw in encoded))


def to_list(tensor: Tensor) -> list[Any]:
    """For an answer in JSON."""
    values: list[Any] = tensor.values.tolist()
    return list(map(tensor.words.__getitem__, values)) if tensor.words else values


def as_objects(values: Sequence[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _flat(name: str, data: Sequence[Any], shape: Sequence[int]) -> list[Any]:
    """Flat lists are taken as they are; nested ones are unrolled, no deeper than the shape, and must be cut as it says."""
    found: list[Any] = list(data)
    for depth in range(1, len(shape)):
        if not found or not isinstance(found[0], list):
            break
        if not all(isinstance(part, list) for part in found):
            raise MalformedTensor(f"{name!r}: the data mixes lists and values")
        if len(found) != math.prod(shape[:depth]) or len({len(part) for part in found}) > 1:
            raise MalformedTensor(f"{name!r}: the lists of the data are not cut as the shape {list(shape)} says")
        found = [value for part in found for value in part]
    return found
