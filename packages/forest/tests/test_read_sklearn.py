# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingModuleSource=false
# (scikit-learn is untyped)
"""What scikit-learn 1.9 computes, the predictor computes, to the last bit."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from mill_forest import CategoryRule, Predictor, UnsupportedForest, from_sklearn
from numpy.typing import NDArray
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from threadpoolctl import threadpool_limits

Table = Callable[[int], tuple[NDArray[np.float64], NDArray[np.float64]]]
CLASSIFIERS: dict[str, tuple[int, Any]] = {
    "random forest": (2, RandomForestClassifier(30, random_state=0)),
    "random forest of four classes": (4, RandomForestClassifier(30, random_state=0)),
    "shallow random forest": (2, RandomForestClassifier(40, max_depth=4, random_state=0)),
    "extra trees": (2, ExtraTreesClassifier(30, random_state=0)),
    "histogram boosting": (2, HistGradientBoostingClassifier(max_iter=40)),
    "histogram boosting of three classes": (3, HistGradientBoostingClassifier(max_iter=15)),
    "histogram boosting of ten classes": (10, HistGradientBoostingClassifier(max_iter=6)),
    "gradient boosting": (2, GradientBoostingClassifier(n_estimators=30)),
    "gradient boosting, exponential loss": (2, GradientBoostingClassifier(n_estimators=30, loss="exponential")),
    "gradient boosting from zero": (2, GradientBoostingClassifier(n_estimators=10, init="zero")),
    "gradient boosting of three classes": (3, GradientBoostingClassifier(n_estimators=15)),
    "gradient boosting of ten classes": (10, GradientBoostingClassifier(n_estimators=6)),
}
REGRESSIONS: dict[str, Any] = {
    "random forest": RandomForestRegressor(30, random_state=0),
    "extra trees": ExtraTreesRegressor(30, random_state=0),
    "histogram boosting": HistGradientBoostingRegressor(max_iter=40),
    "histogram boosting, poisson": HistGradientBoostingRegressor(max_iter=20, loss="poisson"),
    "histogram boosting, gamma": HistGradientBoostingRegressor(max_iter=20, loss="gamma"),
    "histogram boosting, quantile": HistGradientBoostingRegressor(max_iter=20, loss="quantile", quantile=0.8),
    "gradient boosting": GradientBoostingRegressor(n_estimators=30),
    "gradient boosting, huber": GradientBoostingRegressor(n_estimators=20, loss="huber"),
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction] - pytest runs it
    """Spinning OpenMP threads make small fits slow on a busy machine."""
    with threadpool_limits(1):
        yield


def _categorical(columns: list[int]) -> dict[str, Any]:
    return {"categorical_features": columns}


def _classes(score: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    return np.digitize(score, np.quantile(score, np.linspace(0, 1, count + 1)[1:-1]))


def _one_by_one(predictor: Predictor, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([predictor.predict_one(row) for row in rows])


def _rows_for(model: Any, edge_rows: Callable[..., Any], x: NDArray[np.float64]) -> tuple[Predictor, Any]:
    """Only histogram boosting takes infinities, and classic gradient boosting takes no missing values."""
    predictor = Predictor(from_sklearn(model))
    name = type(model).__name__
    histogram = name.startswith("Hist")
    return predictor, edge_rows(predictor.forest, x, infinite=histogram, nan=not name.startswith("Gradient"))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_equal_the_librarys_bit_for_bit(
    name: str, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    count, model = CLASSIFIERS[name]
    x, score = table(0)
    x = np.nan_to_num(x) if name.startswith("gradient") else x
    model.fit(x, _classes(score, count))
    predictor, rows = _rows_for(model, edge_rows, x)
    theirs = model.predict_proba(rows)
    assert differences(predictor.predict(rows), np.ascontiguousarray(theirs)) == 0
    assert differences(_one_by_one(predictor, rows[:400]), np.ascontiguousarray(theirs[:400])) == 0


@pytest.mark.parametrize("name", REGRESSIONS)
def test_values_equal_the_librarys_bit_for_bit(
    name: str, table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    model = REGRESSIONS[name]
    x, score = table(1)
    x = np.nan_to_num(x) if name.startswith("gradient") else x
    model.fit(x, np.exp(score / 4))
    predictor, rows = _rows_for(model, edge_rows, x)
    theirs = model.predict(rows)
    assert differences(predictor.predict(rows), theirs) == 0
    assert differences(_one_by_one(predictor, rows[:400]), theirs[:400]) == 0


def test_a_forest_grown_without_missing_values_still_sends_them_the_librarys_way(
    table: Table, differences: Callable[..., int]
) -> None:
    x, score = table(2)
    model = RandomForestClassifier(20, random_state=0).fit(np.nan_to_num(x), _classes(score, 2))
    assert np.isnan(x).any()
    assert differences(Predictor(from_sklearn(model)).predict(x), model.predict_proba(x)) == 0


def test_missing_against_the_rest_is_a_split_at_infinity(differences: Callable[..., int]) -> None:
    x = np.where(np.arange(200) % 2 == 0, np.nan, 1.0).reshape(-1, 1)
    y = np.isnan(x[:, 0]).astype(int)
    model = RandomForestClassifier(5, random_state=0).fit(x, y)
    forest = from_sklearn(model)
    assert np.isinf(forest.threshold[forest.feature >= 0]).any()
    rows = np.array([[np.nan], [3.4e38], [-3.4e38], [1.0]])
    assert differences(Predictor(forest).predict(rows), model.predict_proba(rows)) == 0


@pytest.mark.parametrize("columns", [[4], [1, 4]])
def test_categorical_splits_read_raw_values(
    columns: list[int], table: Table, edge_rows: Callable[..., Any], differences: Callable[..., int]
) -> None:
    x, score = table(3)
    x[:, 1] = np.abs(x[:, 1]) * 3  # codes with gaps, and missing ones
    model = HistGradientBoostingClassifier(max_iter=30, **_categorical(columns))
    model.fit(x, _classes(score, 2))
    predictor, rows = _rows_for(model, edge_rows, x)
    rows[:, columns] = np.where(np.isinf(rows[:, columns]), 2.0, rows[:, columns])
    assert predictor.forest.category_rule is CategoryRule.EXACT
    theirs = model.predict_proba(rows)
    assert differences(predictor.predict(rows), theirs) == 0
    assert differences(_one_by_one(predictor, rows[:400]), theirs[:400]) == 0


@pytest.mark.parametrize("values", [["a", "b", "c"], [0.5, 1.5, 2.5], [-1.0, 0.0, 1.0], [0.0, 1.0, 1e6]])
def test_categories_that_are_not_small_whole_numbers_are_refused(values: list[Any], table: Table) -> None:
    _, score = table(4)
    column = np.array(values, dtype=object if isinstance(values[0], str) else float)[np.arange(len(score)) % 3]
    model = HistGradientBoostingRegressor(max_iter=3, **_categorical([0])).fit(column.reshape(-1, 1), score)
    with pytest.raises(UnsupportedForest, match="feature 0"):
        from_sklearn(model)


def test_what_is_not_reproduced_is_refused(table: Table) -> None:
    x, score = table(5)
    x, y = np.nan_to_num(x), _classes(score, 2)
    refused = [
        (LinearRegression().fit(x, y), "LinearRegression"),
        (AdaBoostClassifier(n_estimators=3).fit(x, y), "AdaBoostClassifier"),
        (RandomForestRegressor(3).fit(x, np.stack([y, y], axis=1)), "several targets"),
        (RandomForestClassifier(3).fit(x, np.zeros(len(x))), "single class"),
        (GradientBoostingRegressor(n_estimators=3, init=LinearRegression()).fit(x, score), "LinearRegression"),
    ]
    for model, says in refused:
        with pytest.raises(UnsupportedForest, match=says):
            from_sklearn(model)


def test_importing_the_package_imports_no_ml_library() -> None:
    code = (
        "import sys, mill_forest; print([m for m in ('sklearn', 'xgboost', 'lightgbm', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
