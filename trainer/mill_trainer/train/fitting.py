"""One fit, with the progress the library itself reports: boosting rounds, trees, epochs. Where it reports none, none is made up."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUntypedBaseClass=false
# The boosters' callback classes are untyped.

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from lightgbm.basic import LightGBMError
from mill_contracts.algorithms import Algorithm
from mill_contracts.recipe import Framework, Task
from mill_contracts.tables import TableWarning
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from xgboost.callback import TrainingCallback

from mill_trainer.train.errors import InvalidParameters
from mill_trainer.train.estimators import Estimator, Family, Probabilistic, construct

Floats = NDArray[np.float64]
Advance = Callable[[int, int, str], None]
"""Called with done, total and their unit."""

_FOREST_STEPS = 10
_EPOCH_HOOK = "_update_no_improvement_count"
"""Private to scikit-learn's networks; without it there is no progress, and the test of progress says so."""
_LONGEST_REFUSAL = 500


@dataclass(frozen=True)
class Fitting:
    """How to fit: everything but the rows. `classes` is empty for a regression."""

    family: Family
    task: Task
    parameters: Mapping[str, Any]
    classes: tuple[str, ...]
    seed: int
    threads: int

    @classmethod
    def of(
        cls,
        family: Family,
        algorithm: Algorithm,
        parameters: Mapping[str, Any],
        classes: tuple[str, ...],
        seed: int,
        threads: int,
    ) -> "Fitting":
        """Parameters by any of their names, class weights by label; they were checked by the catalogue."""
        canonical = algorithm.canonical(parameters)
        weights = canonical.get("class_weight")
        if isinstance(weights, Mapping):
            by_label = {str(label): weight for label, weight in weights.items()}
            canonical["class_weight"] = {index: by_label.get(name, 1.0) for index, name in enumerate(classes)}
        return cls(family, algorithm.task, canonical, classes, seed, threads)


@dataclass(frozen=True)
class Fitted:
    estimator: Estimator
    warnings: tuple[TableWarning, ...]


def fit(fitting: Fitting, matrix: Floats, y: NDArray[Any], advance: Advance) -> Fitted:
    """Fit a fresh estimator. Raises `InvalidParameters` with the library's own words where it refuses."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = construct(fitting.family, fitting.task, fitting.parameters, fitting.seed, fitting.threads)
            _fit_by_framework(estimator, fitting, matrix, y, advance)
        except (ValueError, TypeError, OverflowError, LightGBMError) as refusal:
            raise _refused(fitting.family, refusal) from refusal
    return Fitted(estimator, _as_warnings(caught))


def probabilities(estimator: Estimator, matrix: Floats) -> Floats:
    """(n, K), float64, as the library gives them."""
    return np.asarray(cast(Probabilistic, estimator).predict_proba(matrix), dtype=np.float64)


def predictions(estimator: Estimator, matrix: Floats) -> Floats:
    """(n,), float64, of a regression."""
    return np.asarray(estimator.predict(matrix), dtype=np.float64).reshape(len(matrix))


def refusing(family: Family, act: Callable[[], Floats]) -> Floats:
    """What a library refuses only when it predicts (more neighbours than rows) is the recipe's fault too."""
    try:
        return act()
    except (ValueError, TypeError, OverflowError, LightGBMError) as refusal:
        raise _refused(family, refusal) from refusal


def forget_threads(family: Family, estimator: Estimator) -> None:
    """Serving decides on its own threads; what the trainer had must not travel in the package."""
    if family.framework is Framework.SKLEARN and family.threads:
        estimator.set_params(**{family.threads: None})


def _fit_by_framework(estimator: Any, fitting: Fitting, matrix: Floats, y: NDArray[Any], advance: Advance) -> None:
    match fitting.family.framework:
        case Framework.XGBOOST:
            total = int(estimator.get_num_boosting_rounds())
            estimator.set_params(callbacks=[_XgboostRounds(advance, total)])
            estimator.fit(matrix, y, verbose=False)
            estimator.set_params(callbacks=None)
        case Framework.LIGHTGBM:
            estimator.fit(matrix, y, callbacks=[_lightgbm_rounds(advance)])
        case Framework.SKLEARN if fitting.family.importance == "impurity":
            _grow_forest(estimator, matrix, y, advance, fitting.threads)
        case Framework.SKLEARN if hasattr(estimator, _EPOCH_HOOK):
            _fit_network(estimator, matrix, y, advance)
        case Framework.SKLEARN:
            estimator.fit(matrix, y)


class _XgboostRounds(TrainingCallback):
    def __init__(self, advance: Advance, total: int) -> None:
        super().__init__()
        self._advance = advance
        self._total = total

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002 - the library's signature
        self._advance(epoch + 1, self._total, "rounds")
        return False


def _lightgbm_rounds(advance: Advance) -> Callable[[Any], None]:
    def after_round(environment: Any) -> None:
        advance(environment.iteration + 1, environment.end_iteration, "rounds")

    return after_round


def _grow_forest(forest: Any, matrix: Floats, y: NDArray[Any], advance: Advance, threads: int) -> None:
    """Tree by tree in a few steps: with a seed, a warm start draws the same trees as one fit (a test compares them)."""
    total: int = forest.n_estimators
    step = max(-(-total // _FOREST_STEPS), 4 * threads)
    forest.set_params(warm_start=True)
    for done in [*range(step, total, step), total]:
        forest.set_params(n_estimators=done)
        forest.fit(matrix, y)
        advance(done, total, "trees")
    forest.set_params(warm_start=False)


def _fit_network(network: Any, matrix: Floats, y: NDArray[Any], advance: Advance) -> None:
    """A network offers no callback, but asks itself after every epoch whether it still improves: that call is counted."""
    original = getattr(network, _EPOCH_HOOK)

    def counted(*arguments: Any, **named: Any) -> Any:
        advance(network.n_iter_, network.max_iter, "epochs")
        return original(*arguments, **named)

    setattr(network, _EPOCH_HOOK, counted)
    try:
        network.fit(matrix, y)
    finally:
        delattr(network, _EPOCH_HOOK)


def _refused(family: Family, refusal: Exception) -> InvalidParameters:
    # XGBoost adds a C++ stack trace to its sentence; the first lines are the reason.
    said = str(refusal).partition("Stack trace")[0].strip()[:_LONGEST_REFUSAL]
    return InvalidParameters(f"{family.title} refused: {said}", errors=[{"pointer": "/parameters", "detail": said}])


def _as_warnings(caught: list[warnings.WarningMessage]) -> tuple[TableWarning, ...]:
    """What the library warned of, once each; a training that did not converge has a code of its own."""
    found: dict[str, TableWarning] = {}
    for one in caught:
        text = " ".join(str(one.message).split())[:_LONGEST_REFUSAL]
        if "not recommended for warm_start" in text:  # our own way of fitting forests, always on the same rows
            continue
        code = "not-converged" if issubclass(one.category, ConvergenceWarning) else "library-warning"
        found.setdefault(text, TableWarning(code=code, detail=text))
    return tuple(found.values())
