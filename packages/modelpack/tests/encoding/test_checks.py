"""A wrong input is refused with every wrong feature named, and where."""

from typing import Any

import numpy as np
import pytest
from mill_pack import Encoder, InvalidInput


@pytest.fixture
def encoder(fit: Any, styles: Any) -> Encoder:
    return fit(styles["tree"])


@pytest.fixture
def row(table: Any, encoder: Encoder) -> dict[str, Any]:
    rows = table.rows(encoder)
    return next(row for row in rows if None not in row.values())


def refusal(encoder: Encoder, row: Any) -> dict[str, str]:
    """Pointer to detail, the same for one row, for a list and for `check_row`."""
    with pytest.raises(InvalidInput) as one:
        encoder.encode_row(row)
    with pytest.raises(InvalidInput) as checked:
        encoder.check_row(row)
    with pytest.raises(InvalidInput) as many:
        encoder.encode_rows([row])
    errors = {error["pointer"]: error["detail"] for error in one.value.errors}
    assert one.value.errors == checked.value.errors
    assert {error["pointer"].replace("/inputs/0", "/input_data", 1) for error in many.value.errors} == set(errors)
    assert one.value.status == 422
    assert one.value.slug == "invalid-input"
    return errors


@pytest.mark.parametrize(
    ("feature", "value", "words"),
    [
        ("hours", "12", "must be a number, not the string '12'"),
        ("hours", True, "must be a number, not true"),
        ("hours", [1], "must be a number, not an array"),
        ("hours", float("nan"), "finite"),
        ("hours", float("inf"), "finite"),
        ("hours", 10**400, "finite"),
        ("age", 30.5, "whole number"),
        ("age", None, "may not be null"),
        ("member", 1, "true or false"),
        ("member", "yes", "true or false"),
        ("colour", 3, "must be a string"),
        ("colour", False, "must be a string"),
        ("colour", {"a": 1}, "must be a string, not an object"),
        ("joined", "31.1.2024", "ISO 8601"),
        ("joined", True, "date as text"),
        ("joined", 20260105, "a date as text, such as 2026-01-05"),
        ("seen at", 1e300, "calendar"),
    ],
)
def test_a_wrong_value_is_named_by_pointer(
    encoder: Encoder, row: dict[str, Any], feature: str, value: object, words: str
) -> None:
    errors = refusal(encoder, row | {feature: value})
    assert list(errors) == [f"/input_data/{feature}"]
    assert words in errors[f"/input_data/{feature}"]


def test_every_wrong_feature_is_named_at_once(encoder: Encoder, row: dict[str, Any]) -> None:
    wrong = row | {"hours": "x", "member": 0, "colr": "red"}
    del wrong["age"]
    assert set(refusal(encoder, wrong)) == {
        "/input_data/hours",
        "/input_data/member",
        "/input_data/colr",
        "/input_data/age",
    }


def test_an_unknown_feature_gets_the_closest_known_name(encoder: Encoder, row: dict[str, Any]) -> None:
    errors = refusal(encoder, row | {"colr": "red"})
    assert errors["/input_data/colr"] == "is no feature of this model; did you mean 'colour'?"


def test_a_feature_training_saw_missing_may_be_left_out_or_null(encoder: Encoder, row: dict[str, Any]) -> None:
    without = {name: value for name, value in row.items() if name != "hours"}
    left_out, _ = encoder.encode_row(without)
    null, _ = encoder.encode_row(row | {"hours": None})
    assert left_out.tobytes() == null.tobytes() == encoder.encode_rows([without]).tobytes()


def test_an_imputed_feature_may_be_null_but_not_absent(fit: Any, styles: Any, row: dict[str, Any]) -> None:
    encoder = fit(styles["linear"])
    encoder.encode_row(row | {"age": None})
    without = {name: value for name, value in row.items() if name != "age"}
    assert refusal(encoder, without) == {"/input_data/age": "is missing; send null where it is not known"}


def test_whole_floats_are_integers_and_dates_come_in_their_spellings(encoder: Encoder, row: dict[str, Any]) -> None:
    spellings = ["2024-01-01", "2024-01-01T00:00:00Z", "2024-01-01T02:00:00+02:00"]
    vectors = {encoder.encode_row(row | {"age": 30.0, "joined": spelling})[0].tobytes() for spelling in spellings}
    assert vectors == {encoder.encode_row(row | {"age": 30, "joined": "2024-01-01"})[0].tobytes()}


def test_in_a_list_the_row_is_named_too(encoder: Encoder, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        encoder.encode_rows([row, row, row | {"hours": "x"}, row | {"a/b~c": 1}], pointer="/instances")
    assert [error["pointer"] for error in refused.value.errors] == ["/instances/2/hours", "/instances/3/a~1b~0c"]


@pytest.mark.parametrize("row", [None, 3, "row", ["age"]])
def test_a_row_that_is_no_object_is_refused(encoder: Encoder, row: object) -> None:
    assert refusal(encoder, row) == {"/input_data": "must be an object with one member per feature"}


def test_the_list_of_errors_is_bounded(encoder: Encoder, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        encoder.encode_rows([row | {"hours": "x", "age": "y"}] * 10_000)
    assert len(refused.value.errors) == 100


def test_a_row_of_nonsense_is_refused_without_much_ado(encoder: Encoder, row: dict[str, Any]) -> None:
    nonsense = row | {f"colour {number}": number for number in range(50_000)}
    with pytest.raises(InvalidInput) as refused:
        encoder.encode_row(nonsense)
    assert len(refused.value.errors) == 100
    assert sum("did you mean" in error["detail"] for error in refused.value.errors) == 5


def test_a_table_is_refused_by_column(encoder: Encoder, table: Any) -> None:
    columns = dict(table.columns)
    del columns["colour"]
    columns["age"] = np.where(np.arange(len(columns["age"])) == 5, np.nan, columns["age"])
    columns["hours"] = np.where(np.arange(len(columns["age"])) == 6, np.inf, columns["hours"])
    with pytest.raises(InvalidInput) as refused:
        encoder.transform(columns)
    errors = {error["column"]: error["detail"] for error in refused.value.errors}
    assert set(errors) == {"colour", "age", "hours"}
    assert "row 6" in errors["age"]
    assert "row 7 is infinite" in errors["hours"]


def test_a_table_may_hold_more_columns(encoder: Encoder, table: Any) -> None:
    more = dict(table.columns) | {"extra": np.zeros(3)}
    assert encoder.transform(more).tobytes() == encoder.transform(table.columns).tobytes()
