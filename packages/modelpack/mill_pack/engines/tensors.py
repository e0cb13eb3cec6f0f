"""Named float64 arrays with a small JSON head in one file: 4 bytes head length, the head, then the arrays, little-endian."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import Blob
from mill_pack.errors import InvalidPackage

MAX_HEAD = 1 << 20
_LENGTH = struct.Struct("<I")


def pack(head: dict[str, Any], arrays: Sequence[FloatArray]) -> bytes:
    shapes = [list(array.shape) for array in arrays]
    text = json.dumps({**head, "shapes": shapes}, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + _LENGTH.size) % 64)
    return _LENGTH.pack(len(text)) + text + b"".join(np.ascontiguousarray(array, "<f8").tobytes() for array in arrays)


def unpack(blob: Blob) -> tuple[dict[str, Any], list[FloatArray]]:
    """The head without its shapes, and read-only arrays on the blob. Raises `InvalidPackage`."""
    try:
        (length,) = _LENGTH.unpack_from(blob)
        if length > MAX_HEAD:
            raise ValueError("the head is too long")
        head = json.loads(bytes(blob[_LENGTH.size : _LENGTH.size + length]))
        shapes = [tuple(int(size) for size in shape) for shape in head.pop("shapes")]
        sizes = [int(np.prod(shape, dtype=object)) for shape in shapes]
        start = _LENGTH.size + length
        if any(min(shape, default=0) < 1 or len(shape) > 2 for shape in shapes):
            raise ValueError("an array has no size")
        if start + 8 * sum(sizes) != len(blob):
            raise ValueError("the arrays do not fill the file")
        arrays: list[FloatArray] = []
        for shape, size in zip(shapes, sizes, strict=True):
            arrays.append(np.frombuffer(blob, dtype="<f8", count=size, offset=start).reshape(shape))
            start += 8 * size
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("an array holds a number that is not finite")
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, struct.error, RecursionError) as error:
        raise InvalidPackage(f"The arrays of the engine are damaged: {error}.") from error
    return head, arrays
