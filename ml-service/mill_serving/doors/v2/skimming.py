"""Arrays of numbers, lifted out of a JSON request before it is decoded, so that they never become Python objects.

`framing` is the caller. What is left has the array's number in its place and is decoded as ever; where anything is unusual the
request is left alone. Only what stands behind a member named `data` is looked at, wherever that is; one written with escapes
is not found, so a text with a backslash is left alone too, and so is any `data` that is no array.
"""

import re
from dataclasses import dataclass

import numpy as np
from mill_rows import read_flat
from numpy.typing import NDArray

_SMALL = 1 << 11
_MOST_NUMBERS = 1 << 28
_MOST_ARRAYS = 20_000
_DATA = re.compile(rb'"data"[ \t\n\r]*:[ \t\n\r]*')


@dataclass(frozen=True, slots=True)
class Numbers:
    """`width`: of the lists that hold them, 0 where they stand in one."""

    values: NDArray[np.float64]
    width: int


@dataclass(frozen=True, slots=True)
class Skimmed:
    text: bytes
    arrays: list[Numbers]


def skim(head: memoryview) -> Skimmed | None:
    """None where there is nothing to gain, or something unusual."""
    if len(head) < _SMALL:
        return None
    pieces: list[memoryview | bytes] = []
    arrays: list[Numbers] = []
    position = searched = 0
    while found := _DATA.search(head, searched):
        begin = searched = found.end()
        if head[begin : begin + 1].tobytes() != b"[" or len(arrays) == _MOST_ARRAYS:
            return None
        read = read_flat(head, begin + 1, _MOST_NUMBERS)
        if read is None:
            continue  # text, or something to be refused
        end, values, width = read
        pieces += [head[position:begin], b"%d" % len(arrays)]
        arrays.append(Numbers(np.frombuffer(values), width))
        position = searched = end
    text = b"".join([*pieces, head[position:]])
    return Skimmed(text, arrays) if arrays and b"\\" not in text else None
