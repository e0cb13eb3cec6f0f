"""Rows are read as Python's json would read them, or given up; whatever the bytes, nothing outside them is touched."""

import json
import math
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_rows import Categories, Feature, Kind, Reader, Write, reader_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOST_ROWS = 1000
moments = some.datetimes(timezones=some.sampled_from([None, UTC])).map(lambda moment: moment.isoformat())
texts = some.one_of(some.sampled_from(["a", "é/\n", "x", "y", "z", "\U0001f600"]), some.text(max_size=4))
rows = some.fixed_dictionaries(
    {
        "number": some.one_of(
            some.none(), some.floats(allow_nan=False, allow_infinity=False), some.integers(-(10**20), 10**20)
        ),
        "whole": some.one_of(some.integers(-(10**6), 10**6), some.sampled_from([2.0, -0.0])),
        "hot": texts,
    },
    optional={
        "truth": some.one_of(some.none(), some.booleans()),
        "ordinal é": some.one_of(some.none(), texts),
        "day": some.one_of(some.none(), some.dates().map(lambda day: day.isoformat()), moments),
        "at": some.one_of(some.none(), some.integers(-(10**15), 10**15), moments),
    },
)
layouts = some.sampled_from([{}, {"separators": (",", ":")}, {"indent": 2}, {"ensure_ascii": False}])


def milliseconds(text: str) -> float:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return float(
        ((moment - EPOCH).days * 86_400_000_000 + (moment - EPOCH).seconds * 10**6 + (moment - EPOCH).microseconds)
        // 1000
    )


def encoded(row: dict[str, Any]) -> tuple[list[float], list[float]]:
    """The matrix row and the raw row, by the rules of the features in conftest."""
    number = math.nan if row["number"] is None else float(row["number"])
    truth = row.get("truth")
    text = row.get("ordinal é")
    ordinal = math.nan if text is None else {"a": 0.0, "é/\n": 1.0}.get(text, 9.0)
    hot = [float(row["hot"] == name) for name in "xyz"]
    day, at = row.get("day"), row.get("at")
    moment = math.nan if at is None else milliseconds(at) if isinstance(at, str) else float(at)
    matrix = [number, (float(row["whole"]) - 1.5) / 2.0, 0.5 if truth is None else float(truth), ordinal, *hot]
    return [*matrix, math.nan if day is None else milliseconds(day), moment], [number, moment]


def check(found: Any, given: list[dict[str, Any]]) -> None:
    wanted = [encoded(row) for row in given]
    assert np.array_equal(found.matrix, [row for row, _ in wanted], equal_nan=True)
    assert np.array_equal(found.raw, [raw for _, raw in wanted], equal_nan=True)
    assert found.with_missing == sum(len(row) < 7 or None in row.values() for row in given)
    unknown = sum(row.get("ordinal é") not in (None, "a", "é/\n") for row in given)
    assert found.unseen == [0, 0, 0, unknown, sum(row["hot"] not in "xyz" or not row["hot"] for row in given), 0, 0]


@settings(max_examples=200, deadline=None)
@given(given=some.lists(rows, min_size=1, max_size=4), layout=layouts, seed=some.integers(0, 9))
def test_ordinary_rows_are_read_in_any_layout_and_order(
    read: Callable[[bytes], Any], given: list[dict[str, Any]], layout: dict[str, Any], seed: int
) -> None:
    chosen = random.Random(seed)  # noqa: S311 - an order, not a secret
    given = [dict(chosen.sample(list(row.items()), len(row))) if seed % 2 else row for row in given]
    try:
        body = json.dumps(given, **layout).encode()
    except UnicodeEncodeError:
        return
    found = read(body)
    if found is None:  # half a surrogate pair, or a year before 1000, which isoformat may write in fewer digits
        assert "\\ud" in json.dumps(given)
        return
    assert found.end == len(body)
    check(found, given)


