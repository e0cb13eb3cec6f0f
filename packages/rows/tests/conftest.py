"""A reader of every kind of value, and what it reads as plain lists."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import pytest
from mill_rows import Categories, Feature, Kind, Reader, Write, reader_of

MOST_ROWS = 1000


@dataclass(frozen=True)
class Rows:
    end: int
    matrix: list[list[float]]
    raw: list[list[float]]
    unseen: list[int]
    with_missing: int


Read = Callable[[bytes], Rows | None]
WIDTH, RAW = 9, 2
FEATURES = (
    Feature("number", Kind.NUMBER, nullable=True, required=True, writes=[Write(0, nan, 0.0, 1.0)], raw=0),
    Feature("whole", Kind.INTEGER, nullable=False, required=True, writes=[Write(1, nan, 1.5, 2.0)]),
    Feature("truth", Kind.BOOLEAN, nullable=True, required=False, writes=[Write(2, 0.5, 0.0, 1.0)]),
    Feature("ordinal é", Kind.TEXT, True, False, categories=Categories(False, 3, 1, nan, 9.0, {"a": 0.0, "é/\n": 1.0})),
    Feature("hot", Kind.TEXT, False, True, categories=Categories(True, 4, 3, 3.0, 3.0, {"x": 0.0, "y": 1.0, "z": 2.0})),
    Feature("day", Kind.DATE, nullable=True, required=False, writes=[Write(7, nan, 0.0, 1.0)]),
    Feature("at", Kind.TIMESTAMP, True, False, writes=[Write(8, nan, 0.0, 1.0)], raw=1),
)


@pytest.fixture(scope="session")
def reader() -> Reader:
    return reader_of(WIDTH, RAW, FEATURES)


@pytest.fixture(scope="session")
def rows_of() -> Callable[[Any], Rows | None]:
    return as_rows


def as_rows(found: Any) -> Rows | None:
    if found is None:
        return None
    end, rows, matrix, raw, unseen, missing = found
    values, beside = (np.frombuffer(text).reshape(rows, -1).tolist() for text in (matrix, raw))
    return Rows(end, values, beside, unseen, missing)


@pytest.fixture(scope="session")
def read(reader: Reader) -> Read:
    """Of the text of an array of objects, its brackets included."""
    return lambda text: as_rows(reader.objects(text, 1, MOST_ROWS))
