"""How much each input column matters to the model, as shares of one; the method is named beside the figures."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mill_contracts.training import FeatureImportance
from mill_pack import Encoder
from numpy.typing import NDArray

from mill_trainer.train.estimators import Family
from mill_trainer.train.preparation import spread_over_inputs
from mill_trainer.train.table import Table

Floats = NDArray[np.float64]

_SAMPLE_ROWS = 1_000
_MOST_PERMUTED = 200
"""Of a wider table nothing is permuted: it would take longer than the fit."""
METHODS = {
    "gain": "total gain of the splits",
    "impurity": "mean decrease of impurity",
    "coefficients": "absolute coefficients times the spread of their columns in the hold-out",
    "permutation": "loss of quality when the column is shuffled (1,000 hold-out rows at most)",
}


def importance(
    family: Family, estimator: Any, encoder: Encoder, sample: Table, error: Callable[[Floats], float], seed: int
) -> tuple[tuple[FeatureImportance, ...], str | None]:
    """Largest first, with the method. `error` rates the model on a matrix of the sample's rows (smaller is better)."""
    if family.importance == "permutation":
        if len(encoder.signature_features) > _MOST_PERMUTED:
            return (), None
        weights = _permuted(encoder, sample, error, seed)
    else:
        weights = spread_over_inputs(encoder, _weights(family, estimator, encoder.transform(sample.columns)))
    total = sum(weights.values())
    shares = {name: weight / total if 0 < total < math.inf else 0.0 for name, weight in weights.items()}
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return tuple(FeatureImportance(feature=name, importance=share) for name, share in ranked), METHODS[
        family.importance
    ]


def sample_rows(count: int) -> NDArray[np.intp]:
    """Rows for the permutations, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, _SAMPLE_ROWS)).round().astype(np.intp))


def _weights(family: Family, estimator: Any, matrix: Floats) -> Floats:
    if family.importance == "coefficients":
        coefficients = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
        return np.abs(coefficients).mean(axis=0) * matrix.std(axis=0)
    return np.nan_to_num(np.asarray(estimator.feature_importances_, dtype=np.float64))


def _permuted(encoder: Encoder, sample: Table, error: Callable[[Floats], float], seed: int) -> Mapping[str, float]:
    random = np.random.default_rng(seed)
    base = error(encoder.transform(sample.columns))
    losses: dict[str, float] = {}
    for feature in encoder.signature_features:
        shuffled = {**sample.columns, feature.name: random.permutation(sample.columns[feature.name])}
        loss = error(encoder.transform(shuffled)) - base
        losses[feature.name] = loss if 0 < loss < math.inf else 0.0
    return losses
