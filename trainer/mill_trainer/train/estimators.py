"""Which class of which library stands behind an algorithm of the catalogue, and what that class wants of the encoder.

The catalogue's generator reads the signatures of these classes; `fitting` constructs them. Nothing else names a library class.
"""

# The libraries ship no complete types: their classes pass through here and nowhere else.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from mill_contracts.recipe import Framework, Task
from numpy.typing import NDArray
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

Floats = NDArray[np.float64]


class Estimator(Protocol):
    """What every library's scikit-learn interface has."""

    def fit(self, X: Floats, y: NDArray[Any]) -> object: ...  # noqa: N803 - scikit-learn's own name
    def predict(self, X: Floats) -> NDArray[Any]: ...  # noqa: N803
    def get_params(self) -> dict[str, Any]: ...
    def set_params(self, **parameters: Any) -> object: ...


class Probabilistic(Estimator, Protocol):
    def predict_proba(self, X: Floats) -> Floats: ...  # noqa: N803


@dataclass(frozen=True)
class Family:
    """An algorithm with its class for each task. `threads` and `seed` name the class's parameters for them, if it has any."""

    framework: Framework
    name: str
    title: str
    classifier: Callable[..., Any] | None
    regressor: Callable[..., Any] | None
    threads: str | None = "n_jobs"
    seed: str | None = "random_state"
    takes_missing: bool = False
    encoding: Literal["ordinal", "one_hot"] = "ordinal"
    importance: Literal["gain", "impurity", "coefficients", "permutation"] = "permutation"
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    presets: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_default: bool = False
    also_named: tuple[str, ...] = ()

    def class_for(self, task: Task) -> Callable[..., Any] | None:
        return self.classifier if task is Task.CLASSIFICATION else self.regressor

    @property
    def wants_scaling(self) -> bool:
        return self.encoding == "one_hot"


def families() -> tuple[Family, ...]:
    """All algorithms Modelmill trains, in the order people see them."""
    return (*_linear(), *_forests(), *_others(), *_boosters())


def family(framework: Framework, name: str) -> Family:
    """The family by its canonical name (the catalogue resolves aliases first)."""
    return next(one for one in families() if one.framework is framework and one.name == name)


def construct(chosen: Family, task: Task, parameters: Mapping[str, Any], seed: int, threads: int) -> Estimator:
    """An unfitted estimator. `parameters` are canonical and checked; raises ValueError or TypeError as the library does."""
    managed: dict[str, Any] = {**chosen.fixed}
    if chosen.threads:
        managed[chosen.threads] = threads
    if chosen.seed:
        managed[chosen.seed] = seed
    make = chosen.class_for(task)
    if make is None:
        raise ValueError(f"{chosen.name} cannot be used for {task.value}")
    return cast(Estimator, make(**parameters, **managed))


def _linear() -> tuple[Family, ...]:
    logistic = Family(
        Framework.SKLEARN,
        "logistic_regression",
        "Logistic regression",
        LogisticRegression,
        None,
        threads=None,
        encoding="one_hot",
        importance="coefficients",
        presets={"max_iter": 1000},  # the library's 100 stops before convergence on ordinary tables
    )
    linear = Family(
        Framework.SKLEARN,
        "linear_regression",
        "Linear regression",
        None,
        LinearRegression,
        seed=None,
        encoding="one_hot",
        importance="coefficients",
    )
    ridge = Family(
        Framework.SKLEARN,
        "ridge",
        "Ridge regression",
        None,
        Ridge,
        threads=None,
        encoding="one_hot",
        importance="coefficients",
    )
    return logistic, linear, ridge


def _forests() -> tuple[Family, ...]:
    forest = Family(
        Framework.SKLEARN,
        "random_forest",
        "Random forest",
        RandomForestClassifier,
        RandomForestRegressor,
        takes_missing=True,
        importance="impurity",
        is_default=True,
    )
    extra = Family(
        Framework.SKLEARN,
        "extra_trees",
        "Extremely randomised trees",
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        takes_missing=True,
        importance="impurity",
    )
    return forest, extra


def _others() -> tuple[Family, ...]:
    hist = Family(
        Framework.SKLEARN,
        "hist_gradient_boosting",
        "Histogram gradient boosting",
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        threads=None,
        takes_missing=True,
        fixed={"categorical_features": None},  # the encoder has turned every column into numbers
    )
    knn = Family(
        Framework.SKLEARN,
        "knn",
        "Nearest neighbours",
        KNeighborsClassifier,
        KNeighborsRegressor,
        seed=None,
        encoding="one_hot",
    )
    mlp = Family(
        Framework.SKLEARN,
        "mlp",
        "Neural network (multi-layer perceptron)",
        MLPClassifier,
        MLPRegressor,
        threads=None,
        encoding="one_hot",
    )
    return hist, knn, mlp


def _boosters() -> tuple[Family, ...]:
    xgboost = Family(
        Framework.XGBOOST,
        "gradient_boosting",
        "XGBoost gradient boosting",
        XGBClassifier,
        XGBRegressor,
        takes_missing=True,
        importance="gain",
        fixed={"device": "cpu", "importance_type": "gain", "verbosity": 1},
        is_default=True,
        also_named=("xgboost",),
    )
    lightgbm = Family(
        Framework.LIGHTGBM,
        "gradient_boosting",
        "LightGBM gradient boosting",
        LGBMClassifier,
        LGBMRegressor,
        takes_missing=True,
        importance="gain",
        # Row-wise histograms, chosen once and not by a race of the two, keep the result the same from run to run.
        fixed={"importance_type": "gain", "verbosity": -1, "deterministic": True, "force_row_wise": True},
        is_default=True,
        also_named=("lightgbm",),
    )
    return xgboost, lightgbm
