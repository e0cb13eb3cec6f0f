# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportArgumentType=false
# (scikit-learn is untyped)
"""What `sanitizers/fuzz.py` does with each input: a damaged `.forest` file is refused, or predicts and explains without harm."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from mill_forest import ForestError, Predictor, from_bytes, from_sklearn, to_bytes
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier, RandomForestClassifier

MOST_FEATURES = 64


def seeds() -> Iterator[bytes]:
    loaded: Any = load_iris(return_X_y=True)
    x, y = loaded
    x = np.round(x)
    estimators: list[Any] = [
        RandomForestClassifier(3, max_depth=3, random_state=0),
        GradientBoostingRegressor(n_estimators=3, max_depth=2, random_state=0),
        HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=4, categorical_features=[3], random_state=0),
    ]
    for estimator in estimators:
        yield to_bytes(from_sklearn(estimator.fit(x, y.astype(int))))


def one_input(data: bytes) -> None:
    try:
        forest = from_bytes(data)
        width = forest.n_features
        if width > MOST_FEATURES:
            return
        predictor = Predictor(forest)
    except ForestError:
        return
    rows = np.array([[0.0] * width, [np.nan] * width, [np.inf] * width, [-1e300] * width, [1.5] * width])
    predictor.predict(rows)
    predictor.predict(rows[:1])
    predictor.predict(np.tile(rows, (20, 1)), threads=2)
    try:
        predictor.contributions(rows)
    except ForestError:
        return
