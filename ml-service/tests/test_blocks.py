"""The quick reader of blocks: where it reads, it reads what the package's own row reader reads; else it gives up."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_contracts.tables import ColumnKind
from mill_pack import FeatureSpec, InvalidInput, Package, Signature, open_package
from mill_serving.blocks import BlockReader

values = some.one_of(
    some.none(),
    some.booleans(),
    some.integers(),
    some.floats(allow_nan=False, allow_infinity=False),
    some.text(max_size=5),
    some.sampled_from(["Oslo", "Bergen", "Paris", 10**400, [], {}]),
)
good_rows = some.fixed_dictionaries(
    {
        "age": some.floats(-1e6, 1e6),
        "hours": some.one_of(some.none(), some.integers(0, 90)),
        "city": some.text(max_size=3),
    }
)
any_rows = some.dictionaries(some.sampled_from(["age", "hours", "city", "unknown"]), values)


@pytest.fixture(scope="module")
def package(build: Any) -> Package:
    return open_package(build("demo").path)


@settings(max_examples=200, deadline=None)
@given(rows=some.lists(some.one_of(good_rows, any_rows), min_size=1, max_size=4))
def test_it_answers_as_the_row_reader_or_not_at_all(package: Package, rows: list[dict[str, Any]]) -> None:
    block = BlockReader(package.signature).read(json.dumps({"inputs": rows}).encode())
    if block is None:
        return
    try:
        quick = package.predict_columns(block.columns)
    except InvalidInput:
        with pytest.raises(InvalidInput):
            package.predict_rows(rows)
        return
    slow = package.predict_rows(rows)
    assert np.array_equal(quick.probabilities, slow.probabilities)  # pyright: ignore[reportArgumentType]
    assert quick.warnings == slow.warnings


def test_ordinary_rows_are_read_quickly(package: Package) -> None:
    rows = [{"age": 40, "hours": None, "city": "Oslo"}, {"age": 41.5, "hours": 3, "city": "Paris"}]
    block = BlockReader(package.signature).read(json.dumps({"inputs": rows, "return_probabilities": False}).encode())
    assert block is not None
    assert (block.rows, block.return_probabilities) == (2, False)
    assert block.columns["age"].tolist() == [40.0, 41.5]
    assert np.isnan(block.columns["hours"][0])


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"inputs": []}', b'{"inputs": [{}]}', b'{"inputs": 3}', b'{"inputs": [], "more": 1}', b"\xff"]
)
def test_what_is_unusual_is_left_to_the_row_reader(package: Package, body: bytes) -> None:
    assert BlockReader(package.signature).read(body) is None


def test_dates_are_left_to_the_row_reader_and_optional_features_may_be_absent(package: Package) -> None:
    features = (
        FeatureSpec(name="odd name /é", kind=ColumnKind.INTEGER),
        FeatureSpec(name="flag", kind=ColumnKind.BOOLEAN, nullable=True, required=False),
    )
    signature = package.signature.model_copy(update={"features": features})
    block = BlockReader(signature).read(json.dumps({"inputs": [{"odd name /é": 3}]}).encode())
    assert block is not None
    assert block.columns["odd name /é"].tolist() == [3.0]
    assert np.isnan(block.columns["flag"]).all()
    for name, kind in (("day", ColumnKind.DATE), ('a "quoted" one', ColumnKind.NUMBER)):
        other = Signature(features=(FeatureSpec(name=name, kind=kind),), task=signature.task, classes=(), target="t")
        assert BlockReader(other).read(json.dumps({"inputs": [{name: 3}]}).encode()) is None
