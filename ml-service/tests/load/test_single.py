"""The quick way of one row: where it answers, it says what the general way says."""

import json
import time
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from mill_pack import Package, open_package
from mill_serving.engine import pays
from mill_serving.packages import PackageFolder, StoreHandle
from mill_serving.shared import find_shared
from mill_serving.single import Identity, SingleRow

ROW = {"age": 40.0, "hours": 38.0, "city": "Oslo"}
IDENTITY = Identity("m", 'a "quoted" 100% name', 3, "v")
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
        "age": some.floats(-1e300, 1e300),
        "hours": some.none() | some.integers(0, 90),
        "city": some.sampled_from(["Oslo"]),
    }
)
any_rows = some.dictionaries(some.sampled_from(["age", "hours", "city", "unknown"]), values)


@pytest.fixture(scope="module")
def package(build: Any) -> Package:
    return open_package(build("demo").path)


@pytest.fixture(scope="module")
def single(package: Package) -> SingleRow:
    found = SingleRow.of(package)
    assert found is not None
    return found


def ask(single: SingleRow, body: bytes) -> Any:
    answer = single.answer(body, time.perf_counter(), IDENTITY, b"request-1")
    return None if answer is None else json.loads(answer)


@settings(max_examples=300, deadline=None)
@given(row=some.one_of(good_rows, any_rows), shown=some.booleans())
def test_it_answers_as_the_general_way_or_not_at_all(
    package: Package, single: SingleRow, row: dict[str, Any], shown: bool
) -> None:
    said = ask(single, json.dumps({"input_data": row, "return_probabilities": shown}).encode())
    if said is None:
        return
    usual = package.predict_one(row)
    assert said["prediction"] == usual.value
    assert said["confidence_score"] == usual.confidence
    assert said["probabilities"] == (usual.probabilities if shown else None)
    assert said["metadata"]["low_confidence"] == usual.low_confidence
    assert said["metadata"]["warnings"] == list(usual.warnings)


def test_an_ordinary_row_is_answered_whole(single: SingleRow) -> None:
    said = ask(single, json.dumps({"input_data": ROW}).encode())
    assert set(said) == {
        "model_id",
        "prediction",
        "confidence_score",
        "probabilities",
        "processing_time",
        "timestamp",
        "metadata",
    }
    assert said["metadata"] == {
        "model_name": 'a "quoted" 100% name',
        "version": 3,
        "model_version_id": "v",
        "low_confidence": True,
        "warnings": [],
        "cached": False,
        "request_id": "request-1",
    }
    assert (
        abs(time.mktime(time.strptime(said["timestamp"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - time.time()) < 5
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b'{"input_data": {}}',
        b'{"input_data": 3}',
        b'{"input_data": {"age": 1, "hours": 1, "city": 3}}',
        b'{"input_data": {"age": NaN, "hours": 1, "city": "Oslo"}}',
        b'{"input_data": {"age": 1e400, "hours": 1, "city": "Oslo"}}',
        b'{"input_data": {"age": true, "hours": 1, "city": "Oslo"}}',
        b'{"input_data": {"age": 1, "hours": 1, "city": "Oslo"}, "more": 1}',
    ],
)
def test_what_is_unusual_is_left_to_the_general_way(single: SingleRow, body: bytes) -> None:
    assert ask(single, body) is None


def test_an_unseen_category_is_answered_with_a_warning_where_the_deployment_takes_it(
    package: Package, single: SingleRow
) -> None:
    body = (
        b'{"use_cache": false, "input_data": {"age": 1, "hours": 1.0, "city": "Paris"}, "return_probabilities": false}'
    )
    said = ask(single, body)
    usual = package.predict_one({"age": 1, "hours": 1.0, "city": "Paris"})
    assert said["confidence_score"] == usual.confidence
    assert said["probabilities"] is None
    assert said["metadata"]["warnings"] == list(usual.warnings) == ["city: category unknown to the model"]
    strict = Identity("m", "n", 3, "v", takes_unseen=False)
    assert single.answer(body, time.perf_counter(), strict, b"request-1") is None
    assert single.answer(body.replace(b"Paris", b"Oslo"), time.perf_counter(), strict, b"request-1") is not None


def test_a_look_up_is_worth_it_for_slow_models_alone(build: Any, tmp_path: Path) -> None:
    """What is measured at load decides: this model predicts sooner than it could look up."""
    copy(build("quick").path, tmp_path / "quick.mill")
    (target,) = find_shared(tmp_path)
    loaded = PackageFolder(tmp_path, StoreHandle(None)).load(target)
    assert not pays(loaded)
    assert pays(replace(loaded, row_microseconds=20 * (loaded.lookup_microseconds + 5)))
