"""The quick reader of scoring requests: where it reads, it reads what the general way reads; else it gives up."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_pack import Package, open_package
from mill_serving.doors.mlflow import checked, rows_of_document
from mill_serving.doors.scoring_blocks import read_block
from mill_serving.errors import InvalidRequest

NAMES = ["age", "hours", "city"]
rows = some.lists(
    some.tuples(
        some.floats(-1e6, 1e6),
        some.one_of(some.none(), some.integers(0, 90)),
        some.sampled_from(["Oslo", "Bergen", "Ålesund", "?"]),
    ),
    min_size=1,
    max_size=4,
)
orders = some.permutations(NAMES)


@pytest.fixture(scope="module")
def package(build: Any) -> Package:
    return open_package(build("demo").path)


def documents(given: list[tuple[Any, ...]], order: list[str]) -> list[dict[str, Any]]:
    records = [{name: row[NAMES.index(name)] for name in order} for row in given]
    lists = [list(record.values()) for record in records]
    split = {"columns": order, "index": list(range(len(given))), "data": lists}
    return [
        {"dataframe_split": split},
        {"dataframe_records": records, "params": {"predict_method": "predict_proba"}},
        {"instances": records},
        {"instances": [list(row) for row in given], "signature_name": "x"},
        {"inputs": [list(row) for row in given]},
    ]


def agrees(package: Package, body: bytes) -> bool:
    block = read_block(package, body, 1000)
    if block is None:
        return False
    try:
        checked(block.document)
    except InvalidRequest:
        with pytest.raises(InvalidRequest):
            rows_of_document(json.loads(body), NAMES)
        return False
    general = package.predict_rows(rows_of_document(json.loads(body), NAMES))
    quick = package.predict_encoded(block.encoded)
    assert np.array_equal(quick.probabilities, general.probabilities)  # pyright: ignore[reportArgumentType]
    assert quick.warnings == general.warnings
    assert block.document.get("params") == json.loads(body).get("params")
    return True


@settings(max_examples=60, deadline=None)
@given(given=rows, order=orders, indent=some.sampled_from([None, 1]))
def test_every_form_of_ordinary_rows_is_read_quickly(
    package: Package, given: Any, order: list[str], indent: int | None
) -> None:
    for document in documents(given, order):
        assert agrees(package, json.dumps(document, indent=indent, ensure_ascii=False).encode())


@settings(max_examples=150, deadline=None)
@given(
    given=rows,
    form=some.integers(0, 4),
    place=some.floats(0, 1),
    cut=some.integers(0, 3),
    put=some.one_of(
        some.binary(max_size=2), some.sampled_from([b"]", b"}", b",", b'"data":0,', b'"x":1,', b"\\", b"[", b"1"])
    ),
)
def test_a_damaged_request_is_given_up_or_read_as_ever(
    package: Package, given: Any, form: int, place: float, cut: int, put: bytes
) -> None:
    body = json.dumps(documents(given, NAMES)[form]).encode()
    at = int(place * len(body))
    agrees(package, body[:at] + put + body[at + cut :])


@pytest.mark.parametrize(
    "body",
    [
        b'{"dataframe_split":{"data":[[1,2,"Oslo"]],"columns":["age","hours","city"]}}',
        b'{"dataframe_split":{"columns":["age","hours","city"],"data":[[1,2,"Oslo"]]},"dataframe_split":{"columns":[]}}',
        b'{"dataframe_split":{"columns":["age","hours","city"],"data":[[1,2,"Oslo"]],"d\\u0061ta":[]}}',
        b'{"dataframe_split":{"columns":["age","hours","age"],"data":[[1,2,"Oslo"]]}}',
        b'{"dataframe_split":{"columns":["age","hours"],"data":[[1,2]]}}',
        b'{"dataframe_split":{"x":{"columns":["age","hours","city"],"data":[[1,2,"Oslo"]]}}}',
        b'{"dataframe_records":[[1,2,"Oslo"]]}',
        b'{"instances":[[1,2,"Oslo"]],"instances":[]}',
        b'{"instances":[1,2]}',
        b'{"inputs":{"age":[1],"hours":[2],"city":["Oslo"]}}',
        b'{"params":{"inputs":[[1,2,"Oslo"]]},"inputs":0}',
    ],
)
def test_what_is_unusual_is_left_to_the_general_way(package: Package, body: bytes) -> None:
    assert read_block(package, body, 1000) is None
