# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (lightgbm's estimators are untyped)
"""What LightGBM 4 computes, the predictor computes, to the last bit."""

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from mill_forest import InvalidForest, Predictor, UnsupportedForest, read_lightgbm
from numpy.typing import NDArray

Table = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]
QUIET: dict[str, Any] = {"verbose": -1, "n_jobs": 1, "random_state": 0}
BAGGED: dict[str, Any] = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.7, "n_estimators": 20}
CLASSIFIERS: dict[str, tuple[int, dict[str, Any]]] = {
    "binary": (2, {"n_estimators": 60}),
    "binary with another sigmoid": (2, {"n_estimators": 20, "sigmoid": 0.6}),
    "zero counts as missing": (2, {"n_estimators": 40, "zero_as_missing": True}),
    "missing values not used": (2, {"n_estimators": 40, "use_missing": False}),
    "trees too large to blend": (2, {"n_estimators": 10, "num_leaves": 400, "min_child_samples": 1}),
    "three classes": (3, {"n_estimators": 20}),
    "ten classes": (10, {"n_estimators": 8}),
    "one against all": (3, {"n_estimators": 20, "objective": "multiclassova", "sigmoid": 0.7}),
    "random forest": (2, BAGGED),
    "random forest of three classes": (3, BAGGED),
    "dart": (2, {"n_estimators": 20, "boosting_type": "dart"}),
    "no split worth making": (2, {"n_estimators": 3, "min_child_samples": 10_000}),
}
REGRESSIONS: dict[str, dict[str, Any]] = {
    "regression": {},
    "square root of the target": {"reg_sqrt": True},
    "regression_l1": {"objective": "regression_l1"},
    "huber": {"objective": "huber"},
    "fair": {"objective": "fair"},
    "quantile": {"objective": "quantile"},
    "mape": {"objective": "mape"},
    "poisson": {"objective": "poisson"},
    "gamma": {"objective": "gamma"},
    "tweedie": {"objective": "tweedie"},
    "cross_entropy": {"objective": "cross_entropy"},
    "cross_entropy_lambda": {"objective": "cross_entropy_lambda"},
    "random forest": BAGGED,
}


def _classes(score: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.digitize(score, np.quantile(score, np.linspace(0, 1, count + 1)[1:-1]))


def _one_by_one(predictor: Predictor, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([predictor.predict_one(row) for row in rows])


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_probabilities_equal_the_librarys_bit_for_bit(
    name: str, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    count, parameters = CLASSIFIERS[name]
    x, score = table(0)
    model = lgb.LGBMClassifier(**QUIET, **parameters).fit(x, _classes(score, count))
    forest = read_lightgbm(model.booster_.model_to_string())
    rows = edge_rows(forest, x)
    predictor, theirs = Predictor(forest), np.asarray(model.predict_proba(rows))
    assert differences(predictor.predict(rows), theirs) == 0
    assert differences(_one_by_one(predictor, rows[:400]), theirs[:400]) == 0


@pytest.mark.parametrize("name", REGRESSIONS)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_values_equal_the_librarys_bit_for_bit(
    name: str, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    x, score = table(1)
    y = 1 / (1 + np.exp(-score)) if "cross_entropy" in name else np.exp(score / 4)
    parameters: dict[str, Any] = {**QUIET, "n_estimators": 20, **REGRESSIONS[name]}
    model = lgb.LGBMRegressor(**parameters).fit(x, y)
    forest = read_lightgbm(model.booster_.model_to_string())
    rows = edge_rows(forest, x)
    assert differences(Predictor(forest).predict(rows), np.asarray(model.predict(rows))) == 0


@pytest.mark.parametrize("use_missing", [True, False])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.filterwarnings("ignore:categorical_feature")
def test_categorical_splits_send_every_code_the_same_way(
    use_missing: bool, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    x, score = table(2)
    x[::50, 4] = np.nan
    options: dict[str, Any] = {"min_data_per_group": 1, "cat_smooth": 0, "max_cat_to_onehot": 1, "n_estimators": 30}
    model = lgb.LGBMClassifier(**QUIET, **options, use_missing=use_missing)
    model.fit(x, _classes(score, 2), categorical_feature=[4])
    forest = read_lightgbm(model.booster_.model_to_string())
    assert (forest.category >= 0).any()
    rows = edge_rows(forest, x)
    rows[::97, 4] = np.inf
    rows[::89, 4] = -np.inf
    predictor, theirs = Predictor(forest), np.asarray(model.predict_proba(rows))
    assert differences(predictor.predict(rows), theirs) == 0
    assert differences(_one_by_one(predictor, rows[:400]), theirs[:400]) == 0


def test_linear_trees_are_refused(table: Table) -> None:
    x, score = table(3)
    model = lgb.LGBMRegressor(**QUIET, n_estimators=3, linear_tree=True).fit(x, score)
    with pytest.raises(UnsupportedForest, match="linear"):
        read_lightgbm(model.booster_.model_to_string())


@pytest.fixture(scope="module")
def model_text(table: Table) -> str:
    x, score = table(4)
    model = lgb.LGBMClassifier(**QUIET, n_estimators=2, num_leaves=6).fit(x, _classes(score, 2))
    text: str = model.booster_.model_to_string()
    return text


def test_bytes_and_text_are_both_read(model_text: str) -> None:
    assert read_lightgbm(model_text.encode()).n_trees == read_lightgbm(model_text).n_trees == 2


def _replaced(text: str, name: str, value: str) -> str:
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith(name + "="))
    return "\n".join([*lines[:at], f"{name}={value}", *lines[at + 1 :]])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("left_child", "0 1 2 3 4", "child"),
        ("left_child", "9999999 1 2 3 4", "child"),
        ("left_child", "1 -1 x 3 4", "not a number"),
        ("left_child", "1 2", "2 items"),
        ("right_child", "-1 -1 -1 -1 -1", "parent"),
        ("split_feature", "99 0 0 0 0", "feature"),
        ("threshold", "nan 0 0 0 0", "not a number"),
        ("decision_type", "31 2 2 2 2", "decision_type"),
        ("decision_type", "1 2 2 2 2", "categor"),
        ("leaf_value", "inf 0 0 0 0 0", "not finite"),
        ("num_leaves", "1000000000", "items"),
        ("num_leaves", "-4", "num_leaves"),
        ("num_cat", "5", "cat_boundaries"),
        ("max_feature_idx", "-2", "max_feature_idx"),
        ("num_tree_per_iteration", "0", "num_tree_per_iteration"),
        ("num_tree_per_iteration", "3", "margins"),
        ("version", "v9", "version"),
        ("objective", "binary sigmoid:x", "sigmoid"),
        ("objective", "binary sigmoid:nan", "link_scale"),
    ],
)
def test_a_damaged_model_is_refused_by_name(model_text: str, name: str, value: str, says: str) -> None:
    with pytest.raises(InvalidForest, match=says):
        read_lightgbm(_replaced(model_text, name, value))


def test_a_truncated_model_is_refused(model_text: str) -> None:
    with pytest.raises(InvalidForest, match="end of the trees"):
        read_lightgbm(model_text[: model_text.index("end of trees")])


def test_an_unknown_objective_is_refused(model_text: str) -> None:
    with pytest.raises(UnsupportedForest, match="lambdarank"):
        read_lightgbm(_replaced(model_text, "objective", "lambdarank"))
