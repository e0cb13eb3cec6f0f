"""Curves of at most 200 points and the confusion matrix, from the hold-out part."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

import numpy as np
from mill_contracts.training import ConfusionMatrix, Curve
from numpy.typing import NDArray
from sklearn import metrics as sk

from mill_trainer.train.decisions import Classes

Floats = NDArray[np.float64]

MOST_POINTS = 200
MOST_CLASSES = 100
"""A larger confusion matrix is left out: nobody reads it, and it grows with the square."""
_CALIBRATION_BINS = 10


def classification_curves(y: NDArray[Any], probabilities: Floats, classes: Classes) -> dict[str, Curve]:
    """Of the positive class of two; none where the hold-out lacks one of them."""
    if not classes.binary or len(np.unique(y)) < 2:
        return {}
    truth, score = classes.is_positive(y), probabilities[:, classes.positive]
    return {
        "roc": _roc(truth, score),
        "precision_recall": _precision_recall(truth, score),
        "calibration": _calibration(truth, score),
    }


def regression_curves(y: Floats, predicted: Floats) -> dict[str, Curve]:
    """Both are scatters: rows evenly spaced in the order of the prediction."""
    order = np.argsort(predicted, kind="stable")
    rows = order[_even(len(order))]
    return {
        "residuals": _curve("predicted", "actual minus predicted", predicted[rows], y[rows] - predicted[rows]),
        "predicted_actual": _curve("actual", "predicted", y[rows], predicted[rows]),
    }


def confusion(y: NDArray[Any], decided: NDArray[Any], names: tuple[str, ...]) -> ConfusionMatrix | None:
    if len(names) > MOST_CLASSES:
        return None
    size = len(names)
    counts = np.bincount(y * size + decided, minlength=size * size).reshape(size, size)
    return ConfusionMatrix(labels=names, counts=tuple(tuple(map(int, row)) for row in counts))


def _roc(truth: NDArray[np.int64], score: Floats) -> Curve:
    false_rate, true_rate, thresholds = sk.roc_curve(truth, score)
    # The first point calls nothing positive; its threshold is infinite, which JSON cannot say.
    thresholds = np.minimum(thresholds, 1.0)
    return _thin(_curve("false positive rate", "true positive rate", false_rate, true_rate, thresholds))


def _precision_recall(truth: NDArray[np.int64], score: Floats) -> Curve:
    precision, recall, thresholds = sk.precision_recall_curve(truth, score, drop_intermediate=True)
    return _thin(_curve("recall", "precision", recall, precision, np.append(thresholds, 1.0)))


def _calibration(truth: NDArray[np.int64], score: Floats) -> Curve:
    """Mean prediction against observed share, in bins of equal size."""
    bins = np.array_split(np.argsort(score, kind="stable"), min(_CALIBRATION_BINS, len(score)))
    predicted = np.array([np.mean(score[rows]) for rows in bins])
    observed = np.array([np.mean(truth[rows]) for rows in bins])
    return _curve("mean predicted probability", "share observed", predicted, observed)


def _curve(x_label: str, y_label: str, x: Any, y: Any, thresholds: Any = ()) -> Curve:
    return Curve(
        x_label=x_label,
        y_label=y_label,
        x=tuple(map(float, x)),
        y=tuple(map(float, y)),
        thresholds=tuple(map(float, thresholds)),
    )


def _thin(curve: Curve) -> Curve:
    """Keep points at even steps along the curve's length, so that steep parts keep their shape; both ends stay."""
    if len(curve.x) <= MOST_POINTS:
        return curve
    steps = np.abs(np.diff(curve.x)) + np.abs(np.diff(curve.y))
    length = np.concatenate([[0.0], np.cumsum(steps)])
    kept = np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], MOST_POINTS)))
    kept[-1] = len(curve.x) - 1
    return _curve(
        curve.x_label,
        curve.y_label,
        *(np.asarray(values)[kept] for values in (curve.x, curve.y, curve.thresholds)),
    )


def _even(count: int) -> NDArray[np.intp]:
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(np.intp))