@settings(max_examples=300, deadline=None)
@given(
    given=some.lists(rows, min_size=1, max_size=3),
    place=some.floats(0, 1),
    cut=some.integers(0, 4),
    put=some.one_of(
        some.binary(max_size=3),
        some.sampled_from([b",", b"}", b"]", b'"', b"{", b"-", b"e5", b"\\u00", b'"hot":"x",']),
    ),
)
def test_damaged_rows_are_given_up_or_read_as_json_reads_them(
    read: Callable[[bytes], Any], given: list[dict[str, Any]], place: float, cut: int, put: bytes
) -> None:
    body = json.dumps(given).encode()
    at = 1 + int(place * (len(body) - 1))
    body = body[:at] + put + body[at + cut :]
    found = read(body)
    if found is not None:
        check(found, json.loads(body[: found.end]))


def test_bytes_by_chance_never_lead_outside(reader: Reader) -> None:
    chosen = random.Random(5)  # noqa: S311
    pieces = [
        b'{"number":',
        b'"whole":1',
        b'"hot":"x"',
        b",",
        b"}",
        b"]",
        b"null",
        b"1e",
        b'"\\ud83d',
        b"0.5",
        b" ",
        b"[",
        b'"day":"2024-02-3',
    ]
    for _ in range(5000):
        body = b"".join(chosen.choice(pieces) for _ in range(chosen.randrange(12)))
        body = body[: chosen.randrange(len(body) + 1)]
        for start in {0, len(body) // 2, len(body)}:
            reader.objects(bytes(bytearray(body)), start, 10)
            reader.lists(body, start, 10, np.arange(7, dtype=np.int32))


def test_lists_are_rows_in_the_order_that_is_named(reader: Reader, rows_of: Callable[[Any], Any]) -> None:
    body = b'[ [null,3,"x",true,"a", "2024-01-31" ,5],[1.5,4,"q",null,null,null,"2024-01-31T10:00:00.123+02:00"] ] '
    order = np.array([0, 1, 4, 2, 3, 5, 6], dtype=np.int32)
    found = rows_of(reader.lists(body, 1, 10, order))
    names = ["number", "whole", "hot", "truth", "ordinal é", "day", "at"]
    assert found.end == len(body) - 1
    check(found, [dict(zip(names, row, strict=True)) for row in json.loads(body)])
    for wrong in (b"[[1,2]]", b'[[null,3,"x",true,"a",null,5,6]]', b"[1]", b"[[]]"):
        assert reader.lists(wrong, 1, 10, order) is None
    for no_order in (np.zeros(7, dtype=np.int32), np.arange(6, dtype=np.int32), np.arange(1, 8, dtype=np.int32)):
        with pytest.raises(ValueError, match="order"):
            reader.lists(body, 1, 10, no_order)


def columns(count: int) -> dict[str, np.ndarray[Any, Any]]:
    random_ = np.random.default_rng(3)
    texts = np.array(["x", "y", "unknown", "z"], dtype=object)
    days = np.array(["2024-02-29", None, "1969-12-31T23:59:59.999Z"], dtype=object)
    return {
        "number": np.where(random_.random(count) < 0.1, np.nan, random_.normal(size=count)),
        "whole": random_.integers(-5, 5, count).astype(np.int16),
        "truth": random_.random(count) < 0.5,
        "ordinal é": np.array(["a", None, "é/\n", "?"], dtype=object)[random_.integers(0, 4, count)],
        "hot": texts[random_.integers(0, 4, count)],
        "day": days[random_.integers(0, 3, count)],
        "at": random_.integers(0, 10**12, count),
    }


def shifted(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same numbers at an address no number should have, as tensors behind a text have it."""
    return np.frombuffer(b"x" + values.tobytes(), dtype=values.dtype, offset=1)


def test_columns_that_are_not_aligned_are_read_too(reader: Reader, rows_of: Callable[[Any], Any]) -> None:
    table = columns(40)
    askew = {name: values if values.dtype == object else shifted(values) for name, values in table.items()}
    assert not askew["at"].flags.aligned
    found, expected = reader.columns(tuple(askew.values()), 40), reader.columns(tuple(table.values()), 40)
    assert found is not None
    assert found == expected


def test_columns_of_any_type_and_stride_are_read_like_rows(reader: Reader, rows_of: Callable[[Any], Any]) -> None:
    table = columns(700)
    wide = np.zeros((700, 3))
    wide[:, 1] = table["number"]
    for number in (table["number"], wide[:, 1], table["number"][::-1]):
        given = {**table, "number": number}
        found = rows_of(reader.columns(tuple(given.values()), 700))
        plain = {
            name: [None if value != value else value for value in values.tolist()] for name, values in given.items()
        }
        check(found, [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("number", [1.0, np.inf]),
        ("number", [True, False]),
        ("number", np.array(["x", "y"], dtype=object)),
        ("number", np.array([1, 2], dtype=np.float16)),
        ("number", np.array([1, 2], dtype=">f8")),
        ("whole", [1.0, 1.5]),
        ("whole", [1.0, np.nan]),
        ("truth", [0, 2]),
        ("hot", [1.0, 2.0]),
        ("hot", np.array(["x", None], dtype=object)),
        ("hot", np.array(["x", "\ud800"], dtype=object)),
        ("hot", np.array(["x", 1], dtype=object)),
        ("at", [1.0, 1e16]),
        ("day", np.array(["2024-02-30", None], dtype=object)),
    ],
)
def test_columns_that_must_be_looked_at_are_given_up(reader: Reader, name: str, values: Any) -> None:
    table = {**columns(2), name: np.asarray(values)}
    assert reader.columns(tuple(table.values()), 2) is None


def test_columns_that_do_not_fit_are_refused(reader: Reader) -> None:
    table = tuple(columns(4).values())
    for arrays, count in ((table, 3), (table[1:], 4), ((*table[1:], np.zeros((4, 1))), 4)):
        with pytest.raises(ValueError, match=r"column|array"):
            reader.columns(arrays, count)


@pytest.mark.parametrize(
    "feature",
    [
        Feature("f", Kind.NUMBER, True, True, writes=[Write(2, 0.0, 0.0, 1.0)]),
        Feature("f", Kind.NUMBER, True, True, writes=[Write(-1, 0.0, 0.0, 1.0)]),
        Feature("f", Kind.NUMBER, True, True, raw=1),
        Feature("f", Kind.TEXT, True, True),
        Feature("f", Kind.NUMBER, True, True, categories=Categories(True, 0, 1, 0.0, 0.0, {})),
        Feature("f", Kind.TEXT, True, True, categories=Categories(True, 1, 2, 0.0, 0.0, {})),
        Feature("f", Kind.TEXT, True, True, categories=Categories(True, 0, 2, math.nan, 0.0, {})),
        Feature("f", Kind.TEXT, True, True, categories=Categories(True, 0, 2, 2.0, 2.0, {"x": -1.0})),
        Feature("f", Kind.TEXT, True, True, categories=Categories(False, 0, 2, 2.0, 2.0, {})),
    ],
)
def test_a_plan_that_points_outside_is_refused(feature: Feature) -> None:
    with pytest.raises(ValueError, match="fit the plan"):
        reader_of(2, 1, [feature])


def test_two_features_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="a name"):
        reader_of(1, 0, [Feature("f", Kind.NUMBER, True, True)] * 2)


def test_more_rows_than_allowed_are_given_up(reader: Reader) -> None:
    body = json.dumps([{"number": 1, "whole": 1, "hot": "x"}] * 200).encode()
    assert reader.objects(body, 1, 200) is not None
    assert reader.objects(body, 1, 199) is None
    with pytest.raises(ValueError, match="start"):
        reader.objects(body, len(body) + 1, 10)
