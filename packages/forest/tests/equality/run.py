"""Millions of generated rows through the libraries and through `mill_forest`: how many answers differ in any bit?

`python packages/forest/tests/equality/run.py [--rows 1000000] [--seed 0] [--only NAME]`: rows per model. Every cell is a value of
the table, a threshold of the model or the float beside it, a zero, a denormal, an infinity, missing, or a category never
seen. Ends with 1 when anything differs. `tests/test_equality.py` runs a small part of it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingModuleSource=false
# (the libraries are untyped)

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from mill_forest import Forest, Predictor, from_sklearn, read_lightgbm, read_xgboost
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from threadpoolctl import threadpool_limits

Rows = NDArray[np.float64]
CHUNK: Final = 50_000
CATEGORY: Final = 4
ODD: Final = [0.0, -0.0, 5e-324, -5e-324, 1e-40, -1e-40, 1e-35, float(np.float32(1e-35)), 1e30, -1e30, 3e38, -3e38]
UNSEEN: Final = [12.0, 13.0, 40.0, 255.0, 1e9, 2.7]


@dataclass(frozen=True)
class Case:
    """A trained model: our reading, the library's answers, and which values the library takes."""

    forest: Forest
    theirs: Callable[[Rows], NDArray[Any]]
    infinite: bool = True
    missing: bool = True
    negative_codes: bool = True


