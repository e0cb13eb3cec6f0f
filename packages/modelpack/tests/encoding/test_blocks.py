"""Bodies read straight to the matrix hold the bits that rows read one by one hold, dates and derived features among them."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_contracts.recipe import DerivedFeature
from mill_pack import Encoded, Encoder, EncodingStyle, InvalidInput
from mill_pack.encoding.blocks import BlockPlan

MOST_ROWS = 10_000
DERIVED = (
    DerivedFeature(name="ratio", expression="hours / age"),
    DerivedFeature(name="log gain", expression="log1p([capital gain]) * 2"),
)
odd = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(-(10**25), 10**25),
    some.floats(),
    some.text(max_size=4),
    some.datetimes().map(lambda moment: moment.isoformat()),
    some.sampled_from(["2024-02-29", "2024-02-29T10:00Z", "20240229", 10**400, [], {}]),
)


@pytest.fixture(scope="module", params=["tree", "linear"])
def encoder(request: pytest.FixtureRequest, fit: Any, styles: dict[str, EncodingStyle]) -> Encoder:
    return fit(styles[request.param], derived=DERIVED, max_categories=4)


@pytest.fixture(scope="module")
def blocks(encoder: Encoder) -> BlockPlan:
    assert encoder.blocks is not None
    return encoder.blocks


def assert_same(found: Encoded, expected: Encoded) -> None:
    assert found.matrix.tobytes() == expected.matrix.tobytes()
    assert (found.unseen, found.rows_with_missing) == (expected.unseen, expected.rows_with_missing)


def test_objects_lists_and_columns_give_the_bits_of_rows(table: Any, encoder: Encoder, blocks: BlockPlan) -> None:
    rows = table.rows(encoder)
    expected = encoder.read_rows(rows)
    objects = json.dumps(rows).encode()
    names = list(reversed(rows[0]))
    lists = json.dumps([[row[name] for name in names] for row in rows]).encode()
    for body, found in (
        (objects, blocks.objects(objects, 1, MOST_ROWS)),
        (lists, blocks.lists(lists, 1, MOST_ROWS, names)),
    ):
        assert found is not None
        assert found[0] == len(body)
        assert_same(found[1], expected)
    by_column = blocks.columns([table.columns[feature.name] for feature in encoder.signature_features])
    assert by_column is not None
    assert_same(by_column, encoder.encode_columns(table.columns))


@settings(max_examples=100, deadline=None)
@given(data=some.data())
def test_odd_rows_are_given_up_or_read_as_rows_are(
    table: Any, encoder: Encoder, blocks: BlockPlan, data: some.DataObject
) -> None:
    rows = [
        dict(row) for row in data.draw(some.lists(some.sampled_from(table.rows(encoder)[:50]), min_size=1, max_size=3))
    ]
    for row in rows:
        row.update(data.draw(some.dictionaries(some.sampled_from([*row, "unknown"]), odd, max_size=2)))
    body = json.dumps(rows).encode(errors="replace")
    found = blocks.objects(body, 1, MOST_ROWS)
    if found is not None:
        assert_same(found[1], encoder.read_rows(rows))
    alone = blocks.object(body, 1)
    if alone is not None:
        vector, unseen = encoder.encode_row(rows[0])
        assert (alone[1].tobytes(), alone[2]) == (vector.tobytes(), unseen)


def test_what_rows_refuse_is_given_up(table: Any, encoder: Encoder, blocks: BlockPlan) -> None:
    good = table.rows(encoder)[0]
    for wrong in (
        {"age": 1.5},
        {"joined": 20240101},
        {"job": 3},
        {"member": 1},
        {"seen at": 9e15},
        {"x": 1},
    ):
        rows = [good, {**good, **wrong}]
        assert blocks.objects(json.dumps(rows).encode(), 1, MOST_ROWS) is None
        with pytest.raises(InvalidInput):
            encoder.read_rows(rows)
    assert blocks.object(json.dumps(good).encode(), 0) is not None
    assert blocks.lists(b"[[1]]", 1, MOST_ROWS, ["age"]) is None


def test_a_matrix_of_plain_numbers_is_not_copied(fit: Any, table: Any) -> None:
    numbers = ("hours", "capital gain")
    document = fit().document
    features = tuple(feature for feature in document.features if feature.name in numbers)
    outputs = tuple(output for output in document.outputs if output.source in numbers)
    encoder = Encoder(document.model_copy(update={"features": features, "outputs": outputs}))
    assert encoder.blocks is not None
    matrix = np.arange(6.0).reshape(3, 2)
    found = encoder.blocks.matrix(matrix)
    assert found is not None
    assert found.matrix is matrix
    matrix[1, 0] = np.nan
    matrix[1, 1] = np.inf
    assert encoder.blocks.matrix(matrix) is None
    matrix[1, 1] = 1.0
    found = encoder.blocks.matrix(matrix.astype(np.float32))
    assert found is not None
    expected = encoder.read_rows([{"hours": None if a != a else a, "capital gain": b} for a, b in matrix.tolist()])
    assert found.matrix.tobytes() == expected.matrix.tobytes()
