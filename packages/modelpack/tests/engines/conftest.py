"""Fitted estimators of every library, on rows with and without missing values."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# The training libraries are untyped.

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from mill_pack import FloatArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from xgboost import XGBClassifier, XGBRegressor

WIDTH = 6
CLASSES: dict[str, tuple[str, ...]] = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}

SMALL: dict[str, Any] = {"random_state": 1, "n_estimators": 12}
LIGHT: dict[str, Any] = {**SMALL, "verbose": -1, "n_jobs": 1, "min_child_samples": 5}
PERCEPTRON: dict[str, Any] = {"random_state": 1, "hidden_layer_sizes": (9, 5), "tol": 0.5, "n_iter_no_change": 20}

CLASSIFIERS: dict[str, Any] = {
    "logistic": (LogisticRegression, {"max_iter": 300}),
    "mlp": (MLPClassifier, PERCEPTRON | {"activation": "relu"}),
    "mlp logistic": (MLPClassifier, PERCEPTRON | {"activation": "logistic"}),
    "knn": (KNeighborsClassifier, {}),
    "knn by distance": (KNeighborsClassifier, {"weights": "distance", "p": 1, "algorithm": "ball_tree"}),
    "forest": (RandomForestClassifier, SMALL),
    "extra trees": (ExtraTreesClassifier, SMALL),
    "hist": (HistGradientBoostingClassifier, {"max_iter": 8, "random_state": 1}),
    "xgboost": (XGBClassifier, SMALL),
    "lightgbm": (LGBMClassifier, LIGHT),
}
REGRESSORS: dict[str, Any] = {
    "logistic": (LinearRegression, {}),
    "ridge": (Ridge, {}),
    "mlp": (MLPRegressor, PERCEPTRON | {"activation": "tanh"}),
    "mlp logistic": (MLPRegressor, PERCEPTRON | {"activation": "identity"}),
    "knn": (KNeighborsRegressor, {}),
    "forest": (RandomForestRegressor, SMALL),
    "extra trees": (ExtraTreesRegressor, SMALL),
    "hist": (HistGradientBoostingRegressor, {"max_iter": 8, "random_state": 1}),
    "xgboost": (XGBRegressor, SMALL),
    "lightgbm": (LGBMRegressor, LIGHT),
}
TAKES_MISSING = {"forest", "extra trees", "hist", "xgboost", "lightgbm"}
FRAMEWORKS = {"xgboost": "xgboost", "lightgbm": "lightgbm"}


@dataclass(frozen=True)
class Fitted:
    framework: str
    algorithm: str
    estimator: Any
    classes: tuple[str, ...]
    holdout: FloatArray

    def reference(self, matrix: FloatArray) -> Any:
        return (self.estimator.predict_proba if self.classes else self.estimator.predict)(matrix)


@pytest.fixture(scope="session")
def fitted() -> Any:
    """`fitted(algorithm, task)`, fitted once."""
    cache: dict[tuple[str, str], Fitted] = {}

    def of(algorithm: str, task: str) -> Fitted:
        if (algorithm, task) not in cache:
            cache[algorithm, task] = _fit(algorithm, task)
        return cache[algorithm, task]

    return of


def _fit(algorithm: str, task: str) -> Fitted:
    random = np.random.default_rng(5)
    matrix = random.normal(size=(600, WIDTH))
    score = matrix[:, 0] + matrix[:, 1] * matrix[:, 2]
    if algorithm in TAKES_MISSING:
        matrix[random.random(matrix.shape) < 0.1] = np.nan
    edges: dict[str, list[float]] = {"binary": [0.0], "multiclass": [-0.5, 0.5]}
    target = score if task == "regression" else np.digitize(score, edges[task])
    kind, parameters = (REGRESSORS if task == "regression" else CLASSIFIERS)[algorithm]
    estimator = kind(**parameters).fit(matrix[:400], target[:400])
    framework = FRAMEWORKS.get(algorithm, "scikit-learn")
    return Fitted(framework, algorithm, estimator, CLASSES[task], matrix[400:])
