# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingModuleSource=false
# (the libraries that grow these forests are untyped)
"""Contributions are exact Shapley values: the libraries' own, or the definition's where a library has none."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from mill_forest import (
    Aggregation,
    Forest,
    Predictor,
    UnsupportedForest,
    from_bytes,
    from_sklearn,
    read_lightgbm,
    read_xgboost,
    to_bytes,
)
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from threadpoolctl import threadpool_limits

Rows = NDArray[np.float64]
Table = Callable[..., tuple[Rows, Rows]]
XGBOOST: dict[str, dict[str, Any]] = {
    "two classes": {"objective": "binary:logistic"},
    "three classes": {"objective": "multi:softprob", "num_class": 3},
    "regression": {"objective": "reg:squarederror", "max_depth": 3},
    "poisson, deep": {"objective": "count:poisson", "max_depth": 12},
    "categories": {"objective": "binary:logistic", "max_cat_to_onehot": 1},
}
LIGHTGBM: dict[str, dict[str, Any]] = {
    "two classes": {"objective": "binary"},
    "three classes": {"objective": "multiclass", "num_class": 3},
    "regression, large trees": {"objective": "regression", "num_leaves": 200, "min_data_in_leaf": 2},
    "zero as missing": {"objective": "regression", "zero_as_missing": True},
    "categories": {"objective": "binary", "cat_smooth": 0, "min_data_per_group": 1},
    "bagged": {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    "goss": {"objective": "regression", "data_sample_strategy": "goss"},
}


def _target(options: dict[str, Any], score: Rows) -> Any:
    objective = options["objective"]
    if objective in ("binary:logistic", "binary"):
        return score > 1
    return np.digitize(score, [0.0, 2.0]) if "num_class" in options else np.exp(score / 4)


@pytest.mark.parametrize("name", XGBOOST)
def test_contributions_equal_xgboosts(name: str, table: Table, edge_rows: Callable[..., Rows]) -> None:
    x, score = table(0)
    options = {"max_depth": 5, "nthread": 1} | XGBOOST[name]
    kinds: Any = ["q"] * 4 + ["c" if name == "categories" else "q"] + ["q"] * 3
    keywords: dict[str, Any] = {"feature_types": kinds, "enable_categorical": True}
    booster = xgb.train(options, xgb.DMatrix(x, _target(options, score), **keywords), 20)
    forest = read_xgboost(bytes(booster.save_raw("ubj")))
    assert name != "categories" or len(forest.category_bits)
    rows = edge_rows(forest, x, infinite=False)[:2_000]
    rows[:, 4] = np.where(rows[:, 4] >= 0, rows[:, 4], np.nan)  # the library refuses negative codes
    ours = Predictor(forest).contributions(rows)
    theirs = booster.predict(xgb.DMatrix(rows, **keywords), pred_contribs=True).reshape(ours.shape)
    assert np.abs(ours - theirs).max() < 1e-6 * max(1.0, np.abs(theirs).max())


@pytest.mark.parametrize("name", LIGHTGBM)
def test_contributions_equal_lightgbms(name: str, table: Table, edge_rows: Callable[..., Rows]) -> None:
    x, score = table(0)
    options = {"num_threads": 1, "verbose": -1} | LIGHTGBM[name]
    categories: dict[str, Any] = {"categorical_feature": [4]} if name == "categories" else {}
    booster = lgb.train(options, lgb.Dataset(x, _target(options, score), **categories), 20)
    forest = read_lightgbm(booster.model_to_string())
    assert name != "categories" or len(forest.category_bits)
    rows = edge_rows(forest, x)[:2_000]
    ours = Predictor(forest).contributions(rows)
    theirs = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1)).reshape(ours.shape)
    if forest.aggregation is Aggregation.MEAN:
        theirs /= forest.n_trees  # LightGBM explains the sum of a bagged forest, though it predicts the mean
    assert np.abs(ours - theirs).max() < 1e-9


CATEGORIES: dict[str, Any] = {"categorical_features": [4]}
SKLEARN: dict[str, Any] = {
    "random forest": RandomForestClassifier(20, random_state=0),
    "random forest, deep regression": RandomForestRegressor(10, random_state=0),
    "extra trees": ExtraTreesRegressor(10, max_depth=6, random_state=0),
    "histogram boosting with categories": HistGradientBoostingClassifier(max_iter=20, **CATEGORIES),
    "histogram boosting": HistGradientBoostingRegressor(max_iter=20, loss="poisson"),
    "gradient boosting": GradientBoostingClassifier(n_estimators=10),
}


@pytest.mark.parametrize("name", SKLEARN)
def test_contributions_add_up_to_the_margins(name: str, table: Table) -> None:
    x, score = table(0)
    rows = np.nan_to_num(x) if name == "gradient boosting" else x
    model = SKLEARN[name]
    classes = np.digitize(score, [0.0, 2.0])
    with threadpool_limits(1):
        forest = from_sklearn(model.fit(rows, classes if is_classifier(model) else np.exp(score / 4)))
    predictor = Predictor(forest)
    contributions = predictor.contributions(rows)
    assert contributions.shape == (len(rows), forest.n_groups, 9)
    assert np.abs(contributions.sum(axis=2) - predictor.raw(rows)).max() < 1e-9


# --- the definition ---------------------------------------------------------------------------------------


def _expected(forest: Forest, node: int, row: Rows, known: frozenset[int], next_node: Any) -> Rows:
    """The value of a node for a row of which some features are known; the others average over the cover."""
    if forest.feature[node] < 0:
        return forest.leaf_values[forest.left[node]].astype(np.float64)
    if int(forest.feature[node]) in known:
        return _expected(forest, next_node(forest, node, row), row, known, next_node)
    children = [int(forest.left[node]), int(forest.right[node])]
    shares = [float(forest.cover[child]) / float(forest.cover[node]) for child in children]
    values = [_expected(forest, child, row, known, next_node) for child in children]
    return shares[0] * values[0] + shares[1] * values[1]


def _shapley(forest: Forest, row: Rows, next_node: Any) -> Rows:
    features = forest.n_features
    games: dict[frozenset[int], Rows] = {}
    for size in range(features + 1):
        for subset in itertools.combinations(range(features), size):
            known = frozenset(subset)
            margins = forest.base.copy()
            for tree, root in enumerate(forest.tree_offsets[:-1].tolist()):
                values = _expected(forest, root, row, known, next_node)
                if len(values) > 1:
                    margins += values
                else:
                    margins[forest.tree_group[tree]] += values[0]
            games[known] = margins / (forest.trees_per_margin if forest.aggregation is Aggregation.MEAN else 1)
    answer = np.zeros((forest.n_groups, features + 1))
    for known, value in games.items():
        for feature in set(range(features)) - known:
            weight = math.factorial(len(known)) * math.factorial(features - len(known) - 1) / math.factorial(features)
            answer[:, feature] += weight * (games[known | {feature}] - value)
    answer[:, -1] = games[frozenset()]
    return answer


@pytest.mark.parametrize("seed", range(24))
def test_contributions_are_shapley_values_by_definition(
    seed: int, grown: Callable[..., Forest], next_node: Any, odd_values: list[float]
) -> None:
    forest = grown(seed, 12)
    rows = np.random.default_rng(seed).choice(odd_values, size=(6, forest.n_features))
    expected = np.array([_shapley(forest, row, next_node) for row in rows])
    assert np.abs(Predictor(from_bytes(to_bytes(forest))).contributions(rows) - expected).max() < 1e-9


# --- around it --------------------------------------------------------------------------------------------


def test_paths_over_many_features_stay_exact() -> None:
    """A tree that asks 200 features in turn: contributions still add up, whatever the degree of the polynomial."""
    rng = np.random.default_rng(0)
    x = np.eye(200)[rng.integers(0, 200, 4_000)] + rng.normal(size=(4_000, 200)) * 1e-3
    model = RandomForestRegressor(2, max_features=1, random_state=0).fit(x, x @ rng.normal(size=200))
    predictor = Predictor(from_sklearn(model))
    contributions = predictor.contributions(x[:50])
    assert np.abs(contributions.sum(axis=2) - predictor.raw(x[:50])).max() < 1e-9


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_threads_give_the_same_contributions(count: int, grown: Callable[..., Forest], odd_values: list[float]) -> None:
    predictor = Predictor(grown(1))
    rows = np.random.default_rng(1).choice(odd_values, size=(count, 5))
    expected = [predictor.contributions(row.reshape(1, -1))[0] for row in rows]
    for threads in (1, 2, 50):
        answer = predictor.contributions(rows, threads)
        assert answer.shape == (count, predictor.forest.n_groups, 6)
        assert all(np.array_equal(ours, alone) for ours, alone in zip(answer, expected, strict=True))


def test_a_forest_without_cover_predicts_but_does_not_explain(grown: Callable[..., Forest]) -> None:
    forest = grown(3)
    bare = Predictor(replace(forest, cover=np.zeros(0)))
    assert np.array_equal(bare.raw(np.zeros((2, 5))), Predictor(forest).raw(np.zeros((2, 5))))
    with pytest.raises(UnsupportedForest, match="how much data"):
        bare.contributions(np.zeros((2, 5)))


def test_covers_that_make_no_sense_are_left_out_by_the_readers(table: Table) -> None:
    x, score = table(0)
    booster = lgb.train({"num_threads": 1, "verbose": -1}, lgb.Dataset(x, score), 2)
    text = booster.model_to_string()
    assert len(read_lightgbm(text).cover)
    start = text.index("leaf_count=") + len("leaf_count=")
    assert not len(read_lightgbm(text[:start] + "0" + text[text.index(" ", start) :]).cover)


def test_rows_of_another_shape_are_not_explained(grown: Callable[..., Forest]) -> None:
    with pytest.raises(ValueError, match="5 features"):
        Predictor(grown(1)).contributions(np.zeros((2, 4)))
