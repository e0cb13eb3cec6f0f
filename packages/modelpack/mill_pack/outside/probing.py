"""Rows made up for a model whose data nobody has: they cross the model's own thresholds, so every kind of split is tried."""

from typing import Final

import numpy as np
from mill_forest import Forest, from_bytes

from mill_pack.arrays import FloatArray
from mill_pack.engines.base import EnginePayload
from mill_pack.engines.forest import FILE as FOREST_FILE

ROWS: Final = 64
GOLDEN: Final = 12
_MOST_CELLS: Final = 1_000_000
_LARGEST: Final = 1e15
"""Thresholds beyond this are left out: a row of such numbers says nothing of a linear step before the trees."""


def forest_of(payload: EnginePayload) -> Forest | None:
    """The forest inside a payload, where it is one."""
    return from_bytes(payload.files[FOREST_FILE]) if payload.kind == "forest" else None


def probe_rows(width: int, forest: Forest | None, *, missing: bool, exact: bool = True) -> FloatArray:
    """(rows, width): normal numbers; where a column has thresholds, these (`exact`) and their neighbours; missing values."""
    random = np.random.default_rng(20_261_120)
    rows = max(GOLDEN, min(ROWS, _MOST_CELLS // width))
    matrix = random.normal(size=(rows, width))
    if forest is not None:
        _cross_thresholds(matrix, forest, random, 0.25 if exact else 0.0)
    if missing:
        matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix


def document_rows(rows: FloatArray) -> tuple[tuple[float | None, ...], ...]:
    """The first rows as a document holds them."""
    return tuple(tuple(None if value != value else float(value) for value in row) for row in rows[:GOLDEN].tolist())


def _cross_thresholds(matrix: FloatArray, forest: Forest, random: np.random.Generator, exact: float) -> None:
    numeric = forest.feature >= 0
    categorical = np.zeros(0, np.int64)
    if len(forest.category):
        categorical = np.unique(forest.feature[numeric & (forest.category >= 0)])
        numeric &= forest.category < 0
    thresholds = forest.threshold.astype(np.float64)
    useful = numeric & (np.abs(thresholds) < _LARGEST)
    order = np.argsort(forest.feature[useful], kind="stable")
    features, values = forest.feature[useful][order], thresholds[useful][order]
    columns, starts = np.unique(features, return_index=True)
    ends = [*starts[1:].tolist(), len(features)]
    for column, start, end in zip(columns.tolist(), starts.tolist(), ends, strict=True):
        chosen = random.choice(values[start:end], len(matrix))
        moved = chosen + random.normal(size=len(matrix)) * (np.abs(chosen) * 0.01 + 0.01)
        matrix[:, column] = np.where(random.random(len(matrix)) < exact, chosen, moved)
    for column in categorical.tolist():
        matrix[:, column] = random.integers(0, 40, len(matrix))
