"""Fitting: what becomes a feature, and what is refused."""

from typing import Any

import numpy as np
import pytest
from mill_contracts.recipe import DerivedFeature, Framework, Imputation, Preprocessing, Recipe, Task
from mill_contracts.tables import ColumnKind
from mill_pack import EncodingStyle, InvalidExpression, InvalidPreprocessing, fit_encoder

COLUMNS = {
    "a": np.array([1.0, 2.0, 3.0]),
    "b": np.array([1.0, np.nan, 3.0]),
    "s": np.array(["x", "y", None], dtype=object),
    "nothing": np.array([np.nan] * 3),
    "y": np.array(["no", "yes", "no"], dtype=object),
}
KINDS = {
    "a": ColumnKind.NUMBER,
    "b": ColumnKind.NUMBER,
    "s": ColumnKind.STRING,
    "nothing": ColumnKind.EMPTY,
    "y": ColumnKind.STRING,
}


def recipe(preprocessing: Preprocessing | None = None, **changes: Any) -> Recipe:
    return Recipe(
        task=Task.CLASSIFICATION,
        framework=Framework.SKLEARN,
        algorithm="some_algorithm",
        target="y",
        preprocessing=preprocessing or Preprocessing(),
        **changes,
    )


def test_target_empty_and_excluded_columns_are_no_features() -> None:
    encoder = fit_encoder(COLUMNS, KINDS, recipe(exclude=("b",)), EncodingStyle())
    assert [spec.name for spec in encoder.signature_features] == ["a", "s"]


def test_chosen_features_come_in_the_chosen_order() -> None:
    encoder = fit_encoder(COLUMNS, KINDS, recipe(features=("s", "a")), EncodingStyle())
    assert [spec.name for spec in encoder.signature_features] == ["s", "a"]


def test_a_column_only_a_derived_feature_names_is_an_input_without_a_place_of_its_own() -> None:
    wishes = Preprocessing(derived=(DerivedFeature(name="double", expression="a * 2"),))
    encoder = fit_encoder(COLUMNS, KINDS, recipe(wishes, features=("b",)), EncodingStyle())
    assert [spec.name for spec in encoder.signature_features] == ["b", "a"]
    assert encoder.output_names == ("b", "double")
    assert encoder.encode_row({"a": 4.0, "b": 1.0})[0].tolist() == [1.0, 8.0]


def test_the_signature_says_what_training_saw() -> None:
    specs = {spec.name: spec for spec in fit_encoder(COLUMNS, KINDS, recipe(), EncodingStyle()).signature_features}
    assert (specs["a"].nullable, specs["a"].required, specs["a"].minimum, specs["a"].maximum) == (False, True, 1, 3)
    assert (specs["b"].nullable, specs["b"].required) == (True, False)
    assert specs["s"].categories == ("x", "y")


@pytest.mark.parametrize(
    ("expression", "words"),
    [("s * 2", "'s' is no numeric input"), ("y + 1", "'y' is no numeric"), ("aa + 1", "did you mean 'a'")],
)
def test_a_derived_feature_needs_numeric_inputs(expression: str, words: str) -> None:
    wishes = Preprocessing(derived=(DerivedFeature(name="d", expression=expression),))
    with pytest.raises(InvalidExpression, match=words):
        fit_encoder(COLUMNS, KINDS, recipe(wishes), EncodingStyle())


def test_a_derived_feature_needs_a_name_of_its_own() -> None:
    wishes = Preprocessing(derived=(DerivedFeature(name="b", expression="a * 2"),))
    with pytest.raises(InvalidExpression, match="'b' exists already"):
        fit_encoder(COLUMNS, KINDS, recipe(wishes), EncodingStyle())


@pytest.mark.parametrize("imputation", [Imputation(numeric="none"), Imputation(categorical="none")])
def test_no_imputation_is_refused_where_the_algorithm_takes_no_missing_values(imputation: Imputation) -> None:
    style = EncodingStyle(needs_imputation=True)
    with pytest.raises(InvalidPreprocessing, match="some_algorithm takes none"):
        fit_encoder(COLUMNS, KINDS, recipe(Preprocessing(imputation=imputation)), style)


def test_a_table_without_features_is_refused() -> None:
    with pytest.raises(InvalidPreprocessing, match="No feature is left"):
        fit_encoder(COLUMNS, KINDS, recipe(exclude=("a", "b", "s")), EncodingStyle())


def test_infinite_numbers_are_refused() -> None:
    columns = COLUMNS | {"a": np.array([1.0, np.inf, 2.0])}
    with pytest.raises(InvalidPreprocessing, match="'a' holds infinite"):
        fit_encoder(columns, KINDS, recipe(), EncodingStyle())


def test_an_unknown_feature_name_is_refused() -> None:
    with pytest.raises(InvalidPreprocessing, match="no column 'zz'"):
        fit_encoder(COLUMNS, KINDS, recipe(features=("zz",)), EncodingStyle())


def test_too_wide_a_matrix_is_refused() -> None:
    many = np.array([f"v{number}" for number in range(9_000)], dtype=object)
    columns = {f"c{number}": many for number in range(6)}
    kinds = dict.fromkeys(columns, ColumnKind.STRING)
    with pytest.raises(InvalidPreprocessing, match="lower max_categories"):
        fit_encoder(columns, kinds, recipe(Preprocessing(max_categories=10_000)), EncodingStyle(categories="one_hot"))
