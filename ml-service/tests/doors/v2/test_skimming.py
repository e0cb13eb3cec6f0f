"""Numbers lifted out of a request are the numbers its decoder reads; where they are not lifted, the request is left as it is."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_kit.problems import Problem
from mill_serving.doors.v2 import framing, skimming
from mill_serving.errors import MalformedTensor

numbers = some.lists(
    some.one_of(some.none(), some.integers(-(10**25), 10**25), some.floats(allow_nan=False, allow_infinity=False)),
    max_size=6,
)
texts = some.lists(some.one_of(some.none(), some.text(max_size=3), some.just('"data": [1]')), max_size=3)
nested = some.lists(numbers, max_size=3)
tensors = some.fixed_dictionaries(
    {
        "name": some.sampled_from(["a", "b", "data"]),
        "datatype": some.sampled_from(["FP64", "FP32", "INT64", "BOOL", "BYTES"]),
        "shape": some.sampled_from([[0], [1], [2], [6], [3, 2], [2, 3], [1, 1]]),
    },
    optional={
        "data": some.one_of(numbers, nested, texts, some.integers(-2, 2)),
        "parameters": some.just({"data": [1, 2]}),
    },
)


def generally(body: bytes) -> framing.Asked | str:
    try:
        return framing._surely(memoryview(body), memoryview(b""))  # pyright: ignore[reportPrivateUsage] - the general way
    except Problem as problem:
        return problem.detail


def asked(body: bytes) -> framing.Asked | str:
    try:
        return framing.read_request(body, b"")
    except Problem as problem:
        return problem.detail


def assert_same(body: bytes) -> None:
    quick, slow = asked(body), generally(body)
    if isinstance(quick, str) or isinstance(slow, str):
        assert quick == slow
        return
    assert (quick.wanted, quick.id, len(quick.inputs)) == (slow.wanted, slow.id, len(slow.inputs))
    for left, right in zip(quick.inputs, slow.inputs, strict=True):
        assert (left.name, left.datatype, left.shape, left.values.dtype) == (
            right.name,
            right.datatype,
            right.shape,
            right.values.dtype,
        )
        if left.values.dtype == object:
            assert left.values.tolist() == right.values.tolist()
        else:
            assert left.values.tobytes() == right.values.tobytes()


@pytest.fixture(autouse=True)
def small_requests_are_skimmed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skimming, "_SMALL", 0)


@settings(max_examples=400, deadline=None)
@given(given=some.lists(tensors, max_size=3), layout=some.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}]))
def test_a_request_reads_alike_with_and_without_skimming(given: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    assert_same(json.dumps({"id": "x", "inputs": given}, **layout).encode())


@settings(max_examples=200, deadline=None)
@given(
    given=some.lists(tensors, min_size=1, max_size=2),
    place=some.floats(0, 1),
    cut=some.integers(0, 3),
    put=some.one_of(some.binary(max_size=2), some.sampled_from([b"[", b"]", b",", b"-", b'"data":[1],', b"\\"])),
)
def test_a_damaged_request_reads_alike_too(given: list[dict[str, Any]], place: float, cut: int, put: bytes) -> None:
    body = json.dumps({"inputs": given}).encode()
    at = int(place * len(body))
    assert_same(body[:at] + put + body[at + cut :])


def test_a_long_flat_tensor_never_becomes_objects() -> None:
    values = np.linspace(-1, 1, 600)
    body = json.dumps(
        {"inputs": [{"name": "x", "shape": [20, 30], "datatype": "FP64", "data": values.tolist()}]}
    ).encode()
    skimmed = skimming.skim(memoryview(body))
    assert skimmed is not None
    assert skimmed.arrays[0].values.tobytes() == values.tobytes()
    assert b'"data": 0}' in skimmed.text


def test_a_number_in_place_of_data_is_refused() -> None:
    for data in (0, -1, 1):
        body = json.dumps({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": data}]}).encode()
        with pytest.raises(MalformedTensor, match="no array"):
            framing.read_request(body, b"")
