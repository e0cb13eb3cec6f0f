"""Models trained once per session, and rows made to fall on every edge of them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mill_forest import Forest
from numpy.typing import NDArray

Rows = NDArray[np.float64]
EDGE_ROWS = 20_000


def _table(seed: int, rows: int = 1_500) -> tuple[Rows, Rows]:
    """Eight numeric columns of very different scales, with missing values, and a score that depends on them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 8))
    x[:, 1] = np.round(x[:, 1] * 3)
    x[:, 2] = 1.6e12 + x[:, 2] * 1e9  # milliseconds: float32 cannot tell neighbours apart
    x[:, 3] *= 1e-40  # denormal as float32
    x[:, 4] = rng.integers(0, 12, rows)
    x[:, 5] = np.where(rng.random(rows) < 0.6, 0.0, x[:, 5])
    x[rng.random(x.shape) < 0.04] = np.nan
    x[:, 4] = np.nan_to_num(x[:, 4], nan=0.0)
    score = np.nan_to_num(x[:, 0] + 0.5 * x[:, 1] + (x[:, 4] % 3) + (x[:, 2] - 1.6e12) / 1e9 + x[:, 3] * 1e40)
    return x, score + rng.normal(size=rows) * 0.3


@pytest.fixture(scope="session")
def table() -> Callable[..., tuple[Rows, Rows]]:
    """table(seed, rows=1_500): rows with missing values, and a continuous score."""
    return _table


_ODD = [0.0, -0.0, 5e-324, -5e-324, 1e-40, -1e-40, 1e-35, -1e-35, float(np.float32(1e-35)), 1e30, -1e30]
_ODD_CODES = [-1.0, -0.5, 2.7, 13.0, 40.0, 1e9, 1e12, np.nan]


def _sprinkle(rng: np.random.Generator, x: Rows, columns: list[int], values: list[float]) -> None:
    for column in columns:
        where = np.flatnonzero(rng.random(len(x)) < 0.006 * len(values))
        x[where, column] = rng.choice(values, len(where))


def _edge_rows(forest: Forest, sample: Rows, *, infinite: bool = True, nan: bool = True) -> Rows:
    rng = np.random.default_rng(7)
    x = sample[rng.integers(0, len(sample), EDGE_ROWS)].copy()
    categorical = forest.category >= 0 if len(forest.category) else np.zeros(len(forest.feature), bool)
    for f in range(x.shape[1]):
        t = forest.threshold[(forest.feature == f) & ~categorical]
        t = t[np.isfinite(t) & (np.abs(t) < 1e30)]
        if not len(t):
            continue
        where = np.flatnonzero(rng.random(len(x)) < 0.4)
        v = rng.choice(t, len(where))
        infinity = v.dtype.type(np.inf)
        moved = [v, np.nextafter(v, infinity), np.nextafter(v, -infinity)]
        x[where, f] = np.choose(rng.integers(0, 3, len(where)), moved)
        if forest.threshold.dtype == np.float32:  # between two float32 values the cast must round as the library's
            x[where[rng.random(len(where)) < 0.2], f] *= 1 + 2.0**-25
    with_sets = sorted(set(forest.feature[categorical].tolist()))
    numeric = [f for f in range(x.shape[1]) if f not in with_sets]
    _sprinkle(rng, x, numeric, _ODD + [np.inf, -np.inf, 3e38, -3e38] * infinite + [np.nan] * 8)
    _sprinkle(rng, x, with_sets, _ODD_CODES)
    return x if nan else np.nan_to_num(x, nan=0.5)


@pytest.fixture(scope="session")
def edge_rows() -> Callable[..., Rows]:
    """edge_rows(forest, sample): values on thresholds, one ulp beside them, zeros, denormals, NaN and infinities."""
    return _edge_rows


def _differences(ours: NDArray[Any], theirs: NDArray[Any]) -> int:
    theirs = theirs.reshape(ours.shape)
    if theirs.dtype == np.float32:
        assert (ours.astype(np.float32).astype(np.float64) == ours).all()
    return int(np.count_nonzero(ours.view(np.int64) != theirs.astype(np.float64).view(np.int64)))


@pytest.fixture(scope="session")
def differences() -> Callable[[NDArray[Any], NDArray[Any]], int]:
    """differences(ours, theirs): how many values differ in any bit."""
    return _differences
