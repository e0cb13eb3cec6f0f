"""The quick reader of batches: where it reads, it reads what the general way reads; else it gives up. Hypothesis makes the bodies."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_kit.problems import Problem
from mill_pack import Package, Predictions, open_package
from mill_serving.blocks import read_block
from mill_serving.doors import wire

MOST_ROWS = 10_000
values = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(allow_nan=False, allow_infinity=False),
    some.text(max_size=5),
    some.sampled_from(["Oslo", "Bergen", "Paris", "\ud83d", "\U0001f600", 10**400, [], {}]),
)
good_rows = some.fixed_dictionaries(
    {
        "age": some.floats(-1e6, 1e6),
        "hours": some.one_of(some.none(), some.integers(0, 90)),
        "city": some.one_of(some.text(max_size=3), some.sampled_from(["Oslo", "Bergen"])),
    }
)
any_rows = some.dictionaries(some.sampled_from(["age", "hours", "city", "unknown"]), values)
layouts = some.sampled_from([{}, {"separators": (",", ":")}, {"indent": 1}, {"ensure_ascii": False}])
members = some.dictionaries(
    some.sampled_from(["return_probabilities", "use_cache", "other"]), some.booleans(), max_size=2
)


@pytest.fixture(scope="module")
def package(build: Any) -> Package:
    return open_package(build("demo").path)


def quickly(package: Package, body: bytes) -> Predictions | None:
    block = read_block(package, body, MOST_ROWS)
    return None if block is None else package.predict_encoded(block.encoded)


def generally(package: Package, body: bytes) -> tuple[Predictions, bool]:
    request = wire.read_batch(body)
    return package.predict_rows(request.inputs), request.return_probabilities


def agree(package: Package, body: bytes) -> bool:
    """Whether the quick way answered; what it answers, the general way answers with the same bits."""
    block = read_block(package, body, MOST_ROWS)
    if block is None:
        return False
    quick = package.predict_encoded(block.encoded)
    slow, shown = generally(package, body)
    assert np.array_equal(quick.probabilities, slow.probabilities)  # pyright: ignore[reportArgumentType]
    assert (quick.values, quick.warnings, quick.rows_with_missing) == (
        slow.values,
        slow.warnings,
        slow.rows_with_missing,
    )
    assert block.return_probabilities == shown
    return True


@settings(max_examples=300, deadline=None)
@given(rows=some.lists(some.one_of(good_rows, any_rows), min_size=1, max_size=4), more=members, layout=layouts)
def test_it_answers_as_the_row_reader_or_not_at_all(
    package: Package, rows: list[dict[str, Any]], more: dict[str, bool], layout: dict[str, Any]
) -> None:
    for document in ({"inputs": rows, **more}, {**more, "inputs": rows}):
        text = json.dumps(document, **layout)
        agree(package, text.encode(errors="surrogatepass"))


@settings(max_examples=300, deadline=None)
@given(
    rows=some.lists(good_rows, min_size=1, max_size=3),
    place=some.floats(0, 1),
    cut=some.integers(0, 3),
    put=some.one_of(
        some.binary(max_size=2),
        some.sampled_from([b",", b"}", b"]", b'"', b"0", b"-", b"1e9", b"NaN", b"null", b'"age":1,']),
    ),
)
def test_a_damaged_body_is_answered_as_the_row_reader_answers_it_or_not_at_all(
    package: Package, rows: list[dict[str, Any]], place: float, cut: int, put: bytes
) -> None:
    body = json.dumps({"inputs": rows}).encode()
    at = int(place * len(body))
    agree(package, body[:at] + put + body[at + cut :])


@settings(max_examples=100, deadline=None)
@given(rows=some.lists(good_rows, min_size=1, max_size=5))
def test_ordinary_rows_are_read_quickly(package: Package, rows: list[dict[str, Any]]) -> None:
    assert agree(package, json.dumps({"inputs": rows, "return_probabilities": False}).encode())


def test_the_order_of_members_and_their_spelling_are_free(package: Package) -> None:
    body = rb"""{ "use_cache":false, "inputs" : [{"hours":3,"c\u0069ty":"\u004fslo","age":1e1} , {"age":-0.0,
        "city" :"Oslo","hours": null}], "return_probabilities": true, "return_probabilities" : false } """
    assert agree(package, body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"inputs": []}',
        b'{"inputs": [{}]}',
        b'{"inputs": 3}',
        b'{"inputs": [], "more": 1}',
        b"\xff",
        b'{"inputs":[{"age":1,"hours":2,"city":"Oslo"}],"inputs":[]}',
        b'{"inputs":[{"age":1,"hours":2,"city":"Oslo","age":2}]}',
        b'{"inputs":[{"age":1e400,"hours":2,"city":"Oslo"}]}',
        b'{"inputs":[{"age":01,"hours":2,"city":"Oslo"}]}',
        b'{"inputs":[{"age":1.,"hours":2,"city":"Oslo"}]}',
        b'{"inputs":[{"age":1,"hours":2,"city":"\xff"}]}',
        b'{"inputs":[{"age":1,"hours":2,"city":"\xed\xa0\x80"}]}',
    ],
)
def test_what_is_unusual_is_left_to_the_row_reader(package: Package, body: bytes) -> None:
    assert quickly(package, body) is None


def test_more_rows_than_allowed_are_left_to_the_row_reader(package: Package) -> None:
    row = {"age": 1.0, "hours": 2, "city": "Oslo"}
    body = json.dumps({"inputs": [row] * 50}).encode()
    assert read_block(package, body, 50) is not None
    assert read_block(package, body, 49) is None


def test_a_refusal_is_still_named_by_row_and_feature(package: Package) -> None:
    body = json.dumps(
        {"inputs": [{"age": 1.0, "hours": 2, "city": "Oslo"}, {"age": "x", "hours": 2, "city": "Oslo"}]}
    ).encode()
    assert quickly(package, body) is None
    refused: Callable[[], object] = lambda: generally(package, body)  # noqa: E731
    with pytest.raises(Problem, match="/inputs/1/age"):
        refused()
