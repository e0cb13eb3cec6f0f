# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (xgboost ships no types)
"""What XGBoost 3 computes, the predictor computes, to the last bit."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from mill_forest import Forest, InvalidForest, Predictor, Task, UnsupportedForest, read_xgboost, to_bytes
from numpy.typing import NDArray

Table = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]
CLASSIFIERS = {
    "binary": (2, {"max_depth": 6, "n_estimators": 60}),
    "binary with a base score": (2, {"n_estimators": 10, "base_score": 0.1}),
    "binary with pruned nodes": (2, {"n_estimators": 20, "gamma": 2.0, "tree_method": "exact"}),
    "three classes": (3, {"n_estimators": 25}),
    "ten classes": (10, {"n_estimators": 8}),
    "parallel trees": (2, {"n_estimators": 5, "num_parallel_tree": 4, "subsample": 0.7}),
}
REGRESSIONS = [
    "reg:squarederror",
    "reg:absoluteerror",
    "reg:pseudohubererror",
    "reg:squaredlogerror",
    "reg:logistic",
    "reg:gamma",
    "reg:tweedie",
    "count:poisson",
]


def _classes(score: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.digitize(score, np.quantile(score, np.linspace(0, 1, count + 1)[1:-1]))


def _saved(model: Any, form: str = "ubj") -> bytes:
    booster = model if isinstance(model, xgb.Booster) else model.get_booster()
    return bytes(booster.save_raw(form))


def _answer(model: Any, rows: NDArray[np.float64]) -> NDArray[Any]:
    """predict_proba by the door that accepts infinite values."""
    values = np.asarray(model.get_booster().inplace_predict(rows))
    binary = isinstance(model, xgb.XGBClassifier) and values.ndim == 1
    return np.vstack((1.0 - values, values)).T if binary else values


def _one_by_one(predictor: Predictor, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([predictor.predict_one(row) for row in rows])


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_equal_the_librarys_bit_for_bit(
    name: str, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    count, parameters = CLASSIFIERS[name]
    x, score = table(0)
    model = xgb.XGBClassifier(n_jobs=1, random_state=0, **parameters).fit(x, _classes(score, count))
    forest = read_xgboost(_saved(model))
    rows = edge_rows(forest, x)
    predictor, theirs = Predictor(forest), _answer(model, rows)
    assert differences(predictor.predict(rows), theirs) == 0
    assert differences(_one_by_one(predictor, rows[:400]), theirs[:400]) == 0


def test_predict_proba_itself_is_reproduced(table: Table, differences: Callable[..., int]) -> None:
    x, score = table(1)
    model = xgb.XGBClassifier(n_estimators=20, n_jobs=1).fit(x, _classes(score, 2))
    assert differences(Predictor(read_xgboost(_saved(model))).predict(x), model.predict_proba(x)) == 0


@pytest.mark.parametrize("objective", REGRESSIONS)
def test_values_equal_the_librarys_bit_for_bit(
    objective: str, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    x, score = table(2)
    y = 1 / (1 + np.exp(-score)) if objective == "reg:logistic" else np.exp(score / 4)
    model = xgb.XGBRegressor(objective=objective, n_estimators=30, n_jobs=1).fit(x, y)
    forest = read_xgboost(_saved(model))
    rows = edge_rows(forest, x)
    predictor, theirs = Predictor(forest), _answer(model, rows)
    assert forest.task is Task.REGRESSION
    assert differences(predictor.predict(rows), theirs) == 0
    margins = model.get_booster().inplace_predict(rows, predict_type="margin")
    assert differences(predictor.raw(rows), margins) == 0


@pytest.mark.parametrize("one_hot", [1, 100])
def test_categorical_splits_send_every_code_the_same_way(
    one_hot: int, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    x, score = table(3)
    kinds = ["q"] * 4 + ["c"] + ["q"] * 3
    y = _classes(score, 2)
    data = xgb.DMatrix(x, y, feature_types=kinds, enable_categorical=True)
    options = {"objective": "binary:logistic", "max_depth": 5, "max_cat_to_onehot": one_hot, "nthread": 1}
    booster = xgb.train(options, data, 30)
    forest = read_xgboost(_saved(booster))
    assert (forest.category >= 0).any()
    rows = edge_rows(forest, x, infinite=False)
    rows[rows[:, 4] < 0, 4] = np.nan  # the library refuses negative codes
    theirs = booster.predict(xgb.DMatrix(rows, feature_types=kinds, enable_categorical=True))
    predictor = Predictor(forest)
    assert differences(np.ascontiguousarray(predictor.predict(rows)[:, 1]), theirs) == 0
    assert differences(np.ascontiguousarray(_one_by_one(predictor, rows[:400])[:, 1]), theirs[:400]) == 0


def test_early_stopping_keeps_the_rounds_up_to_the_best(table: Table, differences: Callable[..., int]) -> None:
    x, score = table(4)
    y = _classes(score, 3)
    model = xgb.XGBClassifier(n_estimators=200, learning_rate=0.9, early_stopping_rounds=3, n_jobs=1)
    model.fit(x[:1000], y[:1000], eval_set=[(x[1000:], y[1000:])], verbose=False)
    forest = read_xgboost(_saved(model))
    assert forest.n_trees == 3 * (model.best_iteration + 1) < 3 * model.get_booster().num_boosted_rounds()
    assert differences(Predictor(forest).predict(x), model.predict_proba(x)) == 0


def test_json_and_ubjson_hold_the_same_forest(table: Table) -> None:
    x, score = table(5)
    model = xgb.XGBClassifier(n_estimators=5, n_jobs=1).fit(x, _classes(score, 3))
    assert to_bytes(read_xgboost(_saved(model))) == to_bytes(read_xgboost(_saved(model, "json")))


@pytest.mark.parametrize("parameters", [{"booster": "dart"}, {"booster": "gblinear"}])
def test_boosters_that_are_not_plain_trees_are_refused(parameters: dict[str, str], table: Table) -> None:
    x, score = table(6)
    model = xgb.XGBRegressor(n_estimators=3, n_jobs=1, **parameters).fit(np.nan_to_num(x[:, :2]), score)
    with pytest.raises(UnsupportedForest, match=parameters["booster"]):
        read_xgboost(_saved(model))


def test_vector_leaves_are_refused(table: Table) -> None:
    x, score = table(7)
    model = xgb.XGBRegressor(n_estimators=3, n_jobs=1, multi_strategy="multi_output_tree")
    model.fit(x, np.stack([score, -score], axis=1))
    with pytest.raises(UnsupportedForest, match="several targets"):
        read_xgboost(_saved(model))


@pytest.fixture(scope="module")
def model_json(table: Table) -> dict[str, Any]:
    x, score = table(8)
    model = xgb.XGBClassifier(n_estimators=2, max_depth=3, n_jobs=1).fit(x, _classes(score, 2))
    found: dict[str, Any] = json.loads(_saved(model, "json"))
    return found


def _read_changed(model: dict[str, Any], path: list[Any], value: object) -> Forest:
    copy = json.loads(json.dumps(model))
    place = copy["learner"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return read_xgboost(json.dumps(copy).encode())


@pytest.mark.parametrize(
    ("name", "at", "value", "says"),
    [
        ("left_children", 0, 10**6, "left child"),
        ("left_children", 0, 0, "left child"),
        ("left_children", 0, 2, "parent"),
        ("left_children", 0, 0.5, "left_children"),
        ("left_children", 0, 2**80, "left_children"),
        ("split_indices", 0, 99, "feature"),
        ("split_indices", 0, 2**62, "feature"),
        ("split_conditions", -1, 1e300, "not finite"),
        ("split_conditions", 0, "x", "split_conditions"),
        ("split_type", 0, 1, "disagree"),
        ("default_left", slice(1, None), [], "default_left"),
    ],
)
def test_a_damaged_tree_is_refused_by_name(
    model_json: dict[str, Any], name: str, at: Any, value: Any, says: str
) -> None:
    tree = model_json["learner"]["gradient_booster"]["model"]["trees"][0]
    changed = list(tree[name])
    changed[at] = value
    with pytest.raises(InvalidForest, match=says):
        _read_changed(model_json, ["gradient_booster", "model", "trees", 0, name], changed)


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["learner_model_param", "base_score"], "[1]", "base_score"),
        (["learner_model_param", "base_score"], "x", "base_score"),
        (["learner_model_param", "num_feature"], "0", "num_feature"),
        (["learner_model_param", "num_class"], "-3", "num_class"),
        (["gradient_booster"], 3, "gradient_booster"),
        (["gradient_booster", "model", "trees"], [], "tree_info"),
        (["gradient_booster", "model", "tree_info"], [0, 7], "margin"),
        (["attributes"], {"best_iteration": "x"}, "best_iteration"),
        (["attributes"], 3, "attributes"),
    ],
)
def test_damaged_settings_are_refused_by_name(
    model_json: dict[str, Any], path: list[Any], value: Any, says: str
) -> None:
    with pytest.raises(InvalidForest, match=says):
        _read_changed(model_json, path, value)


def test_an_unknown_objective_is_refused(model_json: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedForest, match="survival:cox"):
        _read_changed(model_json, ["objective", "name"], "survival:cox")


@pytest.mark.parametrize("data", [b"", b"{", b"{L", b"[1]", b"\x80\x04pickle", b"{}" * 10, b"{" * 100_000])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidForest):
        read_xgboost(data)
