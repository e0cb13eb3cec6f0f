"""The native reader; see native/module.c."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Body = bytes | bytearray | memoryview
Found = tuple[int, int, bytearray, bytearray, list[int], int]
Feature = tuple[bytes, int, bool, bool, int, tuple[tuple[int, float, float, float], ...], Table | None]
Table = tuple[bool, int, int, float, float, tuple[tuple[bytes, float], ...]]

class Reader:
    def __init__(self, width: int, raw_width: int, features: tuple[Feature, ...], /) -> None: ...
    def objects(self, body: Body, start: int, most_rows: int, /) -> Found | None: ...
    def object(self, body: Body, start: int, /) -> Found | None: ...
    def columns(self, arrays: tuple[NDArray[Any], ...], rows: int, /) -> Found | None: ...
    def lists(self, body: Body, start: int, most_rows: int, order: NDArray[np.int32], /) -> Found | None: ...

def read_flat(body: Body, start: int, most: int, /) -> tuple[int, bytearray, int] | None: ...
def join_rows(
    numbers: bytes,
    per_row: int,
    winners: NDArray[np.int64],
    marks: NDArray[Any],
    heads: tuple[bytes, ...],
    between: tuple[bytes, ...],
    tails: tuple[bytes, bytes],
    separator: int,
    /,
) -> bytes: ...
def join_pieces(places: NDArray[np.int64], pieces: tuple[bytes, ...], /) -> bytes: ...