def table(seed: int, rows: int = 4_000) -> tuple[Rows, Rows]:
    """Eight columns, among them epoch milliseconds, denormals, categories and zeros; and a score."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8))
    x[:, 1] = np.round(x[:, 1] * 3)
    x[:, 2] = np.round(1.6e12 + x[:, 2] * 1e9)
    x[:, 3] *= 1e-40
    x[:, CATEGORY] = rng.integers(0, 12, rows)
    x[:, 5] = np.where(rng.random(rows) < 0.6, 0.0, x[:, 5])
    score = x[:, 0] + x[:, 1] / 2 + x[:, CATEGORY] % 3 + (x[:, 2] - 1.6e12) / 1e9 + rng.normal(size=rows) / 3
    x[:, [0, 1, 2, 5, 6]] = np.where(rng.random((rows, 5)) < 0.04, np.nan, x[:, [0, 1, 2, 5, 6]])
    return x, score


def generated(case: Case, sample: Rows, rng: np.random.Generator, count: int) -> Rows:
    """Rows on the edges of a model."""
    forest = case.forest
    x = sample[rng.integers(0, len(sample), count)]
    categorical = forest.category >= 0 if len(forest.category) else np.zeros(len(forest.feature), bool)
    coded = set(forest.feature[categorical].tolist())
    for feature in range(x.shape[1]):
        thresholds = forest.threshold[(forest.feature == feature) & ~categorical]
        thresholds = thresholds[np.isfinite(thresholds) & (np.abs(thresholds) < 1e30)]
        if len(thresholds):
            _on_thresholds(x, feature, thresholds, rng)
        if feature in coded:
            codes = [*UNSEEN, *([-1.0, -0.5] if case.negative_codes else [])]
            _sprinkle(x, feature, [*codes, np.nan], rng, 0.1)
        else:
            _sprinkle(x, feature, [*ODD, *([np.inf, -np.inf] if case.infinite else [])], rng, 0.06)
            _sprinkle(x, feature, [np.nan], rng, 0.04 if case.missing else 0.0)
    return x if case.missing else np.nan_to_num(x, nan=0.25)


def _on_thresholds(x: Rows, feature: int, thresholds: NDArray[Any], rng: np.random.Generator) -> None:
    where = np.flatnonzero(rng.random(len(x)) < 0.4)
    values = rng.choice(thresholds, len(where))
    infinity = values.dtype.type(np.inf)
    moved = [values, np.nextafter(values, infinity), np.nextafter(values, -infinity)]
    x[where, feature] = np.choose(rng.integers(0, 3, len(where)), moved)
    beside = where[rng.random(len(where)) < 0.2]  # one float64 further, which a cast to float32 rounds away
    x[beside, feature] = np.nextafter(x[beside, feature], rng.choice([-np.inf, np.inf], len(beside)))


def _sprinkle(x: Rows, feature: int, values: list[float], rng: np.random.Generator, share: float) -> None:
    where = np.flatnonzero(rng.random(len(x)) < share)
    x[where, feature] = rng.choice(values, len(where))


def _xgboost(options: dict[str, Any], y: Any, x: Rows) -> Case:
    kinds: Any = ["q"] * CATEGORY + ["c" if "max_cat_to_onehot" in options else "q"] + ["q"] * 3
    keywords: dict[str, Any] = {"feature_types": kinds, "enable_categorical": True}
    booster = xgb.train({"nthread": 1, "max_depth": 6, **options}, xgb.DMatrix(x, y, **keywords), 40)
    forest = read_xgboost(bytes(booster.save_raw("ubj")))

    def theirs(rows: Rows) -> NDArray[Any]:
        found = booster.predict(xgb.DMatrix(rows, **keywords))
        return np.stack([1 - found, found], axis=1) if forest.n_outputs == 2 else found

    return Case(forest, theirs, infinite=False, negative_codes=False)


def _lightgbm(options: dict[str, Any], y: Any, x: Rows) -> Case:
    keywords: dict[str, Any] = {"categorical_feature": [CATEGORY]} if "cat_smooth" in options else {}
    booster = lgb.train({"num_threads": 1, "verbose": -1, **options}, lgb.Dataset(x, y, **keywords), 40)
    forest = read_lightgbm(booster.model_to_string())

    def theirs(rows: Rows) -> NDArray[Any]:
        found = np.asarray(booster.predict(rows, num_threads=1))
        return np.stack([1 - found, found], axis=1) if forest.n_outputs == 2 else found

    return Case(forest, theirs)


def _sklearn(model: Any, y: Any, x: Rows) -> Case:
    name = type(model).__name__
    missing = not name.startswith("Gradient")
    model.fit(x if missing else np.nan_to_num(x), y)
    theirs = model.predict_proba if hasattr(model, "predict_proba") else model.predict
    return Case(from_sklearn(model), theirs, infinite=name.startswith("Hist"), missing=missing)


def cases(seed: int) -> Iterator[tuple[str, Callable[[], Case]]]:
    """Every kind of model, trained when asked for."""
    x, score = table(seed)
    two, three = score > 1, np.digitize(score, [0.0, 2.0])
    coded: dict[str, Any] = {"cat_smooth": 0, "min_data_per_group": 1}
    columns: dict[str, Any] = {"categorical_features": [CATEGORY]}
    boosters: list[tuple[str, Any, dict[str, Any], Any]] = [
        ("xgboost, two classes", _xgboost, {"objective": "binary:logistic"}, two),
        ("xgboost, three classes", _xgboost, {"objective": "multi:softprob", "num_class": 3}, three),
        ("xgboost, regression", _xgboost, {"objective": "reg:squarederror", "max_depth": 12}, score),
        ("xgboost, categories", _xgboost, {"objective": "binary:logistic", "max_cat_to_onehot": 1}, two),
        ("lightgbm, two classes", _lightgbm, {"objective": "binary"}, two),
        ("lightgbm, three classes", _lightgbm, {"objective": "multiclass", "num_class": 3}, three),
        ("lightgbm, large trees", _lightgbm, {"num_leaves": 600, "min_data_in_leaf": 2}, score),
        ("lightgbm, zero as missing", _lightgbm, {"zero_as_missing": True}, score),
        ("lightgbm, categories", _lightgbm, {"objective": "binary", **coded}, two),
    ]
    for name, train, options, y in boosters:
        yield name, lambda train=train, options=options, y=y: train(options, y, x)
    estimators: list[tuple[str, Any, Any]] = [
        ("random forest", RandomForestClassifier(30, random_state=0), two),
        ("random forest, shallow", RandomForestClassifier(60, max_depth=8, random_state=0), three),
        ("random forest, regression", RandomForestRegressor(20, random_state=0), score),
        ("extra trees", ExtraTreesClassifier(20, random_state=0), two),
        ("gradient boosting", GradientBoostingRegressor(n_estimators=40), score),
        ("histogram boosting", HistGradientBoostingRegressor(max_iter=40), score),
        ("histogram boosting, categories", HistGradientBoostingClassifier(max_iter=40, **columns), two),
    ]
    for name, model, y in estimators:
        yield name, lambda model=model, y=y: _sklearn(model, y, x)


def differing(case: Case, sample: Rows, seed: int, rows: int) -> int:
    """How many answers differ in any bit, over `rows` generated rows."""
    rng = np.random.default_rng(seed)
    predictor = Predictor(case.forest)
    found = 0
    for start in range(0, rows, CHUNK):
        x = generated(case, sample, rng, min(CHUNK, rows - start))
        ours = predictor.predict(x)
        theirs = case.theirs(x).astype(np.float64).reshape(ours.shape)
        found += int(np.count_nonzero(ours.view(np.int64) != theirs.view(np.int64)))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare predictions with the libraries', bit by bit")
    parser.add_argument("--rows", type=int, default=1_000_000, help="generated rows per model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="models whose name contains this")
    options = parser.parse_args()
    sample = table(options.seed)[0]
    total = 0
    for name, train in cases(options.seed):
        if options.only and options.only not in name:
            continue
        begun = time.perf_counter()
        with threadpool_limits(1), np.errstate(invalid="ignore"):  # scikit-learn sums infinities to look for them
            case = train()
            wrong = differing(case, sample, options.seed, options.rows)
        total += wrong
        words = f"{name}: {options.rows:,} rows, {wrong} answers differ ({time.perf_counter() - begun:.0f} s)"
        print(words, flush=True)  # noqa: T201 - what it is for
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
