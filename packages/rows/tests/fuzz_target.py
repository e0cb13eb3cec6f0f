"""What `sanitizers/fuzz.py` of mill_forest does with each input: every JSON reader of mill_rows, over a reader of every kind of value.

Where `json` reads the text too, both have to find the same number of rows.
"""

import json
from collections.abc import Iterator
from math import nan

import numpy as np
from mill_rows import Categories, Feature, Kind, Write, read_flat, reader_of

WIDTH, RAW, MOST = 9, 2, 1000
READER = reader_of(
    WIDTH,
    RAW,
    (
        Feature("number", Kind.NUMBER, nullable=True, required=True, writes=[Write(0, nan, 0.0, 1.0)], raw=0),
        Feature("whole", Kind.INTEGER, nullable=False, required=True, writes=[Write(1, nan, 1.5, 2.0)]),
        Feature("truth", Kind.BOOLEAN, nullable=True, required=False, writes=[Write(2, 0.5, 0.0, 1.0)]),
        Feature(
            "ordinal é", Kind.TEXT, True, False, categories=Categories(False, 3, 1, nan, 9.0, {"a": 0.0, "b": 1.0})
        ),
        Feature("hot", Kind.TEXT, False, True, categories=Categories(True, 4, 3, 3.0, 3.0, {"x": 0.0, "y": 1.0})),
        Feature("day", Kind.DATE, nullable=True, required=False, writes=[Write(7, nan, 0.0, 1.0)]),
        Feature("at", Kind.TIMESTAMP, True, False, writes=[Write(8, nan, 0.0, 1.0)], raw=1),
    ),
)
ORDER = np.arange(7, dtype=np.int32)
ROW = {"number": -1.5e-7, "whole": 3, "truth": True, "ordinal é": "a", "hot": "y", "day": "2026-02-28"}


def seeds() -> Iterator[bytes]:
    """Texts after their opening bracket."""
    foreign = ROW | {"number": None, "truth": None, "hot": "é\n\U0001f600", "at": 1_700_000_000_000}
    for rows in (
        [ROW, ROW | {"at": "2026-11-20T10:00:00.25+01:00"}],
        [foreign],
        [list(ROW.values())],
        [1, 2.5e300, -0.0, 123456789012345678901234567890, 5e-324],
    ):
        yield json.dumps(rows, ensure_ascii=False).encode()[1:]


def one_input(data: bytes) -> None:
    body = b"[" + data
    found = READER.objects(body, 1, MOST)
    READER.object(body, 1)
    READER.lists(body, 1, MOST, ORDER)
    read_flat(body, 1, MOST)
    if found is not None:
        rows = json.loads(body[: found[0]])
        assert len(rows) == found[1], (len(rows), found[1])
