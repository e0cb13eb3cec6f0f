"""How good a model is on rows it never saw. A metric that is undefined there is left out, never made up."""

# scikit-learn's metrics are untyped; every one becomes a float here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from mill_trainer.train.decisions import Classes

Floats = NDArray[np.float64]


def classification_metrics(y: NDArray[Any], probabilities: Floats, classes: Classes) -> dict[str, float]:
    """Binary metrics are of the positive class; with more classes they are macro averages, one class against the rest."""
    decided = classes.decide(probabilities)
    every = np.arange(len(classes.names))
    of_two, of_many = {"pos_label": classes.positive}, {"average": "macro", "labels": every}
    average: dict[str, Any] = {"zero_division": 0, **(of_two if classes.binary else of_many)}
    found = {
        **_ranking(y, probabilities, classes),
        "log_loss": _log_loss(y, probabilities),
        "accuracy": float(np.mean(decided == y)),
        "balanced_accuracy": _balanced_accuracy(y, decided),
        "f1": float(sk.f1_score(y, decided, **average)),
        "precision": float(sk.precision_score(y, decided, **average)),
        "recall": float(sk.recall_score(y, decided, **average)),
        "brier": brier(y, probabilities),
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}


def regression_metrics(y: Floats, predicted: Floats) -> dict[str, float]:
    with np.errstate(over="ignore"):
        return _regression_metrics(y, predicted)


def _regression_metrics(y: Floats, predicted: Floats) -> dict[str, float]:
    error = y - predicted
    found = {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "median_absolute_error": float(np.median(np.abs(error))),
    }
    if len(y) > 1 and np.ptp(y) > 0:
        found["r2"] = float(1 - np.sum(error**2) / np.sum((y - np.mean(y)) ** 2))
    return {name: value for name, value in found.items() if math.isfinite(value)}


def brier(y: NDArray[Any], probabilities: Floats) -> float:
    """Mean squared error of the probabilities; halved for two classes, as is usual there."""
    truth = np.zeros_like(probabilities)
    truth[np.arange(len(y)), y] = 1.0
    total = float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))
    return total / 2 if probabilities.shape[1] == 2 else total


def _ranking(y: NDArray[Any], probabilities: Floats, classes: Classes) -> dict[str, float]:
    """Undefined where a class has no row in the hold-out."""
    if len(np.unique(y)) < len(classes.names):
        return {}
    columns = [classes.positive] if classes.binary else range(len(classes.names))
    against = [(y == index, probabilities[:, index]) for index in columns]
    return {
        "roc_auc": float(np.mean([sk.roc_auc_score(truth, score) for truth, score in against])),
        "average_precision": float(np.mean([sk.average_precision_score(truth, score) for truth, score in against])),
    }


def _log_loss(y: NDArray[Any], probabilities: Floats) -> float:
    """A probability of 0 for what happened counts as the smallest float64 step, as in scikit-learn."""
    of_truth = probabilities[np.arange(len(y)), y]
    return float(-np.mean(np.log(np.clip(of_truth, np.finfo(np.float64).eps, 1.0))))


def _balanced_accuracy(y: NDArray[Any], decided: NDArray[Any]) -> float:
    return float(np.mean([np.mean(decided[y == index] == index) for index in np.unique(y)]))
